"""`kakusan profiles`: what --like can be, and what it brings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..messages import tr
from .parser import Arguments, Parser
from .table import print_json, print_table

if TYPE_CHECKING:
    from ..tasks.profiles import Profile

NAME = "profiles"
HELP = ("list the programs that --like knows", "--like で合わせられるプログラムの一覧")


def add_arguments(parser: Parser) -> None:
    """Only how to print."""
    parser.add_argument("--json", action="store_true", help=tr("print JSON", "JSON で出力"))


def run(args: Arguments) -> int:
    """Print a row a program."""
    from ..tasks.profiles import PROFILES

    rows = [told(name, row) for name, row in PROFILES.items() if name]
    if args.json:
        print_json(rows)
        return 0
    heads = {
        "name": tr("name", "名前"),
        "program": tr("program", "プログラム"),
        "noise": tr("noise", "ノイズ"),
        "batch": tr("batch", "バッチ"),
    }
    heads |= {"schedule": tr("schedule", "スケジュール"), "strength": tr("strength", "強さ"), "prompts": tr("prompts", "プロンプト")}
    print_table([tuple(heads.values()), *(tuple(row[key] for key in heads) for row in rows)])
    return 0


def told(name: str, row: "Profile") -> dict[str, str]:
    """One row, in words."""
    first, again = (tr("CPU", "CPU") if where == "cpu" else "CUDA" for where in (row.first, row.again))
    schedules = ", ".join(dict.fromkeys(row.automatic.values()))
    counted: Mapping[str, tuple[str, str]] = {
        "diffusers": ("steps x strength", "ステップ × 強さ"),
        "a1111": ("steps x strength + 1", "ステップ × 強さ + 1"),
        "comfyui": ("the last steps of steps / strength", "ステップ ÷ 強さ の最後"),
        "invokeai": ("timesteps below 1000 x strength", "1000 × 強さ より下のタイムステップ"),
        "compvis": ("steps x strength, from a level above", "ステップ × 強さ、一つ上の水準から"),
    }
    return {
        "name": name,
        "program": row.label,
        "noise": first if first == again else f"{first}, {tr('then', 'のち')} {again}",
        "batch": tr("one seed", "シード 1 つ") if row.slices else tr("seeds count up", "シードを加算"),
        "schedule": schedules,
        "strength": tr(*counted[row.strength]),
        "prompts": row.dialect or "",
    }
