"""`kakusan verify`: where a picture comes from, as far as its file and its pixels tell."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..messages import tr
from .parser import Arguments, Parser
from .progress import said_if_slow
from .table import print_json, print_table

if TYPE_CHECKING:
    from ..evaluation.verify import Report

NAME = "verify"
HELP = ("tell where a picture comes from: watermark, recipe, and whether it draws the same", "画像の出どころ (透かし、生成情報) を確かめる")
FAILED = 4


def add_arguments(parser: Parser) -> None:
    """Which picture, and how thoroughly."""
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help=tr("a picture: PNG, JPEG or WebP", "画像 (PNG、JPEG、WebP)"))
    add("--regenerate", action="store_true", help=tr("draw it again from its recipe, and compare", "生成情報から描き直して比べる"))
    model = tr("the model that drew it (default: the one that comes along)", "描いたモデル (既定値: 付属のもの)")
    add("--model", metavar="FOLDER", help=model)
    for name, en, ja in (("image", "picture", "画像"), ("mask", "mask", "マスク"), ("depth", "depth", "奥行き")):
        add(f"--{name}", metavar="FILE", type=Path, help=tr(f"the {en} it was made from", f"元の{ja}"))
    add("--device", metavar="NAME", default="auto", help=tr("where to draw again: cpu, cuda, ...", "描き直す装置: cpu, cuda など"))
    add("--json", action="store_true", help=tr("print JSON", "JSON で出力"))


def run(args: Arguments) -> int:
    """Print what was found; 0 if something tells where the picture comes from and nothing contradicts it, else 4."""
    with said_if_slow(tr("looking ...", "調べています ...")):
        from ..evaluation.verify import verify

        pictures = {"image": args.image, "mask": args.mask, "depth": args.depth}
        report = verify(args.file, regenerate=args.regenerate, model=args.model, device=args.device, **pictures)
    if args.json:
        print_json(report.json())
    else:
        print_table(rows(report))
    return 0 if report.holds else FAILED


def rows(report: "Report") -> list[tuple[str, str]]:
    """The report in words, for people."""
    table = [(tr("watermark", "透かし"), f"{mark.tag} ({mark.kind}), {_bits(mark.match)}") for mark in report.marks]
    table = table or [(tr("watermark", "透かし"), tr("none found", "見つかりません"))]
    table.append((tr("source", "出どころ"), report.source or tr("not said", "記載なし")))
    table.append((tr("recipe", "生成情報"), _recipe(report)))
    if report.psnr is not None:
        table.append((tr("drawn again", "描き直し"), _again(report.psnr)))
    if report.credentials is not None:
        signed = report.credentials
        table.append((tr("credentials", "署名"), f"{signed.generator}, {signed.signer} ({signed.state})"))
    table += [(tr("problem", "問題"), problem) for problem in report.problems]
    nothing = tr("nothing tells where this picture comes from", "この画像の出どころを示すものはありません")
    verdict = (
        tr("it holds", "矛盾はありません") if report.holds else tr("it does not hold", "矛盾があります") if report.problems else nothing
    )
    return [*table, (tr("result", "結果"), verdict)]


def _bits(match: float) -> str:
    return tr(f"{match:.0%} of its bits match", f"ビットの {match:.0%} が一致")


def _recipe(report: "Report") -> str:
    if report.recipe is None:
        return tr("incomplete", "不完全") if report.parameters else tr("none", "なし")
    recipe = report.recipe
    known = tr("the one that comes along", "付属のもの") if report.installed else tr("not the one that comes along", "付属のものではない")
    model = f"{recipe.model or '?'} {recipe.model_hash} ({known})"
    return f"{recipe.prompt!r}, {tr('seed', 'シード')} {recipe.seed}, {tr('model', 'モデル')} {model}"


def _again(psnr: float) -> str:
    if math.isinf(psnr):
        return tr("equal, bit for bit", "ビット単位で一致") if psnr > 0 else tr("of another size", "大きさが違います")
    return f"PSNR {psnr:.1f} dB"
