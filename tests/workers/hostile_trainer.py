"""A trainer that tries to break out: `python hostile_trainer.py TRIES JOB_DIR FACTS`: names with commas, facts as JSON.

Each try, on each of the facts' paths, returns if it got what it wanted and raises if it was refused; the event pipe
says which.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[2])
MADE = FOLDER / "made"
FACTS: dict[str, Any] = json.loads(sys.argv[3])
PIPE = int(os.environ["DELTABOARD_EVENT_FD"])
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER = 0x10000000
PTRACE_ATTACH = 16
TRIED: list[str] = []
MOST_CHILDREN = 300
"""A bomb with a fuse: it stops by itself if nothing else stops it."""


def say(**facts: Any) -> None:
    data = json.dumps({"kind": "log", "text": json.dumps(facts)}).encode() + b"\n"
    while data:
        data = data[os.write(PIPE, data) :]


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def own(name: str) -> Path:
    """A path of this try alone: `exists already` would look like a refusal."""
    return MADE / f"{len(TRIED)}-{name}"


def read() -> None:
    Path(FACTS["path"]).read_bytes()


def list_folder() -> None:
    list(Path(FACTS["path"]).iterdir())


def read_by_symbolic_link() -> None:
    own("link").symlink_to(FACTS["path"])
    own("link").read_bytes()


def read_by_hard_link() -> None:
    os.link(FACTS["path"], own("hard"))
    own("hard").read_bytes()


def write() -> None:
    with Path(FACTS["path"]).open("ab") as file:
        file.write(b"hostile")


def write_by_symbolic_link() -> None:
    own("link").symlink_to(FACTS["path"])
    own("link").write_bytes(b"hostile")


def write_by_hard_link() -> None:
    os.link(FACTS["path"], own("hard"))
    own("hard").write_bytes(b"hostile")


def make_beside() -> None:
    (Path(FACTS["path"]).parent / "new").write_bytes(b"hostile")


def rename_away() -> None:
    own("file").write_bytes(b"hostile")
    own("file").rename(Path(FACTS["path"]).parent / "new")


def truncate() -> None:
    os.truncate(FACTS["path"], 0)


def change_mode_and_write() -> None:
    Path(FACTS["path"]).chmod(0o666)
    write()


def remove() -> None:
    Path(FACTS["path"]).unlink()


def replace() -> None:
    own("file").write_bytes(b"hostile")
    own("file").replace(FACTS["path"])


def link_and_change() -> None:
    """An input as a file of its own folder, where it may write."""
    os.link(FACTS["path"], own("hard"))
    own("hard").chmod(0o666)
    own("hard").write_bytes(b"hostile")


def connect() -> None:
    with socket.create_connection((FACTS["host"], FACTS["port"]), timeout=2):
        pass


def connect_to_named_socket() -> None:
    with socket.socket(socket.AF_UNIX) as any_socket:
        any_socket.connect(FACTS["path"])


def connect_to_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX) as any_socket:
        any_socket.connect(f"\0{FACTS['name']}")


def talk_over_own_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        other, _ = server.accept()
        with other:
            one.sendall(b"hello")
            assert other.recv(5) == b"hello"


def fork_bomb() -> None:
    for _ in range(MOST_CHILDREN):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)


def fill_the_disk() -> None:
    with (MADE / "huge").open("wb") as file:
        for _ in range(64):
            file.write(b"x" * 1024 * 1024)
            file.flush()


def take_all_memory() -> None:
    held = bytearray(FACTS["bytes"])
    held[::4096] = b"x" * len(held[::4096])


def open_many_files() -> None:
    for _ in range(5000):
        os.open("/dev/null", os.O_RDONLY)


def flood_the_pipe() -> None:
    for _ in range(50):
        os.write(PIPE, b"x" * 1024 * 1024)
    os.write(PIPE, b"\n")
    for _ in range(20_000):
        os.write(PIPE, b"spam spam spam\n")


def outlive() -> None:
    """A grandchild in its own session, without mark, pipes or parent."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 100)
            os.execve(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(600)", FACTS["mark"]], {})
        os._exit(0)
    time.sleep(0.3)


def ptrace() -> None:
    checked(LIBC.ptrace(PTRACE_ATTACH, FACTS["pid"], None, None))


def send_signal() -> None:
    os.kill(FACTS["pid"], signal.SIGUSR1)


def become_another_user() -> None:
    os.setresuid(FACTS["user"], FACTS["user"], FACTS["user"])


def run_a_setuid_program() -> None:
    """A root of its namespace may own a setuid file; nobody gains by running it, itself least of all."""
    shutil.copyfile("/usr/bin/id", MADE / "id")
    (MADE / "id").chmod(0o6755)
    assert subprocess.run([MADE / "id"], capture_output=True, check=False).returncode == 0


def gain_rights_by_a_namespace() -> None:
    checked(LIBC.unshare(CLONE_NEWUSER))


def mount() -> None:
    checked(LIBC.mount(b"tmpfs", os.fsencode(MADE), b"tmpfs", 0, None))


def change_root() -> None:
    os.chroot(MADE)


def look_around() -> None:
    """Not a try: what it holds, for the test to judge."""
    descriptors = sorted(int(each.name) for each in Path("/proc/self/fd").iterdir())
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    say(descriptors=descriptors, pipe=PIPE, environment=dict(os.environ), status=status)


def main(attempt: Callable[[], None]) -> None:
    TRIED.append(attempt.__name__)
    about = {"attempt": attempt.__name__, "path": FACTS.get("path")}
    try:
        attempt()
    except OSError as error:
        say(**about, refused=f"{type(error).__name__}: {error}")
    else:
        say(**about, refused=None)


if __name__ == "__main__":
    for name in sys.argv[1].split(","):
        for path in FACTS.get("paths", [None]):
            FACTS["path"] = path
            main(globals()[name])
