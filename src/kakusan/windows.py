"""Pictures larger than the network was trained on, seen through windows of its own size that are blended at every step.

Bar-Tal et al. 2023, "MultiDiffusion", https://arxiv.org/abs/2302.08113, section 4: what each window would have the picture become,
averaged. There the average is of steps, here of clean latents, which is the same for steps that are linear in them, and serves every
sampler; and windows count less towards their borders, so that none shows.

k windows, c channels, h w height and width of a latent.
"""

from functools import partial
from itertools import product

from torch import Tensor

from .spans import Window, windows
from .types import Cond, Task, Work

WRAPPED = ("unet", "decode", "encode")
"""The networks that look at a pixel's neighbours."""
AT = "@"


def windowed(task: Task, size: int, overlap: int) -> Task:
    """The task, whose U-Net sees no more than `size` x `size` of the latent at a time: each row becomes one for each window.

    The windows of a call are rows of the same Work, and share network calls with other tasks' windows. What lies beside x is cut
    as x is. A latent no larger than the window is passed on as it is. Other networks' work is not touched.
    Where the picture is `endless`, windows lie across its edge too.
    Raises ValueError if a window is no longer than the overlap.
    """
    try:
        work = next(task)
        while True:
            name, _, axes = work.model.partition(AT)
            h, w = work.rows[0][0].shape[1:] if name == "unet" else (0, 0)
            if max(h, w) <= size:
                reply = yield work
            else:
                places = list(product(windows(h, size, overlap, "y" in axes), windows(w, size, overlap, "x" in axes)))
                rows = [(seen(x, *p), sigma, _cut(cond, *p)) for x, sigma, cond in work.rows for p in places]
                uncut = "".join(axis for axis, side in zip("xy", (w, h), strict=True) if axis in axes and side <= size)
                parts = yield Work(name + AT * bool(uncut) + uncut, rows, partial(_first, places))
                reply = [blended(parts[i : i + len(places)], places) for i in range(0, len(parts), len(places))]
            work = task.send(reply)
    except StopIteration as stop:
        result: Tensor = stop.value
        return result


def endless(task: Task, axes: str) -> Task:
    """The task, of whose picture copies fit side by side without a seam: in the directions "x", "y" or both ("xy").

    It asks for networks of other names, "unet@x" for "unet", so that its work shares calls only with work of the same kind.
    """
    try:
        work = next(task)
        while True:
            work = task.send((yield work._replace(model=work.model + AT + axes) if work.model in WRAPPED else work))
    except StopIteration as stop:
        result: Tensor = stop.value
        return result


def seen(x: Tensor, down: Window, across: Window) -> Tensor:
    """What a window shows of x (c h w)."""
    return x[:, down.places][:, :, across.places]


def blended(parts: list[Tensor], places: list[tuple[Window, Window]]) -> Tensor:
    """One latent (c h w) of what is seen in its windows."""
    height, width = (int(max(window.places.max() for window in side)) + 1 for side in zip(*places, strict=True))
    out = parts[0].new_zeros(len(parts[0]), height, width)
    for part, (down, across) in zip(parts, places, strict=True):
        weight = (down.share[:, None] * across.share).to(part)
        out[:, down.places[:, None], across.places] += part * weight
    return out


def _cut(cond: Cond, down: Window, across: Window) -> Cond:
    return cond if cond.beside is None else cond._replace(beside=seen(cond.beside, down, across))


def _first(places: list[tuple[Window, Window]], parts: list[Tensor]) -> Tensor:
    return blended(parts[: len(places)], places)
