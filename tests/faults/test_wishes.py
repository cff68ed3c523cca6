"""Cancel and pause at every moment of a job's life: kept at once, obeyed in time, never undone by what comes late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from tests.faults.chaos_proxy import ChaosProxy, Rule
from tests.faults.machines import Machines, Part, marked, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.fault(38)]
OBEYED_WITHIN = 12.0
STEADY = "toy steady 2000 0.05 500"
OUTCOMES = {"cancel": ("cancelled", "cancelled_by_user"), "pause": ("paused", "paused_by_user")}


@dataclass
class Hand:
    """A worker behind a proxy, and two people who want something."""

    site: Machines
    proxy: ChaosProxy
    worker: Part
    second_token: str

    def wish(self, job: int, verb: str, token: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.site.token}"}
        return httpx.post(f"{self.site.url}/api/v1/jobs/{job}/{verb}", headers=headers, timeout=30)

    def obeyed(self, job: int, verb: str, seconds: float = OBEYED_WITHIN) -> None:
        """The job is where the wish leads, no process of it lives, and its history ends there."""
        state, code = OUTCOMES[verb]
        found = self.site.wait_for_job(job, lambda found: found["state"] == state, seconds)
        assert found["reason"]["code"] == code
        wait_for("the tree to be gone", lambda: not marked(self.site.home(self.worker.name)), 3)
        after = self.site.launch("toy steady 3 0.02 5", pool="wishes")  # whatever permits there are, are used up
        self.site.wait_for_state(after, "succeeded")
        assert self.site.job(job)["attempt"] == found["attempt"]
        assert [change[1] for change in self.site.history(job)].count(state) == 1
        if state == "paused":
            assert self.wish(job, "cancel").status_code == 200


@pytest.fixture(scope="module")
def hand(data_centre: Machines) -> Iterator[Hand]:
    site = data_centre
    token = site.manage("createtoken", "bob", "--team", "weather", "--role", "member")
    with ChaosProxy(int(site.url.rsplit(":", 1)[1])) as proxy:
        worker = site.worker("obedient", "--site", proxy.url, pool="wishes")
        yield Hand(site, proxy, worker, token)
        worker.end()
        del site.parts["obedient"]


@pytest.fixture
def healed(hand: Hand) -> Iterator[Hand]:
    """Whatever a test breaks is whole again after it."""
    yield hand
    hand.proxy.heal()
    for part in (hand.site.parts["valkey"], hand.worker):
        if not part.alive:
            part.start()
    wait_for("the broker", hand.site.broker.answers)


def running(hand: Hand, name: str = STEADY) -> int:
    job = hand.site.launch(name, pool="wishes")
    hand.site.wait_for_job(job, lambda found: found["state"] == "running" and found["progress"]["step"] > 0)
    return job


def starting(hand: Hand) -> int:
    """The worker's ack never arrives."""
    hand.proxy.add(Rule(path="/ack", reset=True))
    job = hand.site.launch(STEADY, pool="wishes")
    hand.site.wait_for_job(job, lambda found: found["state"] == "starting")
    return job


def in_a_checkpoint(hand: Hand) -> int:
    job = hand.site.launch("toy saving", pool="wishes")
    hand.site.wait_for_job(job, lambda found: found["phase"] == "saving")
    return job


def in_a_checkpoints_upload(hand: Hand) -> int:
    """The bytes are on their way, and the site's answer does not come."""
    hand.proxy.add(Rule(path="PUT .*/files/", blackhole=True))
    job = running(hand, "toy steady 2000 0.05 1")
    wait_for("an upload", lambda: any("/files/" in line for line in hand.proxy.seen[-50:]))
    return job


def without_a_broker(hand: Hand) -> int:
    job = running(hand)
    hand.site.parts["valkey"].kill()
    return job


def without_its_worker(hand: Hand) -> int:
    job = running(hand)
    hand.worker.kill()
    return job


MOMENTS = [starting, running, in_a_checkpoint, in_a_checkpoints_upload, without_a_broker, without_its_worker]


@pytest.mark.parametrize("verb", OUTCOMES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_wish_is_obeyed_at_every_moment(healed: Hand, moment: Callable[[Hand], int], verb: str) -> None:
    job = moment(healed)
    answer = healed.wish(job, verb)
    assert (answer.status_code, answer.json()["wish"]) == (200, verb)
    if not healed.worker.alive:
        healed.site.wait_for_state(job, OUTCOMES[verb][0], seconds=OBEYED_WITHIN)
        healed.worker.start()
    if not healed.site.parts["valkey"].alive:
        healed.site.wait_for_state(job, OUTCOMES[verb][0], seconds=OBEYED_WITHIN)
        healed.site.parts["valkey"].start()
    healed.proxy.heal()
    healed.obeyed(job, verb)


@pytest.mark.parametrize("verb", OUTCOMES)
def test_a_queued_job_obeys_at_once_and_no_permit_starts_it(healed: Hand, verb: str) -> None:
    busy = running(healed)
    job = healed.site.launch(STEADY, pool="wishes")
    answer = healed.wish(job, verb)
    assert (answer.status_code, answer.json()["state"]) == (200, OUTCOMES[verb][0])
    healed.wish(busy, "cancel")
    healed.obeyed(job, verb)
    assert healed.site.job(job)["attempt"] == 0


@pytest.mark.parametrize("verb", OUTCOMES)
def test_a_wish_said_again_by_two_people_at_a_time_is_one_wish(healed: Hand, verb: str) -> None:
    job = running(healed)
    with ThreadPoolExecutor(4) as people:
        tokens = [healed.site.token, healed.second_token] * 2
        answers = list(people.map(lambda token: healed.wish(job, verb, token), tokens))
    assert [answer.status_code for answer in answers] == [200] * 4
    healed.obeyed(job, verb)


def test_of_two_people_who_pause_and_cancel_the_one_who_cancels_is_obeyed(healed: Hand) -> None:
    job = running(healed)
    assert healed.wish(job, "pause").status_code == 200
    assert healed.wish(job, "cancel", healed.second_token).status_code == 200
    late = healed.wish(job, "pause")
    assert late.status_code in (200, 409)
    healed.obeyed(job, "cancel")


@pytest.mark.parametrize("verb", OUTCOMES)
def test_a_delta_on_its_way_is_given_up_by_a_cancel_and_kept_by_a_pause(healed: Hand, verb: str) -> None:
    """A pause that comes when the training is over changes nothing: the end came first."""
    healed.proxy.add(Rule(path="PUT .*/files/", reset=True))
    job = healed.site.launch("toy steady 3 0.02 500", pool="wishes")
    wait_for("the artifact", lambda: healed.site.events(job, "artifact"))
    assert healed.wish(job, verb).status_code == 200
    if verb == "pause":
        healed.proxy.heal()
        assert healed.site.wait_for_state(job, "succeeded")["artifacts"]
        return
    healed.site.wait_for_state(job, "cancelled", seconds=OBEYED_WITHIN)
    healed.proxy.heal()
    healed.obeyed(job, verb)
