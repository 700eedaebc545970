"""scripts/txt2img.py: `python -m kakusan.compat.compvis.txt2img`, or `kakusan txt2img`."""

from argparse import Namespace
from collections.abc import Callable
from math import hypot
from typing import TYPE_CHECKING

from ...errors import KakusanError
from .opening import found, notes, opened, refuse_laion400m
from .script import Ready

if TYPE_CHECKING:
    from torch import Tensor

    from ...schedules import NoiseSchedule
    from .levels import Walk
    from .noise import Stream

SIZE, STEPS, SCALE = 512, 50, 7.5
LARGEST = 8192


def prepare(args: Namespace) -> Ready:
    """Open the model and settle everything. Raises KakusanError, in one line, on what cannot be done."""
    if args.laion400m:
        refuse_laion400m()
    _check(args)
    ckpt, config = found(args)
    from .batches import Batches, latent_shape, prompts
    from .noise import Stream

    words = prompts(args)
    pipe = opened(args, ckpt, config)
    own = pipe.defaults if ckpt is None else None  # the embedded model has a size and a taste of its own
    width, height = args.W or (own.width if own else SIZE), args.H or (own.height if own else SIZE)
    steps = (own.steps if own else STEPS) if args.ddim_steps is None else args.ddim_steps
    scale = (own.scale if own else SCALE) if args.scale is None else args.scale
    walk = _walk(args, pipe.model.schedule, steps)
    stream = Stream(args.seed, latent_shape(pipe, args, width, height), args.rng)
    batches = Batches(pipe, words, args.n_iter, walk, scale, stream, _start(stream, walk, args.fixed_code))
    return Ready(
        batches.pictures,
        args.n_rows if args.n_rows > 0 else args.n_samples,
        [*notes(args, ckpt), *pipe.model.notes, *batches.notes()],
        batches.steps(),
        pipe.afterwards(watermark="sd"),
    )


def _check(args: Namespace) -> None:
    for name in ("W", "H"):
        value = getattr(args, name)
        if value is not None and not (0 < value <= LARGEST and value % 8 == 0):
            near = min(max(64, round(value / 64) * 64), LARGEST)
            raise KakusanError(
                f"--{name} is {value}; it must be a multiple of 8 up to {LARGEST}: try {near}",
                f"--{name} が {value} です。{LARGEST} 以下の 8 の倍数にしてください。例: {near}",
            )
    if args.plms and args.dpm_solver:
        raise KakusanError("--plms and --dpm_solver are given; choose one", "--plms と --dpm_solver はどちらか 1 つにしてください")


def _walk(args: Namespace, schedule: "NoiseSchedule", steps: int) -> "Walk":
    from . import levels

    if args.dpm_solver:
        return levels.dpm_solver(schedule, steps)
    return levels.plms(schedule, steps, args.ddim_eta) if args.plms else levels.ddim(schedule, steps, args.ddim_eta)


def _start(stream: "Stream", walk: "Walk", fixed: bool) -> "Callable[[], Tensor]":
    """Noise in the size that x has at the first level: new for each batch, or drawn once, before everything else."""
    size = hypot(1, walk.sigmas[0])
    code = stream.draw() if fixed else None
    return lambda: size * (stream.draw() if code is None else code)


if __name__ == "__main__":
    import sys

    from kakusan.cli import main  # what is started stands above all layers, wherever it lies

    sys.exit(main(["txt2img", *sys.argv[1:]]))
