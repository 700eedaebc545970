"""`kakusan schedules`: what --schedule can be."""

from ..messages import tr
from ..schedules import DESCRIPTIONS
from .parser import Arguments, Parser
from .table import print_json, print_table

NAME = "schedules"
HELP = ("list the noise schedules", "ノイズスケジュールの一覧")


def add_arguments(parser: Parser) -> None:
    """Only how to print."""
    parser.add_argument("--json", action="store_true", help=tr("print JSON", "JSON で出力"))


def run(args: Arguments) -> int:
    """Print names, the labels other programs use, and a line about each."""
    if args.json:
        print_json([{"name": name, "label": row.label, "about": tr(row.en, row.ja)} for name, row in DESCRIPTIONS.items()])
    else:
        print_table([(name, row.label, tr(row.en, row.ja)) for name, row in DESCRIPTIONS.items()])
    return 0
