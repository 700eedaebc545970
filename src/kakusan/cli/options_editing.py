"""Options for pictures drawn from a picture: redrawn, painted anew in part, grown, or by their depth."""

from pathlib import Path

from ..errors import KakusanError
from ..messages import tr
from .parser import Arguments, Parser

NEEDS_PICTURE = (
    *("mask", "mask_invert", "mask_blur", "fill", "only_masked", "mask_padding", "outpaint", "strength", "strength_rule"),
    *("resize", "loopback", "depth", "save_depth", "noise_level"),
)


def add_arguments(parser: Parser) -> None:
    """The picture, the mask, and what becomes of them."""
    add = parser.add_argument
    add("--image", metavar="FILE", type=Path, help=tr("a picture to begin with, or a folder of them", "元になる画像、またはそのフォルダー"))
    add("--strength", type=float, metavar="X", help=tr("how much of it is drawn anew, 0 to 1", "どれだけ描き直すか、0 から 1"))
    rule = tr("how strength is counted: diffusers (default) or compvis", "強さの数え方: diffusers (既定値) か compvis")
    add("--strength-rule", metavar="NAME", help=rule)
    resize = tr("other proportions: crop (default), stretch, fill or latent", "縦横比が違うとき: crop (既定値), stretch, fill, latent")
    add("--resize", metavar="HOW", help=resize)
    loopback = tr("then draw the result anew N times more", "できた絵からさらに N 回描き直す")
    add("--loopback", type=int, metavar="N", help=loopback)
    factor = tr("what strength is multiplied with each time (default: 1)", "そのたびに強さに掛ける数 (既定値: 1)")
    add("--loopback-factor", type=float, metavar="X", default=1.0, help=factor)
    mask = tr(
        "where to paint: white; for a folder also a folder, same names", "描く所を白にした画像。フォルダーなら同じ名前のフォルダーも可"
    )
    add("--mask", metavar="FILE", type=Path, help=mask)
    add("--mask-invert", action="store_true", help=tr("paint what is black in the mask", "マスクの黒い所を描く"))
    add("--mask-blur", type=int, metavar="N", help=tr("soften its edge by N pixels", "マスクの境目を N 画素ぼかす"))
    fill = tr("under the mask first: original, fill, noise or nothing", "マスクの下に敷くもの: original, fill, noise, nothing")
    add("--fill", metavar="WHAT", help=fill)
    only = tr("draw the masked part alone, as large as the model draws", "マスクの部分だけをモデルの大きさで描く")
    add("--only-masked", action="store_true", help=only)
    padding = tr("with N pixels round it (default: 32)", "その周りに付ける余白の画素数 (既定値: 32)")
    add("--mask-padding", type=int, metavar="N", help=padding)
    outpaint = tr("pixels to grow by: left,right,up,down, or one number", "広げる画素数: 左,右,上,下。または数 1 つ")
    add("--outpaint", metavar="L,R,U,D", help=outpaint)
    add("--depth", metavar="FILE", type=Path, help=tr("depth for a depth model, bright is near", "奥行きモデル用の奥行き、明るいほど手前"))
    add("--save-depth", action="store_true", help=tr("save the depth that is used, too", "使う奥行きの画像も保存"))
    add("--noise-level", type=int, metavar="N", help=tr("for an upscaling model", "拡大用モデルのノイズレベル"))


def model(args: Arguments) -> str | None:
    """The model to draw with: the one that is named, or the embedded one that can do what is asked."""
    depth = args.depth is not None or args.save_depth
    return args.model or ("embedded-depth" if depth and args.image is not None else None)


def given(args: Arguments) -> dict[str, object]:
    """What the options say, by the names of `Pipeline.__call__`; all but the pictures. Raises KakusanError on options without --image."""
    if args.image is None:
        for name in NEEDS_PICTURE:
            if getattr(args, name) not in (None, False):
                option = "--" + name.replace("_", "-")
                raise KakusanError(
                    f"{option} is for a picture; give it with --image", f"{option} は画像用です。--image で画像を渡してください"
                )
    from ..tasks.area import WHOLE, Area

    padding = WHOLE.padding if args.mask_padding is None else args.mask_padding
    area = Area(args.mask_blur or 0, args.mask_invert, args.only_masked, padding, _sides(args.outpaint))
    return {
        "strength": args.strength,
        "fill": args.fill,
        "noise_level": args.noise_level,
        "rule": args.strength_rule,
        "resize": args.resize or "crop",
        "area": area,
    }


def _sides(text: str | None) -> tuple[int, int, int, int]:
    if text is None:
        return (0, 0, 0, 0)
    try:
        sides = [int(part) for part in text.split(",")]
        left, right, up, down = sides * 4 if len(sides) == 1 else sides
    except ValueError as error:
        raise KakusanError(
            f"--outpaint is {text!r}; it must be four numbers of pixels, like 64,0,0,0, or one for all sides",
            f"--outpaint が {text!r} です。64,0,0,0 のような 4 つの画素数か、全方向なら 1 つにしてください",
        ) from error
    return left, right, up, down
