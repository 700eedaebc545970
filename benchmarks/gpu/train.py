"""Train the larger embedded model on a GPU machine that is there for a few minutes at a time and has no network.

    python benchmarks/gpu/train.py --minutes 20 --stop-after 8.5 --out results     # again and again, until it says "complete"

What is learnt stays in --folder. Each call also writes to --out, in at most 8 files of at most 15 MB, all that is worth carrying
away: `state.tar.0` ... (every stage so far, averaged weights in half precision) or, when complete, `model.tar.0` ... (the model
folder), the newest sheet of each stage, and log.csv. A machine that has lost --folder goes on from the pieces in --carried.
Putting a model together: cat model.tar.* | tar -x -C build

--minutes counts learning alone; rendering, captions, encoding and sheets come on top (some 4 minutes in all).
"""

import argparse
import io
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "src"))  # the machine has torch, but perhaps not this package

import torch  # noqa: E402

from kakusan.formats.folder import Model  # noqa: E402
from kakusan.training import checkpoint  # noqa: E402
from kakusan.training.card import card  # noqa: E402
from kakusan.training.embedded import STAGES, Making, export, stages  # noqa: E402
from kakusan.training.settings import Recipe, read_recipe  # noqa: E402

PIECE = 15_000_000  # bytes


SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11 has it from its fourth release on


def main() -> None:
    """Train as far as this call's minutes go; carry away what there is, also when something fails."""
    args = arguments()
    device = ("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device
    torch.set_float32_matmul_precision("high")
    torch._dynamo.config.suppress_errors = True  # what cannot be compiled runs as it is
    recipe = read_recipe(args.config)
    take_up(args.folder, args.carried)
    args.out.mkdir(parents=True, exist_ok=True)
    model = None
    try:
        making = Making(
            recipe,
            args.folder,
            args.pack,
            minutes=args.minutes,
            stop_after=args.stop_after,
            device=device,
            workers=args.workers,
        )
        model = making.run()
    finally:
        carry_away(recipe, args, model)
    print("complete" if model else "not complete: run the same command again", stages(args.folder))


def take_up(folder: Path, carried: Path) -> None:
    """Unpack the pieces of an earlier call where the run itself is lost."""
    pieces = sorted(carried.glob("state.tar.*"), key=lambda piece: int(piece.suffix[1:]))
    if pieces and not any((folder / name).exists() for name in STAGES):
        with tarfile.open(fileobj=io.BytesIO(b"".join(piece.read_bytes() for piece in pieces))) as tar:
            tar.extractall(folder, **SAFELY)


def carry_away(recipe: Recipe, args: argparse.Namespace, model: Model | None) -> None:
    """Write the pieces, the sheets and the log."""
    with tempfile.TemporaryDirectory() as scratch:
        inside = Path(scratch)
        if model is not None:
            export(model, inside / "model", card(model, recipe, str(args.config), stages(args.folder)))
        else:
            for name in STAGES:
                checkpoint.shrink(args.folder / name, inside / name)
            if (args.folder / "tokenizer").exists():
                shutil.copytree(args.folder / "tokenizer", inside / "tokenizer")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(inside, arcname=".")
    write_pieces(packed.getvalue(), args.out, "state.tar" if model is None else "model.tar")
    rows = ["stage,step,figure,value"]
    for name in STAGES:
        if sheets := sorted((args.folder / name).glob("sheet-*.png")):
            shutil.copy(sheets[-1], args.out / f"sheet-{name}.png")
        log = args.folder / name / "log.csv"
        rows += [f"{name},{row}" for row in log.read_text().splitlines()[1:]] if log.exists() else []
    (args.out / "log.csv").write_text("\n".join(rows[:1] + rows[1:][-100_000:]) + "\n")


def write_pieces(data: bytes, out: Path, name: str) -> None:
    """`data` as out/name.0, out/name.1, ..."""
    for stale in [*out.glob("state.tar.*"), *out.glob("model.tar.*")]:
        stale.unlink()
    for number, start in enumerate(range(0, len(data), PIECE)):
        (out / f"{name}.{number}").write_bytes(data[start : start + PIECE])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="embedded-gpu", help="settings that ship, or a TOML file")
    parser.add_argument("--minutes", type=float, default=20, help="of learning, over all calls")
    parser.add_argument("--stop-after", type=float, default=8.5, help="minutes of this call")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("build/gpu"))
    parser.add_argument("--carried", type=Path, default=Path("build/carried"), help="pieces of an earlier call")
    parser.add_argument("--pack", type=Path, default=Path("build/pictures/sprites.npz"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that render and caption")
    return parser.parse_args()


if __name__ == "__main__":
    main()
