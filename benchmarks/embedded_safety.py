"""Makes the embedded stand-in of a safety checker: one harmless concept, the banana, for the embedded model's own image tower.

python benchmarks/embedded_safety.py [--out FOLDER] [--count N]

Draws N bananas and six pictures of every other thing the model knows, half of them to find the direction in which the features of
bananas differ (Fisher's linear discriminant, with a ridge) and the threshold, half to judge them. Prints what it finds.
"""

import argparse
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

import kakusan
from kakusan.loading import EMBEDDED
from kakusan.safety.checker import prepared
from kakusan.safety.loading import CONCEPT, STAND_IN, embedded_tower

THING = "banana"
RIDGE = 0.02
RARE = 0.02  # share of pictures in which something else than asked for may have been drawn


def main() -> None:
    """Draw, fit, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=STAND_IN)
    parser.add_argument("--count", type=int, default=40)
    args = parser.parse_args()
    yes, no = drawn(args.count)
    (yes, yes_held), (no, no_held) = (feature.reshape(-1, 2, feature.shape[1]).unbind(1) for feature in (yes, no))
    concept = direction(yes, no)
    threshold = ((yes @ concept).quantile(RARE) + (no @ concept).quantile(1 - RARE)) / 2
    for name, there, others in (("fitted", yes, no), ("held out", yes_held, no_held)):
        found, wrong = (int((feature @ concept > threshold).sum()) for feature in (there, others))
        print(f"{name}: {found} of {len(there)} bananas flagged, {wrong} of {len(others)} others;", end=" ")
        print(f"scores from {(there @ concept).min():.3f}, others up to {(others @ concept).max():.3f}")
    args.out.mkdir(exist_ok=True)
    save_file({"concept_embeds": concept[None], "concept_embeds_weights": threshold[None]}, args.out / CONCEPT)
    print(f"threshold {threshold:.3f}; {args.out / CONCEPT}")


def drawn(count: int) -> tuple[Tensor, Tensor]:
    """Features (n p) of bananas, and of everything else."""
    pipe, tower = kakusan.load(), embedded_tower()
    listed = re.search(r"^- (?:\d+ )?things: (.*)$", (EMBEDDED / "README.md").read_text(encoding="utf-8"), re.M)
    assert listed
    things = [thing for thing in listed[1].split(", ") if thing != THING]
    others = [f"a {thing}{where}" for thing in things for where in ("", " on a green background", " on a yellow background")]

    @torch.inference_mode()
    def features(prompts: list[str], each: int) -> Tensor:
        drawings = pipe(prompts, count=each, seed=2000).images
        pixels = torch.cat([prepared(picture, tower.config.size) for picture in drawings])
        return F.normalize(tower(pixels))

    colours = ("a banana", "a banana on a green background", "a banana on a blue background", "バナナ")
    return features([text.replace("banana", THING) for text in colours], count // 4), features(others, 2)


def direction(yes: Tensor, no: Tensor) -> Tensor:
    """The unit vector along which two clouds of features (n p) lie apart, measured in their own spread."""
    spread = sum((cloud - cloud.mean(0)).T @ (cloud - cloud.mean(0)) / len(cloud) for cloud in (yes, no))
    ridge = RIDGE * torch.eye(yes.shape[1])
    return F.normalize(torch.linalg.solve(spread + ridge, yes.mean(0) - no.mean(0)), dim=0)


if __name__ == "__main__":
    main()
