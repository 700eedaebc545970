"""`kakusan samplers`: what --sampler can be."""

from ..messages import tr
from ..samplers.names import NAMES
from .parser import Arguments, Parser
from .table import print_json, print_table

NAME = "samplers"
HELP = ("list the samplers", "サンプラーの一覧")


def add_arguments(parser: Parser) -> None:
    """Only how to print."""
    parser.add_argument("--json", action="store_true", help=tr("print JSON", "JSON で出力"))


def run(args: Arguments) -> int:
    """Print names, the labels other programs use, and a line about each."""
    if args.json:
        print_json([{"name": row.name, "label": row.label, "noise": row.needs_noise, "about": tr(row.en, row.ja)} for row in NAMES])
    else:
        print_table([(row.name, row.label, tr(row.en, row.ja)) for row in NAMES])
    return 0
