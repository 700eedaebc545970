"""`kakusan train`: the embedded model, or one of its parts, from the project's own pictures."""

import argparse
import sys
from pathlib import Path

from ..messages import tr

NAME = "train"
HELP = ("train a model of your own from the picture generator", "絵の生成器から自分のモデルを学習する")
PARTS = ("autoencoder", "clip", "diffusion", "all", "inpainting", "depth", "upscaling")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, by which settings, for how long, and where it is kept."""
    parser.add_argument(
        "part", choices=PARTS, help=tr("what to train; parts before it are trained first", "何を学習するか。必要な前段も学習する")
    )
    parser.add_argument(
        "--config", default="embedded-cpu", help=tr("settings: a name that ships, or a TOML file", "設定: 同梱の名前または TOML ファイル")
    )
    parser.add_argument("--folder", type=Path, default=Path("build/embedded"), help=tr("where the run is kept", "学習の途中経過を置く場所"))
    parser.add_argument(
        "--pack", type=Path, default=Path("build/pictures/sprites.npz"), help=tr("sprites (make pictures)", "スプライト (make pictures)")
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help=tr("length of the whole training, instead of the settings' steps", "学習全体の分数 (ステップ数の代わり)"),
    )
    parser.add_argument(
        "--stop-after", type=float, help=tr("minutes of this call; run it again to go on", "この実行の分数。もう一度実行すると続きから")
    )
    parser.add_argument(
        "--start", type=Path, help=tr("another run's folder, whose weights to begin with", "出発点にする別の学習のフォルダ")
    )
    parser.add_argument("--device", default="auto", help=tr("cpu, cuda, mps or auto", "cpu, cuda, mps または auto"))
    parser.add_argument(
        "--now", action="store_true", help=tr("do not train: take the last checkpoint", "学習せず、最後のチェックポイントを使う")
    )
    parser.add_argument("--export", type=Path, help=tr("write the finished model folder here", "完成したモデルフォルダの書き出し先"))
    parser.add_argument(
        "--base",
        type=Path,
        default=Path("build/model"),
        help=tr("the exported base, whose parts inpainting, depth and upscaling share", "共通部分を持つ、書き出し済みの基本モデル"),
    )


def run(args: argparse.Namespace) -> int:
    """Train; 0 when the part is complete, also when --stop-after ended the session early."""
    import torch

    from ..training.card import card, relative_card
    from ..training.embedded import Making, export, stages
    from ..training.settings import read_recipe
    from ..training.variants import VARIANTS, export_beside, run_variant

    device = ("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device
    recipe = read_recipe(args.config)
    making = Making(recipe, args.folder, args.pack, minutes=args.minutes, stop_after=args.stop_after, device=device, start=args.start)
    if args.part in VARIANTS:
        model = run_variant(making, args.part, now=args.now)
    else:
        model = making.run("diffusion" if args.part == "all" else args.part, now=args.now)
    if model is None:
        print(
            tr(f"kept in {args.folder}; run the same command to go on", f"{args.folder} に保存しました。同じコマンドで続きます"),
            file=sys.stderr,
        )
        return 0
    if args.export is not None:
        if args.part in VARIANTS:
            text = relative_card(model, args.config, stages(args.folder, VARIANTS[args.part]))
            export_beside(model, args.export, args.base, text)
        else:
            before = None if args.start is None else stages(args.start)
            export(model, args.export, card(model, recipe, args.config, stages(args.folder), before))
        print(args.export)
    return 0
