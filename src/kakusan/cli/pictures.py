"""`kakusan pictures`: fetch the drawings that training pictures are made of. Needed for training only."""

import argparse
from pathlib import Path

from ..messages import tr

NAME = "pictures"
HELP = ("fetch and pack the drawings for training", "学習用の絵の素材を取得してまとめる")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the pack goes, and where packages already downloaded lie."""
    parser.add_argument("--pack", type=Path, default=Path("build/pictures/sprites.npz"), help=tr("the file to write", "書き出すファイル"))
    parser.add_argument("--downloads", type=Path, help=tr("folder of packages already downloaded", "ダウンロード済みパッケージのフォルダ"))
