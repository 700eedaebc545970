"""Changed checkpoint files by the ten thousand: each is read bit for bit as another reader reads it, or refused in one line.

    python benchmarks/fuzz_checkpoints.py [--count 10000] [--seed 0] [--format zip old safetensors] [--keep FOLDER]

While a file is read an audit hook counts everything but opening that file and mapping it as harm: imports, compiling, running code,
starting processes, sockets, other files. Time is CPU seconds a file; memory is what a file made the process grow at most.
The other reader is the library for safetensors, and Python's unpickler with stand-ins for classes for the two torch formats.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from formats.fuzz import FORMATS, Verdict, cases, judge


def main() -> None:
    """Judge them all, print a line for each format, and exit with 1 if any was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="files of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--keep", type=Path, help="folder for the files that were read wrongly")
    args = parser.parse_args()
    wrong = sum(run(form, args.count, args.seed, args.keep) for form in args.format)
    raise SystemExit(wrong > 0)


def run(form: str, count: int, seed: int, keep: Path | None) -> int:
    """How many files of one format were read wrongly."""
    verdicts: list[Verdict] = []
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for i, (honest, data) in enumerate(cases(form, count, seed)):
            verdicts.append(judge(form, honest, data, Path(folder)))
            if verdicts[-1].wrong:
                print(f"{form} {i}: {verdicts[-1].outcome}", flush=True)
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{seed}-{i}.{form}").write_bytes(data)
    outcomes = Counter("wrong" if verdict.wrong else verdict.outcome for verdict in verdicts)
    seconds = sorted(verdict.seconds for verdict in verdicts)
    print(
        f"{form:12} {count} files: {outcomes['refused']} refused in one line, {outcomes['equal']} equal to the file before, "
        f"{outcomes['changed']} with other numbers as another reader finds them, {outcomes['wrong']} wrong; "
        f"CPU {statistics.median(seconds) * 1000:.1f} ms in the median, {seconds[-1] * 1000:.0f} ms at most; "
        f"memory +{max(verdict.memory - verdict.size for verdict in verdicts) / 2**20:.1f} MB at most beyond the file; "
        f"{time.perf_counter() - start:.0f} s in all",
        flush=True,
    )
    return outcomes["wrong"]


if __name__ == "__main__":
    main()
