"""A sample of `benchmarks/fuzz_metadata.py`, in a process of its own: plain errors only, nothing executed, memory and time bounded."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_damaged_files_and_bombs() -> None:
    command = [sys.executable, "benchmarks/fuzz_metadata.py", "--count", "150", "--seed", "11"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = re.fullmatch(r"(\d+) files in \d+ s: (.*); memory gained (\d+) MB\n", done.stdout)
    assert told
    assert int(told[1]) > 150
    assert "with a recipe" in told[2]
    assert int(told[3]) < 200
