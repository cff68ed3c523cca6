"""The environment is made for real, in a copy of the launcher whose only package is pip: nothing is fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.folders import ROOT
from launcher.installing import Progress, reason

PROJECT = """\
[project]
dependencies = ["pip"]
[project.optional-dependencies]
worker = ["setuptools"]
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "my clone"
    shutil.copytree(ROOT / "launcher", folder / "launcher", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", folder)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "constraints.txt").touch()
    return folder


def make(clone: Path, program: str = "manage.py", group: str = "site") -> subprocess.CompletedProcess[str]:
    """Runs `manage.py install` there, outside of any environment."""
    base = getattr(sys, "_base_executable", sys.executable)
    environment = {name: text for name, text in os.environ.items() if name != "DELTABOARD_NO_BOOTSTRAP"}
    return subprocess.run([base, program, "install", group], cwd=clone, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_environment_is_made_once_and_completed_when_it_is_half_made(clone: Path) -> None:
    first = make(clone)
    assert first.stdout.startswith("Installing the site's packages into .venv (about")
    assert make(clone).stdout == ""

    (clone / ".venv" / "deltaboard-site.stamp").unlink()
    assert "The environment in .venv is half made; completing it." in make(clone).stdout

    (clone / ".venv" / "bin" / "python").unlink()
    assert "half made or belongs to another Python; making it anew." in make(clone).stdout
    assert make(clone).stdout == ""


@pytest.mark.slow
def test_an_environment_with_a_package_cut_off_half_way_is_made_anew(clone: Path) -> None:
    make(clone)
    (clone / ".venv" / "deltaboard-site.stamp").unlink()
    next((clone / ".venv" / "lib").glob("*/site-packages/pip-*.dist-info/RECORD")).unlink()
    assert "making it anew." in make(clone).stdout
    assert make(clone).stdout == ""


@pytest.mark.slow
def test_a_changed_package_list_is_installed_and_nothing_else(clone: Path) -> None:
    make(clone)
    (clone / "pyproject.toml").write_text(PROJECT.replace('"pip"', '"pip>=1"'))
    changed = make(clone)
    assert changed.returncode == 0
    assert "Installing the site's packages" in changed.stdout
    assert "half made" not in changed.stdout


@pytest.mark.slow
def test_a_package_that_cannot_be_had_is_one_sentence(clone: Path) -> None:
    (clone / "pyproject.toml").write_text(PROJECT.replace('"pip"', '"pip<0.1"'))
    failed = make(clone)
    assert failed.returncode == 1
    assert failed.stderr.startswith("pip could not install the packages: No matching distribution found for pip<0.1")
    assert len(failed.stderr.splitlines()) == 1


def test_a_python_without_venv_is_told_what_to_install(clone: Path) -> None:
    (clone / "bare.py").write_text(
        "import sys; sys.modules['ensurepip'] = None; import launcher.commands as c; sys.exit(c.run(sys.argv[1:]))"
    )
    failed = make(clone, "bare.py")
    assert failed.returncode == 1
    assert "apt install python3-venv" in failed.stderr
    assert not (clone / ".venv").exists()


def test_pips_disk_full_is_said_plainly(tmp_path: Path) -> None:
    lines = ["Installing collected packages: torch", "ERROR: Could not install packages due to an OSError: [Errno 28]"]
    assert reason(lines, tmp_path).startswith("The disk became full during the installation.")


def test_progress_counts_packages_and_megabytes() -> None:
    progress = Progress()
    for line in (
        "WARNING: Location 'file:///srv/simple/numpy/' is ignored: it is neither a file nor a directory.",
        "Collecting numpy~=2.4.0",
        "  Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (6 kB)",
        "  Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (18.5 MB)",
        "Processing /srv/wheels/torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl (from deltaboard)",
        "  Using cached six-1.17.0-py2.py3-none-any.whl (500 kB)",
    ):
        progress.read(line)
    assert str(progress) == "3 packages, 19 MB: six"
