"""From the start of a process to a saved picture, embedded model: ours against diffusers with the same folder.

    python benchmarks/cold_start.py [--rounds 5] [--steps 20]

Both draw the same prompt with the same seed, size, steps and guidance, and save a PNG. Processes run in turn, A B A B; what counts is
CPU time (user and system, the process and its children), which a busy machine disturbs less than the clock. The floor is
`import torch` alone.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import kakusan.loading

PROMPT = "a red apple on a blue background"
OURS = "from kakusan.cli import main; raise SystemExit(main({args!r}))"
DIFFUSERS = """
import torch
from diffusers import StableDiffusionPipeline
pipe = StableDiffusionPipeline.from_pretrained({folder!r}, local_files_only=True, safety_checker=None)
image = pipe({prompt!r}, num_inference_steps={steps}, guidance_scale=3.0, generator=torch.Generator().manual_seed(7)).images[0]
image.save({file!r})
"""
FLOOR = "import torch"


def main() -> None:
    """Run in turn, print medians and the ratio."""
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        programs = {
            "kakusan": OURS.format(
                args=["txt2img", "-p", PROMPT, "--seed", "7", "--steps", str(args.steps), "--outdir", folder, "--quiet"]
            ),
            "diffusers": DIFFUSERS.format(
                folder=str(kakusan.loading.EMBEDDED), prompt=PROMPT, steps=args.steps, file=f"{folder}/diffusers.png"
            ),
            "import torch (floor)": FLOOR,
        }
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
        for _ in range(args.rounds):
            for name, program in programs.items():
                measured[name].append(cpu_seconds(program))
        made = len(list(Path(folder).glob("*.png")))
    print(f"{args.rounds} rounds, {args.steps} steps, {made} pictures saved; medians")
    medians = {name: tuple(statistics.median(column) for column in zip(*rows, strict=True)) for name, rows in measured.items()}
    for name, (cpu, wall) in medians.items():
        print(f"{name:22} {cpu:6.2f} CPU s   {wall:6.2f} s by the clock")
    print(f"diffusers needs {medians['diffusers'][0] / medians['kakusan'][0]:.2f} times the CPU seconds of kakusan")


def cpu_seconds(program: str) -> tuple[float, float]:
    """CPU and wall seconds of one fresh Python process that runs `program`. Raises RuntimeError if it fails."""
    before, start = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    after, stop = os.times(), time.perf_counter()
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return after.children_user + after.children_system - before.children_user - before.children_system, stop - start


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
