"""What a worker's and an attempt's token must not do: each is refused, nothing is stored, the audit log says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.conftest import Cast, claim_next, make_job
from webapp.accounts.models import AuditEntry
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import Dataset, DatasetVersion
from webapp.jobs import enrolling, reporting, transitions
from webapp.jobs.models import Artifact, Attempt, Checkpoint, Event, Job, StoredPart, Worker
from webapp.jobs.scheduling import Claimed
from workers.protocol import OLDEST_PROTOCOL, PROTOCOL


@pytest.fixture
def mine(job: Job, worker: Worker) -> Claimed:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed


@pytest.fixture
def theirs(mine: Claimed, cast: Cast, base_model: BaseModel, version: DatasetVersion) -> Attempt:
    """Another team's running attempt."""
    make_job(cast, base_model, version, team=cast.other_team)
    claimed = claim_next(Worker.objects.create(name="w2", boot_id="boot-1"))
    assert claimed
    assert claimed.attempt
    reporting.acknowledge(claimed.attempt)
    return claimed.attempt


def call(token: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return getattr(Client(), method)(f"/api/{path}", body, content_type="application/json", headers=headers)


def stored() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Event, Artifact, Checkpoint, StoredPart))


LOG = {"kind": "log", "text": "x"}
BODIES: dict[str, Any] = {
    "ack": {},
    "events": {"first_seq": 1, "events": [LOG]},
    "checkpoints": {"files": [], "step": 1},
    "artifacts": {"files": []},
    "end": {"outcome": "failed", "reason": "gpu_oom"},
}


@pytest.mark.parametrize("verb", BODIES)
def test_another_attempts_id_is_refused(mine: Claimed, theirs: Attempt, verb: str) -> None:
    before = stored()
    answer = call(mine.token, "post", f"worker/attempts/{theirs.pk}/{verb}", BODIES[verb])
    assert answer.status_code == 404
    assert stored() == before
    theirs.refresh_from_db()
    assert theirs.state == "running"
    entry = AuditEntry.objects.get(action="attempt.refused")
    assert mine.attempt
    assert entry.target == f"attempt {mine.attempt.pk}"
    assert entry.detail["asked"] == f"POST attempts/{theirs.pk}/{verb}"


@pytest.mark.parametrize("verb", BODIES)
def test_an_ended_attempt_is_refused(mine: Claimed, verb: str) -> None:
    assert mine.attempt
    transitions.end_attempt(mine.attempt, "reconciler", "released", "worker_lost")
    before = stored()
    answer = call(mine.token, "post", f"worker/attempts/{mine.attempt.pk}/{verb}", BODIES[verb])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "stale_attempt")
    assert stored() == before
    assert AuditEntry.objects.filter(action="attempt.refused").exists()


@pytest.mark.parametrize("verb", [verb for verb in BODIES if verb != "ack"])
def test_before_the_ack_nothing_counts(job: Job, worker: Worker, verb: str) -> None:
    claimed = claim_next(worker)
    assert claimed
    assert claimed.attempt
    before = stored()
    answer = call(claimed.token, "post", f"worker/attempts/{claimed.attempt.pk}/{verb}", BODIES[verb])
    assert answer.status_code == 409
    assert stored() == before
    assert Attempt.objects.get().state == "starting"


def test_a_token_is_unknown_a_day_after_its_attempt_has_ended(mine: Claimed) -> None:
    assert mine.attempt
    transitions.end_attempt(mine.attempt, "reconciler", "released", "worker_lost")
    path = f"worker/attempts/{mine.attempt.pk}/events"
    assert call(mine.token, "post", path, BODIES["events"]).status_code == 409
    Attempt.objects.update(ended_at=timezone.now() - timedelta(hours=25))
    assert call(mine.token, "post", path, BODIES["events"]).status_code == 401


def test_another_teams_dataset_version_is_refused(mine: Claimed, cast: Cast) -> None:
    secret = DatasetVersion.objects.create(
        dataset=Dataset.objects.create(team=cast.other_team, name="secret"),
        number=1,
        state="ready",
        upload_name="s.jsonl",
        upload_key="",
        upload_bytes=1,
        sha256="9" * 64,
    )
    assert mine.attempt
    answer = call(mine.token, "get", f"worker/attempts/{mine.attempt.pk}/inputs/{secret.sha256}")
    assert answer.status_code == 404
    assert AuditEntry.objects.filter(action="attempt.refused").exists()


@pytest.mark.parametrize("path", ["v1/jobs", "v1/datasets", "v1/workers", "v1/base-models"])
def test_user_routes_do_not_know_the_token(mine: Claimed, path: str) -> None:
    assert call(mine.token, "get", path).status_code == 401


def test_a_worker_token_touches_no_attempt_and_an_attempt_token_claims_nothing(mine: Claimed) -> None:
    _, key = enrolling.make_key("w9")
    token = enrolling.enrol(key, "127.0.0.1", PROTOCOL)["token"]
    assert mine.attempt
    assert call(token, "post", f"worker/attempts/{mine.attempt.pk}/events", BODIES["events"]).status_code == 401
    claim = {"claim_id": "x", "boot_id": "boot-1", "slot": 0, "threads": 1}
    assert call(mine.token, "post", "worker/claim", claim).status_code == 401
    assert call(mine.token, "post", "worker/hello", {"boot_id": "b"}).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"first_seq": 1, "events": [LOG] * 1001}, 413),
        ({"first_seq": 1, "events": [{"kind": "log", "text": "x" * 8000}] * 140}, 413),
        ({"first_seq": 0, "events": [LOG]}, 422),
        ({"first_seq": -5, "events": [LOG] * 10}, 422),
        ({"first_seq": 2, "events": [LOG]}, 422),
        ({"first_seq": 1, "events": [{"kind": "metrics", "step": -1, "values": {"loss": 1}}]}, 422),
    ],
    ids=["too many", "too large", "seq 0", "negative seq", "gap", "negative step"],
)
def test_a_batch_that_does_not_fit_is_refused(mine: Claimed, body: dict[str, Any], status: int) -> None:
    before = stored()
    assert mine.attempt
    answer = call(mine.token, "post", f"worker/attempts/{mine.attempt.pk}/events", body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert stored() == before
    assert AuditEntry.objects.filter(action="attempt.refused").exists()


@pytest.mark.parametrize("reason", ["not_acked", "site_restored"])
def test_what_only_the_site_can_know_a_worker_may_not_say(mine: Claimed, reason: str) -> None:
    assert mine.attempt
    end = {"outcome": "released", "reason": reason}
    assert call(mine.token, "post", f"worker/attempts/{mine.attempt.pk}/end", end).status_code == 422
    assert Job.objects.get().state == "running"


def test_a_replayed_end_changes_nothing_and_another_end_is_refused(mine: Claimed) -> None:
    assert mine.attempt
    path = f"worker/attempts/{mine.attempt.pk}/end"
    end = {"outcome": "failed", "reason": "gpu_oom"}
    first, again = call(mine.token, "post", path, end), call(mine.token, "post", path, end)
    assert first.json() == again.json() == {"state": "failed"}
    assert call(mine.token, "post", path, {"outcome": "released", "reason": "drained"}).status_code == 409
    assert Job.objects.get().history.filter(after="failed").count() == 1


def test_a_flood_of_refusals_is_written_once(mine: Claimed) -> None:
    assert mine.attempt
    for _ in range(5):
        call(mine.token, "post", f"worker/attempts/{mine.attempt.pk}/events", {"first_seq": -1, "events": []})
    assert AuditEntry.objects.filter(action="attempt.refused").count() == 1


@pytest.mark.fault(54)
@pytest.mark.parametrize("protocol", [OLDEST_PROTOCOL - 1, PROTOCOL + 1])
def test_a_worker_of_another_version_hears_why_it_is_refused(db: None, protocol: int) -> None:
    _, key = enrolling.make_key("w1")
    body = {"key": key, "hostname": "h", "version": "0", "protocol": protocol}
    refused = Client(REMOTE_ADDR="127.0.0.1").post("/api/worker/enrol", body, "application/json")
    assert refused.status_code == 403
    assert "Install the same version" in refused.json()["error"]["message"]
    token = enrolling.enrol(key, "127.0.0.1", PROTOCOL)["token"]
    said = call(token, "post", "worker/hello", {"boot_id": "b", "protocol": protocol})
    assert said.status_code == 403
    assert "Install the same version" in said.json()["error"]["message"]


@pytest.mark.fault(54)
def test_a_wrong_token_is_unknown(mine: Claimed) -> None:
    assert call(mine.token[:-1] + "x", "post", "worker/claim", {}).status_code == 401
    assert call("delta_w_aaaaaaaa_nonsense", "post", "worker/hello", {"boot_id": "b"}).status_code == 401
