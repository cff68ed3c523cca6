"""What a worker says of its machine: shares and rates between two looks, told once with the next metrics."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from workers.host import Host
from workers.protocol import Timings
from workers.reporting import Reporter


def test_a_look_tells_shares_rates_and_the_disk(tmp_path: Path) -> None:
    host = Host(tmp_path)
    before = sum(psutil.cpu_times())
    while sum(psutil.cpu_times()) - before < 0.2:  # the machine's own clock ticks in hundredths
        time.sleep(0.01)
    told = host.look()
    assert 0 <= told["host_cpu_percent"] <= 100
    assert 0 < told["host_memory_percent"] <= 100
    assert told["disk_free_bytes"] > 0
    assert min(told["network_received_bytes_per_second"], told["network_sent_bytes_per_second"]) >= 0


def test_a_counter_that_began_anew_is_no_negative_rate(tmp_path: Path) -> None:
    host = Host(tmp_path, clock=iter([10.0, 12.0]).__next__)
    host._marks["sent"] = 1e18
    assert host.look()["network_sent_bytes_per_second"] == 0


def test_a_folder_that_is_gone_says_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    assert Host(tmp_path / "gone").look() == {}


@pytest.fixture
def told(tmp_path: Path) -> tuple[Reporter, list[dict[str, float]]]:
    looks: list[dict[str, float]] = [{}]
    return Reporter(None, Timings(), tmp_path / "unsent", lambda: looks[-1]), looks  # type: ignore[arg-type]


def test_each_look_goes_along_with_one_event(told: tuple[Reporter, list[dict[str, float]]]) -> None:
    reporter, looks = told
    looks.append({"host_cpu_percent": 31.0})
    events: list[dict[str, Any]] = [{"kind": "metrics", "step": step, "values": {"loss": 1.0}} for step in (1, 2)]
    for event in events:
        reporter.say(event)
    assert [event["values"] for event in events] == [{"loss": 1.0, "host_cpu_percent": 31.0}, {"loss": 1.0}]


def test_what_the_trainer_says_of_the_machine_does_not_count(told: tuple[Reporter, list[dict[str, float]]]) -> None:
    reporter, looks = told
    looks.append({"disk_free_bytes": 5.0})
    event: dict[str, Any] = {"kind": "metrics", "step": 1, "values": {"disk_free_bytes": 9.0}}
    reporter.say(event)
    assert event["values"] == {"disk_free_bytes": 5.0}
    for values in ("nothing", None, [1]):
        looks.append({"disk_free_bytes": 6.0})
        reporter.say({"kind": "metrics", "step": 1, "values": values})
