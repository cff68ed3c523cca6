"""The invariants of a run: each function takes the evidence and yields a sentence for everything that breaks it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from tests.nemesis.evidence import Evidence, JobFacts
from tests.nemesis.journal import Entry
from tests.nemesis.trainer import weight_after

ENDS = frozenset({"succeeded", "failed", "cancelled"})
PATHS = frozenset(
    {
        ("", "queued"),
        ("queued", "starting"),
        ("starting", "running"),
        ("starting", "queued"),
        ("starting", "cancelled"),
        ("starting", "paused"),
        ("running", "succeeded"),
        ("running", "queued"),
        ("running", "failed"),
        ("running", "cancelled"),
        ("running", "paused"),
        ("queued", "cancelled"),
        ("queued", "paused"),
        ("paused", "cancelled"),
        ("paused", "queued"),
    }
)
"""Written out here once more on purpose: the checker must not believe the code that it checks."""
WRITES = frozenset({"ack", "events", "files", "checkpoints", "artifacts"})
CLOCKS_SECONDS = 0.05
"""How far the database's clock and a worker's may be read apart on one machine."""

Invariant = Callable[[Evidence], Iterator[str]]


def every_accepted_job_has_ended(evidence: Evidence) -> Iterator[str]:
    """a. Each job answered 201 is there, in exactly one end state, and the API says the same."""
    accepted = {entry.job for entry in evidence.journal if entry.op == "submit" and entry.status == 201}
    jobs = {job.id: job for job in evidence.jobs}
    for job_id in sorted(accepted - jobs.keys(), key=str):
        yield f"job {job_id} was accepted and is gone"
    for job in evidence.jobs:
        if job.state not in ENDS:
            yield f"job {job.id} is still {job.state}"
        if evidence.shown.get(job.id, job.state) != job.state:
            yield f"job {job.id} is {job.state}, the API says {evidence.shown[job.id]}"
        ends = sum(change.job == job.id and change.after in ENDS for change in evidence.changes)
        if job.state in ENDS and ends != 1:
            yield f"job {job.id} ended {ends} times"


def writes_never_interleave(evidence: Evidence) -> Iterator[str]:
    """b. Once a later attempt of a job has had a write accepted, no write of an earlier one begins and is accepted."""
    newest: dict[int, Entry] = {}
    for entry in _writes(evidence):
        assert entry.job is not None
        assert entry.attempt_no is not None
        later = newest.get(entry.job)
        if later is not None and (later.attempt_no or 0) > entry.attempt_no and entry.t_sent > later.t_mono:
            yield (
                f"job {entry.job}: `{entry.op}` of attempt {entry.attempt_no} was accepted "
                f"{entry.t_sent - later.t_mono:.3f} s after one of attempt {later.attempt_no}"
            )
        if later is None or (later.attempt_no or 0) < entry.attempt_no:
            newest[entry.job] = entry


def _writes(evidence: Evidence) -> list[Entry]:
    """Accepted writes that a known attempt made, by the time of their answer."""
    known = [each for each in evidence.journal if each.ok and each.op in WRITES and each.attempt_no is not None]
    return sorted(known, key=lambda entry: entry.t_mono)


def ended_attempts_write_nothing(evidence: Evidence) -> Iterator[str]:
    """c. No write that began after its attempt had ended was accepted."""
    ended = {each.id: each.ended_at for each in evidence.attempts if each.ended_at is not None}
    for entry in _writes(evidence):
        over = ended.get(entry.attempt or 0)
        began = entry.wall - (entry.t_mono - entry.t_sent)
        if over is not None and began > over + CLOCKS_SECONDS:
            yield f"attempt {entry.attempt}: `{entry.op}` was accepted {began - over:.3f} s after its end"


def steps_are_whole(evidence: Evidence) -> Iterator[str]:
    """d. Each job's steps are 1..N without gap or duplicate; so are the numbers of all its events."""
    for job in evidence.jobs:
        if not job.steps and job.state == "succeeded" and job.begins_after < job.total_steps:
            yield f"job {job.id} succeeded without a step"
        last = job.total_steps if job.state == "succeeded" else job.begins_after + len(job.steps)
        if list(job.steps) != list(range(job.begins_after + 1, last + 1)):
            yield f"job {job.id} ({job.state}): steps {_holes(list(job.steps), job.begins_after + 1, last)}"
        if list(job.numbers) != list(range(1, job.last_event + 1)):
            yield f"job {job.id}: event numbers {_holes(list(job.numbers), 1, job.last_event)}"
    for attempt in evidence.attempts:
        if attempt.stored != attempt.acked_seq:
            yield f"attempt {attempt.id}: {attempt.acked_seq} events acknowledged, {attempt.stored} stored"


def _holes(numbers: list[int], first: int, last: int) -> str:
    wanted = set(range(first, last + 1))
    missing = sorted(wanted - set(numbers))
    twice = sorted(number for number, count in Counter(numbers).items() if count > 1)
    strange = sorted(set(numbers) - wanted)
    said = f"of {first}..{last}: missing {missing[:10]}, twice {twice[:10]}, beyond {strange[:10]}"
    return said if missing or twice or strange else f"{said}, out of order"


def nothing_starts_after_a_cancel(evidence: Evidence) -> Iterator[str]:
    """e. Once a cancel was acknowledged, no new attempt of the job begins."""
    cancelled: dict[int, Entry] = {}
    for entry in evidence.journal:
        if entry.op == "cancel" and entry.ok and entry.job is not None:
            cancelled.setdefault(entry.job, entry)
    claims = {entry.attempt: entry for entry in reversed(evidence.journal) if entry.op == "claim" and entry.ok}
    for attempt in evidence.attempts:
        cancel = cancelled.get(attempt.job)
        if cancel is None:
            continue
        claim = claims.get(attempt.id)
        late = claim is not None and claim.t_sent > cancel.t_mono and attempt.created_at > cancel.wall
        if late or attempt.created_at > cancel.wall + CLOCKS_SECONDS:
            yield f"job {attempt.job}: attempt {attempt.number} began after the cancel was acknowledged"


def artifacts_are_what_they_say(evidence: Evidence) -> Iterator[str]:
    """f. Every visible artifact has a manifest, its files have the hashes of it, and it is what training makes."""
    with_artifact = {artifact.job for artifact in evidence.artifacts}
    for job in evidence.jobs:
        if job.state == "succeeded" and job.id not in with_artifact:
            yield f"job {job.id} succeeded without an artifact"
    jobs = {job.id: job for job in evidence.jobs}
    for artifact in evidence.artifacts:
        said = {file["name"]: file["sha256"] for file in artifact.manifest.get("files", [])}
        if not said or not any(file["name"] == "manifest.json" for file in artifact.files):
            yield f"artifact {artifact.id} is visible without a manifest"
        for file in artifact.files:
            if file["stored_sha256"] != file["sha256"]:
                yield f"artifact {artifact.id}: the stored {file['name']} has another sha256"
            if file["name"] != "manifest.json" and said.get(file["name"]) != file["sha256"]:
                yield f"artifact {artifact.id}: {file['name']} is not what the manifest lists"
        trained = jobs.get(artifact.job)
        if trained is not None and artifact.content != _undisturbed(trained, jobs):
            yield f"artifact {artifact.id}: its weights are not those of an undisturbed training"


def _undisturbed(job: JobFacts, jobs: dict[int, JobFacts]) -> str:
    """A retry that resumed goes on with the weights of the job it retries, whose id they were made from."""
    steps = job.total_steps
    while job.retry_of is not None and (job.begins_after or not job.steps):  # one that never trained is passed over
        job = jobs[job.retry_of]
    return weight_after(job.id, steps)


def nothing_is_left_over(evidence: Evidence) -> Iterator[str]:
    """g. No process of an attempt lives when all have ended."""
    yield from (f"still alive: {process}" for process in evidence.leftovers)


def no_answer_is_a_fault_of_ours(evidence: Evidence) -> Iterator[str]:
    """h. Every answer is 2xx, 3xx, 4xx or 503."""
    for entry in evidence.journal:
        if entry.status is not None and entry.status >= 500 and entry.status != 503:
            yield f"{entry.actor}: `{entry.op}` of job {entry.job} was answered {entry.status}"


def histories_are_paths(evidence: Evidence) -> Iterator[str]:
    """i. Each history is a chain of the state machine's pairs from new to the job's state, with a reason at its end."""
    chains: dict[int, list[tuple[str, str, str]]] = defaultdict(list)
    for change in evidence.changes:
        chains[change.job].append((change.before, change.after, change.reason_code))
    for job in evidence.jobs:
        state = ""
        for before, after, _ in chains[job.id]:
            if before != state:
                yield f"job {job.id}: the history goes on from {before or 'new'}, but it was {state or 'new'}"
            if (before, after) not in PATHS:
                yield f"job {job.id}: {before or 'new'} to {after} is no transition"
            state = after
        if state != job.state:
            yield f"job {job.id} is {job.state}, its history ends with {state or 'nothing'}"
        if job.state in ENDS and not (chains[job.id] and chains[job.id][-1][2]):
            yield f"job {job.id} is {job.state} without a reason"


def the_queue_keeps_its_order(evidence: Evidence) -> Iterator[str]:
    """j. Jobs that waited before and after a restart wait in the same order."""
    for order in evidence.orders:
        both = (set(order.before) & set(order.after)) - order.touched
        before = [job for job in order.before if job in both]
        after = [job for job in order.after if job in both]
        if before != after:
            yield f"{order.what}: the queue was {before} and is {after}"


def no_secret_is_told(evidence: Evidence) -> Iterator[str]:
    """k. No token, key or password stands in a log, the broker, the database, or a stored file."""
    yield from (f"a secret in {place}" for place in evidence.told)


def streams_are_contiguous(evidence: Evidence) -> Iterator[str]:
    """Live view: across all reconnects each viewer got every event of its job once and in order."""
    seen: dict[tuple[str, int], int] = {}
    for entry in evidence.journal:
        if entry.op != "stream" or entry.job is None or "first" not in entry.more:
            continue
        key = (entry.actor, entry.job)
        first, last, whole = entry.more["first"], entry.more["last"], entry.more["whole"]
        if first != seen.get(key, 0) + 1 or not whole:
            yield f"{entry.actor}, job {entry.job}: events {first}..{last} after {seen.get(key, 0)}, whole: {whole}"
        seen[key] = last


def only_faults_fail_a_job(evidence: Evidence) -> Iterator[str]:
    """No job fails but by three ends of its machines, and trainings do succeed: otherwise the run proved nothing."""
    for job in evidence.jobs:
        if job.state == "failed" and job.reason_code != "crashed_worker":
            yield f"job {job.id} failed with {job.reason_code or 'no reason'}"
    ended = [job for job in evidence.jobs if job.state in ("succeeded", "failed")]
    if ended and 2 * sum(job.state == "succeeded" for job in ended) < len(ended):
        yield f"of {len(ended)} jobs that nobody cancelled, fewer than half succeeded"


INVARIANTS: dict[str, Invariant] = {
    "a": every_accepted_job_has_ended,
    "b": writes_never_interleave,
    "c": ended_attempts_write_nothing,
    "d": steps_are_whole,
    "e": nothing_starts_after_a_cancel,
    "f": artifacts_are_what_they_say,
    "g": nothing_is_left_over,
    "h": no_answer_is_a_fault_of_ours,
    "i": histories_are_paths,
    "j": the_queue_keeps_its_order,
    "k": no_secret_is_told,
    "live": streams_are_contiguous,
    "use": only_faults_fail_a_job,
}


def broken(evidence: Evidence) -> dict[str, list[str]]:
    """What each invariant found; an empty list for one that holds."""
    return {name: list(invariant(evidence)) for name, invariant in INVARIANTS.items()}
