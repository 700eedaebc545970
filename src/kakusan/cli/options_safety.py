"""Options for what becomes of finished pictures: the safety checker, the watermark, the format."""

from typing import TYPE_CHECKING, TypedDict

from ..messages import tr
from .parser import Arguments, Parser

if TYPE_CHECKING:
    from ..safety.afterwards import Safety
    from ..safety.marks import Watermark

SAFETY, WATERMARK, FORMAT = ("off", "flag", "blur", "black"), ("auto", "off", "sd", "robust"), ("png", "jpeg", "webp")


class Loading(TypedDict):
    """What `kakusan.load` takes of these."""

    safety: "Safety | None"
    safety_checker: str | None
    watermark: "Watermark"


def add_arguments(parser: Parser) -> None:
    """Safety, watermark and format."""
    add = parser.add_argument
    safety = tr(
        "what to do with pictures that the safety checker flags: off, flag, blur, black (default: black, if the model has a checker)",
        "セーフティチェッカーが検出した画像の扱い: off, flag, blur, black (既定値: モデルに付いていれば black)",
    )
    add("--safety", choices=SAFETY, metavar="HOW", help=safety)
    named = tr(
        'folder of a safety checker, or "embedded", which flags bananas (default: the model\'s own)',
        "セーフティチェッカーのフォルダー。embedded ならバナナを検出 (既定値: モデルに付属のもの)",
    )
    add("--safety-checker", metavar="FOLDER", help=named)
    mark = tr(
        "invisible watermark: auto (from 256 pixels on), off, sd, robust (default: auto)",
        "見えない透かし: auto (256 画素以上で入れる), off, sd, robust (既定値: auto)",
    )
    add("--watermark", choices=WATERMARK, metavar="KIND", default="auto", help=mark)
    add("--format", choices=FORMAT, metavar="NAME", default="png", help=tr("png, jpeg or webp", "png, jpeg, webp のどれか"))


def loading(args: Arguments) -> Loading:
    """What the options say, by the names of `kakusan.load`."""
    return {"safety": args.safety, "safety_checker": args.safety_checker, "watermark": args.watermark}
