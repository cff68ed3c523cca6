"""Runs the supervisor over programs given as JSON: `python -m tests.launcher.supervise LOGS '[{"name": …}]'`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from launcher.processes import Program
from launcher.supervisor import Stopped, Supervisor, Timing

if __name__ == "__main__":
    timing = Timing(turn=0.02, first_delay=0.2, longest_delay=0.8, stage_limits=(0.5, 1.0, 1.5))
    try:
        with Supervisor(Path(sys.argv[1]), timing) as supervisor:
            for program in json.loads(sys.argv[2]):
                supervisor.start(Program(**program))
            while True:
                supervisor.turn()
    except Stopped:
        sys.stdout.write("ended\n")
