"""How well masks made of words fit: intersection over union with the exact masks that the picture generator knows.

    python benchmarks/masks.py                                  # needs the drawings (make pictures)
    python benchmarks/masks.py --limit 20 --sheet build/masks.png

Pictures that no training showed; the words are the English name of one thing in them: "the cat". rough: what the model sees, parted in
two by Otsu's level; outlined: after colours and edges. With --model, any other model that knows the things.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor

import kakusan
from kakusan.data.pictures import CONCEPT, CONCEPTS, WORLDS, Pictures, World, load_pack
from kakusan.images import grid, to_pil
from kakusan.masks import preview, signals, sureness
from kakusan.pipeline import Pipeline
from kakusan.tasks.outline import parting

FIRST = 6_000_000
ABSENT = "one thing, plain background, another is named: a model that knows what is there finds nothing"
SIGNALS = {"attention": slice(0, 1), "difference": slice(1, 2), "both": slice(0, 2)}
KINDS: dict[str, dict[str, tuple[float, ...]]] = {
    "one thing, plain background": {},
    "one thing, landscape or pattern": {"backgrounds": (0, 0, 1, 2)},
    "two things, plain background, the first is named": {"layouts": (0, 0, 0, 1, 0)},
    ABSENT: {},
}


def main() -> None:
    """Find masks in pictures of each kind, print how well they fit, save a sheet."""
    args = arguments()
    pipe = kakusan.load(args.model, device="cpu")
    known = tuple(pipe.model.settings.get("concepts", [concept.name for concept in CONCEPTS]))
    shown = []
    for kind, how in KINDS.items():
        pictures = Pictures(load_pack(args.pack), world(known, how), seed=args.seed)
        found, sheet = fits(pipe, pictures, args.limit, args.size, kind == ABSENT)
        shown += sheet
        print(
            f"\n{kind}, {args.limit} pictures\n\n| signal | rough | outlined | outlined: median | above 0.7 |\n|---|---|---|---|---|",
            flush=True,
        )
        for name, (rough, outlined) in found.items():
            good = (outlined > 0.7).float().mean()
            print(f"| {name} | {rough.mean():.3f} | {outlined.mean():.3f} | {outlined.median():.3f} | {good:.0%} |", flush=True)
    if args.sheet:
        grid(shown, columns=8).save(args.sheet)


def world(known: tuple[str, ...], how: dict[str, tuple[float, ...]]) -> World:
    """The world of the small model, with something else in it."""
    return replace(WORLDS["small"], concepts=known, **how)  # type: ignore[arg-type]


def fits(pipe: Pipeline, pictures: Pictures, limit: int, size: int, absent: bool) -> tuple[dict[str, tuple[Tensor, Tensor]], list[Image]]:
    """Intersection over union of rough and outlined masks (limit each) by signal, and some pictures with their masks."""
    values: dict[str, list[tuple[float, float]]] = {name: [] for name in SIGNALS}
    sheet = []
    for i in range(limit):
        scene = pictures.spec(FIRST + i)
        named = pictures.spec(FIRST + i + absent).things[0].concept
        rendered = pictures.render([scene], size)
        picture, truth = to_pil(rendered.image[0]), rendered.masks[0, 0] > 0.5
        seen = signals(pipe, picture, f"the {CONCEPT[named].en[0]}", seed=i)
        for name, part in SIGNALS.items():
            rough = F.interpolate(seen[part].prod(0).sqrt()[None, None], size=(size, size), mode="bicubic")[0, 0].clamp(0, 1)
            sure = sureness(picture, seen[part])
            values[name].append((overlap(rough > parting(rough), truth), overlap(sure > 0.5, truth)))
        if i < 16:
            mask = to_pil(((sure > 0.5) * 2.0 - 1).expand(3, -1, -1)).convert("L")
            sheet.append(preview(picture, mask).resize((256, 256)))
    return {name: tuple(torch.tensor(pairs).unbind(1)) for name, pairs in values.items()}, sheet  # type: ignore[misc]


def overlap(a: Tensor, b: Tensor) -> float:
    """Intersection over union of two masks."""
    return float((a & b).sum() / (a | b).sum().clamp_min(1))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="default: the embedded model")
    parser.add_argument("--pack", type=Path, default=Path("build/pictures/sprites.npz"))
    parser.add_argument("--limit", type=int, default=120, help="pictures of each kind")
    parser.add_argument("--size", type=int, default=64, help="of the pictures")
    parser.add_argument("--seed", type=int, default=77, help="of the pictures")
    parser.add_argument("--sheet", type=Path, help="where previews are written")
    return parser.parse_args()


if __name__ == "__main__":
    main()
