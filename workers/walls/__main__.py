"""`python -m workers.walls outer|inner PLAN COMMAND…`: put up walls, then become the command.

The outer stage needs the worker's own rights and stands before the namespaces, the inner one runs inside of them.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from workers.walls import kernel, landlock, loopback, view
from workers.walls.plan import CANNOT, Plan

USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")


def main(arguments: list[str]) -> int:
    stage, text, *command = arguments
    plan = Plan.from_text(text)
    try:
        (outer if stage == "outer" else inner)(plan)
        os.execvp(command[0], command)  # replaced from here on
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"The walls around the training could not be put up ({stage}): {error!r}\n")
    return CANNOT


def outer(plan: Plan) -> None:
    """Join the limits of memory, see no other files, become the user of the slot."""
    for folder in plan.cgroups:
        Path(folder, "cgroup.procs").write_text(str(os.getpid()))
    if plan.user:
        if plan.own_view:
            view.enter(plan.rules)
        os.setgroups([])
        os.setresgid(plan.user, plan.user, plan.user)
        os.setresuid(plan.user, plan.user, plan.user)
        _end_with(plan.parent)


def _end_with(parent: int) -> None:
    """Asked for again: a change of user takes the death signal away."""
    kernel.checked(kernel.LIBC.prctl(kernel.PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0))
    if os.getppid() != parent:
        sys.exit("the worker is gone")  # it died before the signal was asked for


def inner(plan: Plan) -> None:
    if plan.loopback:
        loopback.bring_up()
    if plan.own_view and not plan.user:
        view.enter(plan.rules)
    if plan.last_namespace:
        USER_NAMESPACES.write_text("0")  # of this namespace; the machine's own number stays
    _limit(resource.RLIMIT_CORE, 0)
    for kind, most in (
        (resource.RLIMIT_FSIZE, plan.file_bytes),
        (resource.RLIMIT_NPROC, plan.processes),
        (resource.RLIMIT_NOFILE, plan.open_files),
    ):
        if most:
            _limit(kind, most)
    if plan.file_rules:
        landlock.restrict(plan.rules, tcp=plan.no_tcp)


def _limit(kind: int, most: int) -> None:
    """Set a limit for good, never above what the host already allows."""
    _, allowed = resource.getrlimit(kind)
    most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
