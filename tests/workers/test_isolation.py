"""What a host allows is found out, named and used: with rights, without them, and with none of the tools."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.conftest import Notebook, toy_launch
from tests.workers.reference_site import TIMINGS
from workers import cgroups, isolation
from workers.isolation import FIRST_USER, Enclosed, Isolation, here
from workers.limits import LIMITS_VARIABLE, Limits
from workers.orders import Orders
from workers.protocol import LAYERS, JobFolder, missing_layers
from workers.supervisor import supervise
from workers.walls import landlock
from workers.walls.files import REPOSITORY, Rule

needs_root = pytest.mark.skipif(not here().separate_user, reason="missing here: separate_user")


def test_every_layer_has_its_words() -> None:
    walls = {each.name for each in dataclasses.fields(Isolation)} - {"limits"}
    assert {layer.name for layer in LAYERS} == walls == set(here().as_json())
    for layer in LAYERS:
        assert layer.protects.endswith(".")
        assert layer.missing.endswith(".")


def test_what_is_missing_is_named_in_order() -> None:
    all_of_them = dict.fromkeys((layer.name for layer in LAYERS), True)
    assert missing_layers(all_of_them) == ()
    assert [layer.name for layer in missing_layers(all_of_them | {"no_network": False})] == ["no_network"]
    assert missing_layers({}) == LAYERS  # a worker that says nothing has proved nothing


def test_a_host_without_the_tools_has_fewer_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a slim container or on macOS: nothing crashes, and what needs the tools is not claimed."""
    monkeypatch.setenv("PATH", "/nowhere")
    found = isolation._best(Isolation(), isolation._worth_trying(landlock.version()))
    assert not any((found.death_signal, found.process_namespace, found.no_network, found.separate_user))
    assert found.size_limits
    assert found.file_rules is here().file_rules


def test_a_wall_that_does_not_stand_lets_nothing_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    isolation = Isolation(size_limits=True)
    wrapped = isolation.wrap(Enclosed(("touch", str(tmp_path / "ran")), tmp_path))
    broken = [each.replace('"own_view": false', '"own_view": true') for each in wrapped]
    result = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *broken],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 125
    assert "could not be put up (inner)" in result.stderr
    assert not (tmp_path / "ran").exists()


UNPRIVILEGED = """
import dataclasses, json, sys
from pathlib import Path
from tests.workers.conftest import Notebook, toy_launch
from tests.workers.reference_site import TIMINGS
from workers.isolation import here
from workers.orders import Orders
from workers.protocol import JobFolder
from workers.supervisor import supervise
folder = JobFolder(Path(sys.argv[1]))
folder.scratch.mkdir(parents=True)
line = Notebook()
exit = supervise(toy_launch("good", folder), line, TIMINGS, here(), Orders())
print(json.dumps({"layers": here().as_json(), "code": exit.returncode, "events": line.events}))
"""


@needs_root
def test_a_worker_without_rights_has_all_but_a_user_of_its_own(tmp_path: Path) -> None:
    """Run as somebody who owns one folder, behind this host's view of the files."""
    user = FIRST_USER + 400
    os.chown(tmp_path, user, user)
    plain = dataclasses.replace(Isolation(), own_view=True, separate_user=True)
    rules = (Rule(str(REPOSITORY), "read"), Rule("/dev/shm", "write"), Rule(sys.executable, "run"))
    command = (sys.executable, "-c", UNPRIVILEGED, str(tmp_path))
    planned = plain._plan(Enclosed(command, tmp_path, slot=400))
    planned = planned._replace(rules=tuple(sorted({*planned.rules, *rules})))
    outer = (*isolation.WALLS, "outer", planned.as_text(), *command)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)}
    result = subprocess.run(outer, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["code"] == 0, said["events"]
    lacking = {name for name, has in said["layers"].items() if not has}
    assert lacking <= {"separate_user", "memory_limit"}
    assert "separate_user" in lacking


@needs_root
def test_a_resumed_checkpoint_belongs_to_the_training(tmp_path: Path, notebook: Notebook) -> None:
    folder = JobFolder(tmp_path)
    (folder.checkpoints / "step-00000001").mkdir(parents=True)
    folder.scratch.mkdir()
    folder.spec.write_text("{}")
    folder.spec.chmod(0o600)
    supervise(toy_launch("good", folder), notebook, TIMINGS, here(), Orders())
    assert (folder.checkpoints / "step-00000001").stat().st_uid == here().user_of(0)
    assert folder.spec.stat().st_uid == os.geteuid()
    assert folder.spec.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(not here().memory_limit, reason="missing here: memory_limit")
def test_no_control_group_is_left_behind(tmp_path: Path, notebook: Notebook) -> None:
    JobFolder(tmp_path).scratch.mkdir(parents=True)
    supervise(toy_launch("good", JobFolder(tmp_path)), notebook, TIMINGS, here(), Orders())
    for parent in (cgroups.parents().memory, cgroups.parents().pids):
        assert parent is not None
        assert not list(parent.glob(f"deltaboard-{os.getpid()}-*"))


@pytest.mark.skipif(not here().memory_limit, reason="missing here: memory_limit")
def test_the_next_start_removes_the_groups_of_a_killed_worker() -> None:
    left = cgroups.Group(Limits(), cgroups.parents())
    cgroups.sweep()
    assert not any(Path(folder).exists() for folder in left.folders)


@pytest.mark.skipif(not here().memory_limit, reason="missing here: memory_limit")
def test_the_group_that_another_worker_has_just_made_is_left_to_it() -> None:
    parent = cgroups.parents().memory
    assert parent is not None
    theirs = parent / f"deltaboard-{os.getppid()}-justmade"
    theirs.mkdir()
    try:
        cgroups.sweep()
        assert theirs.exists()
    finally:
        theirs.rmdir()


def test_limits_are_read_from_the_environment() -> None:
    assert Limits.from_environment({}) == Limits()
    found = Limits.from_environment({LIMITS_VARIABLE: '{"processes": 100, "memory_bytes": 0}'})
    assert (found.processes, found.memory_bytes, found.file_bytes) == (100, 0, Limits().file_bytes)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"cores": 1}', "unknown limit `cores`; there are: memory_bytes"),
        ('{"processes": "many"}', "`processes` must be a whole number"),
        ('{"processes": -1}', "`processes` must be a whole number"),
        ('{"processes": true}', "`processes` must be a whole number"),
    ],
)
def test_a_wrong_limit_is_answered_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Limits.from_environment({LIMITS_VARIABLE: text})
