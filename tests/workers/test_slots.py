"""The worker's slots: each is in at most one hand, and after whatever happened all of them are free again."""

from __future__ import annotations

import dataclasses
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.workers.conftest import until
from tests.workers.reference_site import SPEC, TIMINGS, ReferenceSite, serving
from tests.workers.test_attempts import work
from workers import tasks
from workers.cache import Cache
from workers.celery import app
from workers.client import Enrolment, SiteClient
from workers.enrolling import Home
from workers.isolation import here
from workers.protocol import Device
from workers.slots import Rack, Slot
from workers.station import Station
from workers.telemetry import Telemetry

CPU = Device(0, "cpu", "a processor", 8, 4)


def gpu(index: int, free: int = 80) -> Device:
    return Device(index, "cuda", "NVIDIA H100 80GB HBM3", 80, free)


def rack(count: int) -> Rack:
    return Rack([Slot(number, gpu(number)) for number in range(count)])


def free(rack: Rack) -> list[int]:
    with rack.hold() as held:
        assert held is not None
        with held.reaching():
            return [slot.number for slot in held.slots]


def test_no_slot_is_lost_or_held_twice_whatever_raises() -> None:
    shelf = rack(6)
    in_use: Counter[int] = Counter()
    doubled: list[int] = []
    worked = Counter[int]()
    lock = threading.Lock()

    def use(numbers: list[int], chance: random.Random) -> None:
        with lock:
            in_use.update(numbers)
            doubled.extend(number for number in numbers if in_use[number] > 1)
            worked[len(numbers)] += 1
        time.sleep(chance.random() / 5000)
        with lock:
            in_use.subtract(numbers)

    def one(chance: random.Random) -> None:
        with shelf.hold() as held:
            if held is None:
                return
            for _ in range(chance.randint(1, 3)):
                with held.reaching():
                    if chance.random() < 0.2:
                        raise OSError("the claim failed")
                    if chance.random() < 0.2:
                        return
                    held.work_on(chance.sample(held.slots, chance.randint(1, len(held.slots))))
                if chance.random() < 0.2:
                    raise ValueError("the work failed")
                use([slot.number for slot in held.slots], chance)
                held.done()

    def hammer(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(300):
            try:
                one(chance)
            except (OSError, ValueError):
                continue

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert doubled == []
    assert set(worked) > {1, 2}  # jobs on several slots were among them
    assert (shelf.busy, shelf.untouched, free(shelf)) == (0, True, [0, 1, 2, 3, 4, 5])


def test_slots_at_work_are_busy_and_those_held_out_to_the_site_are_not() -> None:
    shelf = rack(4)
    rooms: list[int] = []
    shelf.on_room = rooms.append
    with shelf.hold() as held:
        assert held is not None
        with held.reaching():
            assert (len(held.slots), shelf.busy) == (4, 0)
            held.work_on(held.slots[:3])
        assert (len(held.slots), shelf.busy, rooms[-1]) == (3, 3, 2)
        held.done()
        assert (len(held.slots), shelf.busy, rooms[-1]) == (1, 0, 4)


def test_a_permit_without_a_slot_is_dropped_and_one_during_a_claim_waits() -> None:
    shelf = rack(2)
    got: list[bool] = []

    def ask() -> None:
        with shelf.hold() as second:
            got.append(second is not None)

    with shelf.hold() as held:
        assert held is not None
        with held.reaching():
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join(0.1)
            assert got == []  # it waits to see what is left
            held.work_on(held.slots[:2])
        thread.join(5)
        assert got == [False]
        held.done()
        ask()
    assert got == [False, True]


def test_the_devices_that_the_site_names_are_taken_and_its_own_slot_goes_back_if_it_is_not_among_them() -> None:
    shelf = rack(4)
    with shelf.hold() as held:
        assert held is not None
        with held.reaching():
            chosen = held.named([("cuda", 3), ("cuda", 1)])
            assert chosen is not None
            held.work_on(chosen)
        assert (held.cuda_devices, shelf.busy, free(shelf)) == ("3,1", 2, [0, 2])
        held.done()
        assert ([slot.number for slot in held.slots], free(shelf)) == ([3], [0, 1, 2])
    assert free(shelf) == [0, 1, 2, 3]


def test_a_device_that_is_not_held_cannot_be_named_nor_one_share_of_the_cpu_twice() -> None:
    shelf = Rack([Slot(0, CPU), Slot(1, CPU)])
    with shelf.hold() as held:
        assert held is not None
        with held.reaching():
            assert held.named([("cuda", 0)]) is None
            assert held.named([("cpu", 0)] * 3) is None
            assert held.named([("cpu", 0)] * 2) == list(shelf.slots)


def test_gpus_and_shares_of_the_cpu_never_work_together() -> None:
    mixed = Rack([Slot(0, gpu(0)), Slot(1, CPU), Slot(2, gpu(1)), Slot(3, CPU)])
    with mixed.hold() as held:
        assert held is not None
        with held.reaching():
            assert [slot.number for slot in held.slots] == [0, 2]
            assert held.cuda_devices == "0,1"


@contextmanager
def station_with(site: ReferenceSite, folder: Path, devices: list[Device], slots: int) -> Iterator[Station]:
    home = Home(folder / "workers" / "w")
    home.jobs.mkdir(parents=True)
    with serving(site) as address:
        client = SiteClient(address, "delta_w_1")
        worker = Enrolment("delta_w_1", 1, "w", "default", None)
        station = Station(
            client=client,
            home=home,
            worker=worker,
            slots=slots,
            threads_per_slot=3,
            isolation=here(),
            timings=TIMINGS,
            cache=Cache(home.cache),
            telemetry=Telemetry(lambda: tuple(devices)),
        )
        yield station
        client.close()


SAYS_ITS_DEVICES = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['OMP_NUM_THREADS'], flush=True)"


def test_a_job_on_two_gpus_holds_two_slots_until_it_ends(site: ReferenceSite, tmp_path: Path) -> None:
    with station_with(site, tmp_path, [gpu(0), gpu(1), gpu(2)], 3) as station:
        busy: list[int] = []

        def look(folder: Path) -> tuple[str, ...]:
            busy.append(station.rack.busy)
            return (sys.executable, "-c", SAYS_ITS_DEVICES)

        station.train_with = look
        attempt = site.offer(1, spec=dataclasses.replace(SPEC, gpus=2).as_json(), threads=3)
        work(station)
        assert attempt.end is not None
        assert attempt.end["log_tail"][-1] == "0,1 6"  # three threads for each of its processes
        assert busy == [2]
        assert [[device["index"] for device in claim["devices"]] for claim in site.claims] == [[0, 1, 2], [0, 1, 2]]
        assert (station.rack.busy, free(station.rack)) == (0, [0, 1, 2])


def test_a_claim_tells_the_memory_that_is_free_now(site: ReferenceSite, tmp_path: Path) -> None:
    devices = [gpu(0), gpu(1)]
    with station_with(site, tmp_path, devices, 2) as station:
        devices[1] = gpu(1, free=7)
        station.telemetry.look()
        work(station)
    assert [device["memory_free_bytes"] for device in site.claims[0]["devices"]] == [80, 7]
    assert (site.claims[0]["slot"], site.claims[0]["threads"]) == (0, 3)


def test_a_job_for_more_slots_than_were_offered_is_left_unacknowledged(site: ReferenceSite, tmp_path: Path) -> None:
    with station_with(site, tmp_path, [CPU], 2) as station:
        attempt = site.offer(1, spec=dataclasses.replace(SPEC, gpus=3).as_json())
        work(station)
        assert not attempt.acked
        assert (station.rack.busy, free(station.rack)) == (0, [0, 1])


def test_a_worker_whose_gpu_fell_off_claims_nothing_more(site: ReferenceSite, tmp_path: Path) -> None:
    devices = [gpu(0), gpu(1)]
    with station_with(site, tmp_path, devices, 2) as station:
        del devices[1]
        station.telemetry.look()
        site.offer(1)
        work(station)
        assert len(site.waiting) == 1
        assert station.wants_fresh_start == "NVIDIA H100 80GB HBM3 (GPU 1) is gone."


def test_two_slots_work_at_the_same_time(site: ReferenceSite, tmp_path: Path) -> None:
    with station_with(site, tmp_path, [CPU], 2) as station:
        station.train_with = lambda folder: ("sleep", "600")
        attempts = [site.offer(1), site.offer(2)]
        app.station = station
        threads = [threading.Thread(target=tasks.run_next_job, daemon=True) for _ in attempts]
        for thread in threads:
            thread.start()
        until(lambda: all(attempt.acked for attempt in attempts))
        station.hello()
        assert site.hellos[-1]["busy_slots"] == 2
        for attempt in attempts:
            attempt.wish = "cancel"
        for thread in threads:
            thread.join(15)
            assert not thread.is_alive()
        assert {attempt.end["outcome"] for attempt in attempts if attempt.end} == {"cancelled"}
        assert free(station.rack) == [0, 1]
