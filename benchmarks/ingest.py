"""How long a JSONL file of chats takes to be checked and stored, beside reading it with the fastest reader alone.

`python -m benchmarks.ingest [MEGABYTES]` (default 200) prints a table: seconds, bytes a second, the child's memory.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from webapp.datasets.checking import check

MIB = 1024**2
WORDS = ("the", "model", "learns", "from", "text", "and", "answers", "people", "about", "weather", "trains")
READ_ALONE = "import sys, orjson\nfor line in open(sys.argv[1], 'rb'):\n    orjson.loads(line)\n"


def write_chats(path: Path, size: int) -> int:
    """Rows of three turns, about 1 KB each; answers with their number."""
    chance, rows, written = random.Random(1), 0, 0
    with path.open("wb") as file:
        while written < size:
            said = [" ".join(chance.choices(WORDS, k=count)) for count in (20, 40, 110)]
            turns = [
                {"role": role, "content": text}
                for role, text in zip(("system", "user", "assistant"), said, strict=True)
            ]
            written += file.write(json.dumps({"messages": turns, "id": rows}).encode() + b"\n")
            rows += 1
    return rows


def read_alone(path: Path) -> float:
    """Seconds that a process needs that only parses every line with orjson."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", READ_ALONE, str(path)], check=True)
    return time.perf_counter() - start


def main(megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, destination = Path(folder) / "chats.jsonl", Path(folder) / "rows.jsonl"
        rows = write_chats(source, megabytes * MIB)
        alone = read_alone(source)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        report = check(source, "chats.jsonl", destination)
        taken = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (report.state, report.rows["good"]) == ("ready", rows), report.problems
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{megabytes} MiB, {rows:,} chats")
    print(f"read with orjson alone    {alone:8.1f} s wall")
    print(f"checked and stored        {taken:8.1f} s wall  {cpu:8.1f} s of processor  {megabytes / taken:6.1f} MiB/s")
    print(f"largest child so far      {after.ru_maxrss / 1024:8.1f} MiB of memory")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
