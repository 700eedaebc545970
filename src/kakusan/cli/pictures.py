"""`kakusan pictures`: fetch the drawings that training pictures are made of. Needed for training only."""

import argparse
from pathlib import Path

from ..messages import tr

NAME = "pictures"
HELP = ("fetch and pack the drawings for training", "学習用の絵の素材を取得してまとめる")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the pack goes, and where packages already downloaded lie."""
    parser.add_argument(
        "--folder", type=Path, default=Path("build/pictures"), help=tr("where sprites.npz is written", "sprites.npz の書き出し先")
    )
    parser.add_argument("--archives", type=Path, help=tr("folder of packages already downloaded", "ダウンロード済みパッケージのフォルダ"))


def run(args: argparse.Namespace) -> int:
    """Fetch, cut out and pack the drawings."""
    from ..data.pictures import make_pack

    print(make_pack(args.folder, args.archives))
    return 0
