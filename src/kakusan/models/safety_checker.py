"""Stable Diffusion's safety checker: a picture's CLIP feature against the features of concepts not to be shown.

Rando et al. 2022, "Red-Teaming the Stable Diffusion Safety Filter", https://arxiv.org/abs/2210.04610, section 2 and algorithm 1.
n pictures, p width of the space shared with texts, k concepts, s concepts that call for special care.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .clip_image import ClipImage, ClipImageConfig

CONCEPTS, SPECIAL = 17, 3
CARE = 0.01  # how much lower every threshold is for a picture that calls for special care
DIGITS = 3  # scores are rounded: what is above a threshold by less than 0.0005 is not flagged


class Verdict(NamedTuple):
    """What the checker says of pictures. concepts (n k), special (n s): how far above its threshold each similarity is."""

    flagged: Tensor  # n, bool
    concepts: Tensor
    special: Tensor


class SafetyChecker(nn.Module):
    """CLIP's image tower (ViT-L/14's shape by default) with the concepts' features and thresholds as weights."""

    def __init__(self, config: ClipImageConfig, concepts: int = CONCEPTS, special: int = SPECIAL):
        super().__init__()
        self.config = config
        self.tower = ClipImage(config)
        self.concepts = nn.Parameter(torch.ones(concepts, config.projection), requires_grad=False)
        self.thresholds = nn.Parameter(torch.ones(concepts), requires_grad=False)
        self.special = nn.Parameter(torch.ones(special, config.projection), requires_grad=False)
        self.special_thresholds = nn.Parameter(torch.ones(special), requires_grad=False)

    def forward(self, pixels: Tensor) -> Verdict:
        """The verdict on pictures (n 3 size size) that went through `clip_image.normalised`."""
        feature = F.normalize(self.tower(pixels))  # n p
        special = _scores(feature, self.special, self.special_thresholds)
        special = _with_care(special)
        care = (special > 0).any(dim=1)  # n
        concepts = _scores(feature, self.concepts, self.thresholds) + CARE * care[:, None]
        concepts = concepts.round(decimals=DIGITS)
        return Verdict((concepts > 0).any(dim=1), concepts, special)


def _scores(feature: Tensor, concepts: Tensor, thresholds: Tensor) -> Tensor:
    return (feature @ F.normalize(concepts).T - thresholds).double().cpu()  # n k


def _with_care(scores: Tensor) -> Tensor:
    """Special scores, in order: from the first above 0 on, the following ones are raised as the concepts' are."""
    rounded = scores.round(decimals=DIGITS)
    for i in range(1, scores.shape[1]):
        care = (rounded[:, :i] > 0).any(dim=1)
        rounded[:, i] = (scores[:, i] + CARE * care).round(decimals=DIGITS)
    return rounded
