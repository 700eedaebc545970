"""`kakusan img2img`: CompVis's scripts/img2img.py, flag for flag."""

from ..compat.compvis import flags, img2img
from .parser import Arguments, Parser
from .reference import run_script

NAME = "img2img"
HELP = ("draw a picture anew in part, from words and itself", "画像とことばから、画像を部分的に描き直す")


def add_arguments(parser: Parser) -> None:
    """The script's own flags."""
    flags.add_img2img(parser)


def run(args: Arguments) -> int:
    """Do as the script does."""
    return run_script(img2img.prepare, args)
