"""Whether the embedded model draws the same for the same words in English and in Japanese: 50 pairs of prompts, one seed each.

python benchmarks/bilingual.py [--steps 20] [--sheet build/bilingual.png]

Each Japanese picture is compared with every English one by the embedded CLIP. found: how often the one of its own pair is the most
alike among the fifty; alike: the mean cosine of pairs, beside that of pictures of other pairs.
"""

import argparse
from pathlib import Path

import torch
from PIL.Image import Image

import kakusan
from kakusan.images import grid
from kakusan.likeness import judge

PAIRS = Path(__file__).with_name("pairs.tsv")


def main() -> None:
    """Draw, compare, print, and save a sheet to look at: each pair side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sheet", type=Path, help="where the pictures are saved, on one")
    args = parser.parse_args()
    english, japanese = pictures(args.steps)
    found, alike, unlike = compared(english, japanese)
    print(f"found {found:.2f} of {len(english)}; alike {alike:.3f} in pairs, {unlike:.3f} across them")
    if args.sheet:
        grid([picture for pair in zip(english, japanese, strict=True) for picture in pair], 20).save(args.sheet)


def pictures(steps: int) -> tuple[list[Image], list[Image]]:
    """Of the English and of the Japanese prompts; the seeds are 1, 2, ... in both."""
    pipe = kakusan.load(device="cpu")
    pairs = [line.split("\t") for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    sides = []
    for texts in zip(*pairs, strict=True):
        recipes = [pipe.recipes(text, seed=1 + i, given={"steps": steps})[0] for i, text in enumerate(texts)]
        made = {step.picture: step.image for step in pipe.steps(recipes) if step.image is not None}
        sides.append([made[i] for i in range(len(texts))])
    return sides[0], sides[1]


def compared(english: list[Image], japanese: list[Image]) -> tuple[float, float, float]:
    """found, alike, and how alike pictures of different pairs are."""
    features = judge().features([*english, *japanese])
    cosines = features[len(english) :] @ features[: len(english)].T  # japanese english
    own = cosines.diagonal()
    others = cosines[~torch.eye(len(own), dtype=torch.bool)]
    return (cosines.argmax(1) == torch.arange(len(own))).float().mean().item(), own.mean().item(), others.mean().item()


if __name__ == "__main__":
    main()
