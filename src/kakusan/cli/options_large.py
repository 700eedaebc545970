"""Options for pictures larger than the model's own, and for pictures without an edge."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..messages import tr
from .parser import Arguments, Parser

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..result import Step
    from .plan import Plan

OWN = -1
WAYS, AXES, METHODS = ("latent", "pixels"), ("x", "y", "xy"), ("model", "latent", "lanczos")


def add_arguments(parser: Parser) -> None:
    """Windows, two passes, tiling, and making the result larger."""
    add = parser.add_argument
    windows = tr(
        "for large pictures: the model sees N pixels at a time, blended at every step (default: its own size)",
        "大きな絵用: モデルが一度に N 画素ずつ見て、毎ステップ混ぜ合わせる (既定値: モデル本来の大きさ)",
    )
    add("--windows", type=int, nargs="?", const=OWN, metavar="N", help=windows)
    hires = tr(
        "for large pictures: draw in the model's own size first, enlarge the latent (default) or the pixels, draw again",
        "大きな絵用: まずモデル本来の大きさで描き、latent (既定値) か pixels を拡大してもう一度描く",
    )
    add("--hires", choices=WAYS, nargs="?", const="latent", metavar="HOW", help=hires)
    strength = tr("how much is then drawn anew, 0 to 1 (default: 0.6)", "そのとき描き直す強さ、0 から 1 (既定値: 0.6)")
    add("--hires-strength", type=float, metavar="X", help=strength)
    tileable = tr("copies of the picture fit side by side: x, y or xy (default)", "並べても継ぎ目のない絵にする向き: x, y, xy (既定値)")
    add("--tileable", choices=AXES, nargs="?", const="xy", metavar="AXES", help=tileable)
    add(
        "--upscale", type=int, choices=(2, 4), metavar="N", help=tr("make the result 2 or 4 times as large", "できた絵を 2 倍か 4 倍にする")
    )
    method = tr(
        "how: model, latent or lanczos (default: model, if there is one)", "その方法: model, latent, lanczos (既定値: あれば model)"
    )
    add("--upscale-method", choices=METHODS, metavar="HOW", help=method)


def given(args: Arguments) -> dict[str, object]:
    """What the options say, by the names of `Pipeline.recipes`. Raises KakusanError on what cannot be."""
    from ..tasks.large import asked

    large = asked(True if args.windows == OWN else args.windows, args.tileable, args.hires)
    return {"large": large} | ({"strength": args.hires_strength} if args.hires and args.hires_strength is not None else {})


def notes(args: Arguments) -> list[str]:
    """What to tell the user before anything is drawn."""
    from ..loading import shipped
    from ..upscaling import no_model

    there = args.upscale_method is not None or shipped("upscaling")
    return [no_model()] if args.upscale and not there else []


def enlarged(plan: "Plan", args: Arguments) -> "Iterator[tuple[Step, Image | None]]":
    """The steps of a plan with their depths, the finished pictures as large as --upscale says."""
    for step, depth in plan.steps():
        yield (step if step.image is None or not args.upscale else _larger(plan, args, step)), depth


def _larger(plan: "Plan", args: Arguments, step: "Step") -> "Step":
    recipe = step.recipe or plan.recipes[step.picture]
    assert step.image is not None
    result = plan.pipe.upscaled(step.image, recipe.prompt, by=args.upscale, method=args.upscale_method, seed=recipe.seed)
    how = args.upscale_method or ("model" if result.recipes else "lanczos")
    large = replace(recipe.large, upscale=args.upscale, upscaler=how)
    mark = plan.pipe.afterwards().mark
    watermark = recipe.watermark if mark is None else mark(result.images[0]).kind
    return step._replace(image=result.images[0], recipe=replace(recipe, large=large, watermark=watermark))
