"""scripts/img2img.py: `python -m kakusan.compat.compvis.img2img`, or `kakusan img2img`."""

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import KakusanError
from ...images import COMPOSITE
from ...messages import tr
from .opening import found, notes, opened
from .script import Ready

if TYPE_CHECKING:
    from torch import Tensor

    from ...safety.marks import Watermark
    from .levels import Walk
    from .noise import Stream

STEPS, SCALE = 50, 5.0
MULTIPLE = {"quick_gelu": 32, "gelu": 64}
"""What sides are cut to multiples of: 64 in the script of Stable Diffusion 2, told by OpenCLIP's activation in the text tower."""


def prepare(args: Namespace) -> Ready:
    """Open model and picture and settle everything. Raises KakusanError, in one line, on what cannot be done."""
    if args.plms:
        raise KakusanError("img2img samples with DDIM; leave out --plms", "img2img のサンプラーは DDIM だけです。--plms を外してください")
    if args.init_img is None:
        raise KakusanError("no picture; name one with --init-img", "画像がありません。--init-img で指定してください")
    ckpt, config = found(args)
    from ...run import run
    from ...tasks.img2img import encoded
    from . import levels
    from .batches import Batches, prompts
    from .noise import Stream
    from .pictures import read_picture

    words = prompts(args)
    pipe = opened(args, ckpt, config)
    own = pipe.defaults if ckpt is None else None  # the embedded model has a size and a taste of its own
    image = read_picture(args.init_img, MULTIPLE[pipe.model.text.config.activation], min(own.width, own.height) if own else None)
    steps = (own.steps if own else STEPS) if args.ddim_steps is None else args.ddim_steps
    scale = (own.scale if own else SCALE) if args.scale is None else args.scale
    walk = levels.redrawing(levels.ddim(pipe.model.schedule, steps, args.ddim_eta), steps, args.strength)
    moments = run(encoded(image), pipe.networks)  # 2 c h w
    stream = Stream(args.seed, (args.n_samples, *moments[0].shape), args.rng)
    batches = Batches(pipe, words, args.n_iter, walk, scale, stream, _start(moments, stream, walk, args))
    said = [*notes(args, ckpt), *pipe.model.notes, *batches.notes(), *_strength_note(args.strength, steps, len(walk.sigmas) - 1)]
    mark: Watermark = "sd" if pipe.model.family == "sd2" else "off"  # only version 2's script writes one
    after = pipe.afterwards(None if args.safety_checker else "off", mark)  # and none asks a checker
    columns = args.n_rows if args.n_rows > 0 else args.n_samples
    return Ready(batches.pictures, columns, said, batches.steps(), after, COMPOSITE)


def _start(moments: "Tensor", stream: "Stream", walk: "Walk", args: Namespace) -> "Callable[[], Tensor]":
    """Latents with these moments (2 c h w), drawn once for all batches, with new noise for each, or with the same (--fixed_code).

    The scripts draw the latents on the CPU wherever they draw the rest.
    """
    import torch

    from ...tasks.img2img import noised, sampled
    from .noise import Stream

    first = stream if args.rng == "cpu" else Stream(args.seed, stream.shape)
    latents = [sampled(moments, noise) for noise in first.draw()]  # n of c h w
    code = stream.draw() if args.fixed_code else None

    def start() -> "Tensor":
        fresh = stream.draw() if code is None else code  # n c h w
        return torch.stack([noised(z, e, walk.noised_to, walk.sigmas[0]) for z, e in zip(latents, fresh, strict=True)])

    return start


def _strength_note(strength: float, steps: int, kept: int) -> list[str]:
    if int(strength * steps) == kept:
        return []
    return [
        tr(
            f"strength {strength:g} is drawn in {kept} steps, the most there are",
            f"strength {strength:g} は最大の {kept} ステップで描きます",
        )
    ]


if __name__ == "__main__":
    import sys

    from kakusan.cli import main  # what is started stands above all layers, wherever it lies

    sys.exit(main(["img2img", *sys.argv[1:]]))
