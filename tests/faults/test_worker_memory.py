"""A training takes more memory than it may: it alone ends, says how much there was, and is given up after three."""

from __future__ import annotations

import json

import pytest

from tests.faults.machines import Machines
from workers.isolation import here
from workers.limits import LIMITS_VARIABLE

LIMIT = 300_000_000


@pytest.mark.slow
@pytest.mark.fault(31)
@pytest.mark.skipif(not here().memory_limit, reason="missing here: memory_limit")
def test_a_training_over_its_memory_limit_ends_alone_and_is_given_up_after_three(site: Machines) -> None:
    limits = {LIMITS_VARIABLE: json.dumps({"memory_bytes": LIMIT})}
    worker = site.worker("narrow", pool="narrow", **limits)
    job = site.launch("toy hungry", pool="narrow")
    found = site.wait_for_state(job, "failed", seconds=60)
    assert found["reason"]["code"] == "crashed_worker"
    detail = found["reason_detail"]
    assert (detail["last_reason"], detail["memory_limit_bytes"]) == ("host_oom", LIMIT)
    assert LIMIT * 0.9 < detail["peak_memory_bytes"] <= LIMIT
    ends = [change[2] for change in site.history(job) if change[0] == "running"]
    assert ends == ["host_oom", "host_oom", "crashed_worker"]
    assert worker.alive
    good = site.launch("toy steady 3 0.02 5", pool="narrow")
    site.wait_for_state(good, "succeeded")
