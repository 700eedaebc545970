"""Options that make a mask out of words, for every command that takes a picture and a mask."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..images import next_path, save_png
from ..messages import tr
from .parser import Arguments, Parser
from .progress import said_if_slow

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..pipeline import Pipeline, Step


def add_arguments(parser: Parser) -> None:
    """The words, and how much of the picture they shall take."""
    words = tr("paint anew what these words name in the picture", "画像の中でこの言葉が指すものを描き直す")
    parser.add_argument("--mask-text", metavar="WORDS", help=words)
    parser.add_argument("--mask-threshold", type=float, metavar="X", default=0.5, help=threshold_help())
    parser.add_argument("--mask-grow", type=int, metavar="N", default=0, help=grow_help())


def given(args: Arguments) -> dict[str, object]:
    """What `kakusan.masks.proposed` takes, besides the picture."""
    return {"words": args.mask_text, "threshold": args.mask_threshold, "grow": args.mask_grow}


def mask(pipe: "Pipeline", image: Path, args: Arguments, on_step: "Callable[[Step], None] | None" = None) -> "Image | None":
    """The mask that --mask-text asks for, None if it is not there.

    It is saved in args.outdir with a preview, and unless args.quiet their names are told on stderr, so that it can be looked at.
    """
    if args.mask_text is None:
        return None
    from ..masks import proposed

    words = args.mask_text
    with said_if_slow(tr(f"looking for {words!r} in {image} ...", f"{image} から {words!r} を探しています ..."), args.quiet):
        found = proposed(pipe, image, words, threshold=args.mask_threshold, grow=args.mask_grow, on_step=on_step)
    mask_path, preview_path = save(found, image, args.outdir)
    if not args.quiet:
        print(tr(f"mask: {mask_path}, to look at: {preview_path}", f"マスク: {mask_path}、確認用: {preview_path}"), file=sys.stderr)
    return found


def save(mask: "Image", image: Path, folder: Path) -> tuple[Path, Path]:
    """Write the mask, and the picture with the mask laid over it, under one free number; returns both paths."""
    from ..masks import preview
    from ..tasks.fitting import opened

    shown = preview(opened(image), mask)
    while True:
        path = next_path(folder, "mask")
        try:
            save_png(mask, path)
            save_png(shown, path.with_stem(f"{path.stem}-preview"))
        except FileExistsError:
            continue
        return path, path.with_stem(f"{path.stem}-preview")


def threshold_help() -> str:
    """What a threshold is."""
    return tr("how sure it must be of a pixel, 0 to 1 (default: 0.5)", "画素をどれだけ確かなら含めるか、0 から 1 (既定値: 0.5)")


def grow_help() -> str:
    """What growing is."""
    return tr("make the mask wider by N pixels; negative: narrower", "マスクを N 画素広げる。負なら狭める")
