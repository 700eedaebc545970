"""From a rough idea of where a thing is to its outline: two models of colour, the thing's and the rest's, and the picture's edges.

In the manner of GrabCut (Rother et al. 2004, https://doi.org/10.1145/1015706.1015720), with smooth histograms for its Gaussians and
a guided filter for its graph cut. H W height and width of the picture.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 16  # of each colour channel
TIMES = 5
GAIN = 8.0  # how sure one is of the rough idea: log odds from one end of it to the other
SUREST = 4.0  # log odds that a colour alone can give
EDGE = 1e-3  # variance of colour (0 to 1) that is an edge to the guided filter


def outlined(image: Tensor, rough: Tensor, radius: int) -> Tensor:
    """How sure it is that each pixel belongs to the thing (H W, 0 to 1).

    image: (3 H W, -1 to 1). rough: where the thing about is (H W, 0 to 1). radius: how many pixels off `rough` may be.
    """
    colours = image / 2 + 0.5
    prior = GAIN * (rough - parting(rough))
    bins = _bins(colours)
    inside = prior.sigmoid()
    for _ in range(TIMES):
        inside = (prior + odds(bins, inside)).sigmoid()
        inside = guided_filter(colours, inside, radius).clamp(0, 1)
    return inside


def parting(x: Tensor) -> float:
    """The level that best parts the values of x (0 to 1) in two, the middle one of several that do.

    Otsu 1979, https://doi.org/10.1109/TSMC.1979.4310076.
    """
    share = torch.histc(x.float(), 256, 0, 1) / x.numel()
    levels = (torch.arange(256) + 0.5) / 256
    below = share.cumsum(0)
    sums = (share * levels).cumsum(0)
    between = (sums[-1] * below - sums) ** 2 / (below * (1 - below)).clamp_min(1e-9)
    best = (between >= between.max() * (1 - 1e-4)).nonzero().flatten().double()
    return float((best.mean() + 1) / 256)


def odds(bins: Tensor, inside: Tensor) -> Tensor:
    """Log odds (H W) that a pixel of its colour is one of the thing's. bins: the number of each pixel's colour (H W)."""
    found = []
    for weight in (inside, 1 - inside):
        counts = torch.bincount(bins.flatten(), weight.flatten(), BINS**3).view(1, 1, BINS, BINS, BINS)
        near = F.avg_pool3d(counts, 3, 1, 1, count_include_pad=False).flatten()
        found.append(near[bins] / weight.sum().clamp_min(1e-6) + 1e-5)
    return (found[0] / found[1]).log().clamp(-SUREST, SUREST)


def guided_filter(guide: Tensor, x: Tensor, radius: int, eps: float = EDGE) -> Tensor:
    """x (H W) smoothed, but not over the edges of `guide` (3 H W): within each window it is a linear function of the guide.

    He et al. 2010, "Guided Image Filtering", https://doi.org/10.1007/978-3-642-15549-9_1, equations 14 to 16.
    """
    mean_guide, mean_x = box(guide, radius), box(x[None], radius)[0]
    covariance = box(guide * x, radius) - mean_guide * mean_x  # 3 H W
    squares = box((guide[:, None] * guide[None]).flatten(0, 1), radius)  # 9 H W
    variance = squares.view(3, *guide.shape) - mean_guide[:, None] * mean_guide[None] + eps * torch.eye(3)[..., None, None]  # 3 3 H W
    slope = torch.linalg.solve(variance.permute(2, 3, 0, 1), covariance.permute(1, 2, 0)).permute(2, 0, 1)  # 3 H W
    rest = mean_x - (slope * mean_guide).sum(0)
    return (box(slope, radius) * guide).sum(0) + box(rest[None], radius)[0]


def box(x: Tensor, radius: int) -> Tensor:
    """Means (c H W) of x (c H W) over the square of that radius round each pixel, as far as the picture reaches.

    By running sums, so that a large radius takes no longer than a small one.
    """
    for axis in (1, 2):
        at = torch.arange(x.shape[axis])
        first, end = (at - radius).clamp(min=0), (at + radius + 1).clamp(max=len(at))
        sums = torch.cat([torch.zeros_like(x.narrow(axis, 0, 1)), x.cumsum(axis)], axis)
        x = (sums.index_select(axis, end) - sums.index_select(axis, first)) / (end - first).view(-1, *[1] * (2 - axis))
    return x


def _bins(colours: Tensor) -> Tensor:
    r, g, b = (colours * BINS).long().clamp(0, BINS - 1).unbind()
    return (r * BINS + g) * BINS + b
