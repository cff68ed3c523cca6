"""The last hour of a worker's devices: sampled with its hellos, broken where it was away, forgotten after an hour."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from tests.conftest import Cast
from tests.pages.test_access import browser_of
from webapp.jobs.device_history import HEIGHT, WIDTH, last_hours, take_down
from webapp.jobs.models import Worker, WorkerSample

NOW = timezone.now()


def device(used: int, load: float | None = 50.0) -> dict[str, Any]:
    return {
        "index": 0,
        "name": "toy",
        "memory_bytes": 100,
        "memory_free_bytes": 100 - used,
        "utilisation_percent": load,
    }


def sampled(worker: Worker, *points: tuple[float, dict[str, Any]]) -> None:
    """Points as (seconds ago, device)."""
    for seconds, each in points:
        worker.report = {"devices": [each]}
        take_down(worker, NOW - timedelta(seconds=seconds))


def test_hellos_within_ten_seconds_make_one_sample(worker: Worker) -> None:
    sampled(worker, (20, device(1)), (15, device(2)), (11, device(3)), (9, device(4)))
    assert [sample.devices[0]["memory_free_bytes"] for sample in worker.samples.all()] == [99, 96]


def test_a_line_runs_from_left_to_right_and_up_is_more(worker: Worker) -> None:
    sampled(worker, (1800, device(0, 0.0)), (1790, device(100, 100.0)))
    hour = last_hours([worker], NOW)[worker.pk][0]
    assert hour.load == f"M{WIDTH / 2:.1f} {HEIGHT - 1:.1f}L{WIDTH * (1 - 1790 / 3600):.1f} 1.0"
    assert hour.memory == hour.load
    assert hour.peak_memory_bytes == 100


def test_where_the_worker_was_away_the_line_is_broken(worker: Worker) -> None:
    sampled(worker, (300, device(1)), (290, device(1)), (200, device(1)))
    assert last_hours([worker], NOW)[worker.pk][0].memory.count("M") == 2


def test_an_unknown_load_draws_nothing(worker: Worker) -> None:
    sampled(worker, (20, device(1, None)))
    assert last_hours([worker], NOW)[worker.pk][0].load == ""


def test_what_is_older_than_an_hour_goes(worker: Worker) -> None:
    sampled(worker, (3700, device(1)), (0, device(2)))
    assert WorkerSample.objects.count() == 1


def test_the_page_draws_each_device(cast: Cast, worker: Worker) -> None:
    sampled(worker, (20, device(30)), (10, device(40)))
    worker.last_hello_at = timezone.now()
    worker.save()
    page = browser_of(cast.bob).get("/workers/").content.decode()
    assert '<path class="load" d="M' in page
    assert "40 B / 100 B" in page


def test_only_who_maintains_a_worker_may_remove_it(cast: Cast, worker: Worker) -> None:
    worker.team = cast.team
    worker.save()
    address = f"/workers/{worker.pk}/remove/"
    assert browser_of(cast.charlie).post(address).status_code == 404
    assert browser_of(cast.bob).post(address).status_code == 403
    assert "Remove" not in browser_of(cast.bob).get("/workers/").content.decode()
    assert browser_of(cast.alice).post(address).status_code == 302
    worker.refresh_from_db()
    assert worker.revoked_at is not None


def test_a_shared_worker_is_the_site_admins(cast: Cast, worker: Worker) -> None:
    assert browser_of(cast.alice).post(f"/workers/{worker.pk}/remove/").status_code == 403
    assert browser_of(cast.root).post(f"/workers/{worker.pk}/remove/").status_code == 302


def test_a_suspended_worker_is_shown_and_let_go_on(cast: Cast, worker: Worker) -> None:
    worker.suspended_at, worker.last_hello_at = timezone.now(), timezone.now()
    worker.save()
    root = browser_of(cast.root)
    assert "Suspended" in root.get("/workers/").content.decode()
    root.post(f"/workers/{worker.pk}/drain/", {"drain": "0"})
    worker.refresh_from_db()
    assert worker.suspended_at is None
