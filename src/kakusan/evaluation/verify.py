"""Where a picture comes from, as far as its file and its pixels tell: watermark, recipe, source; and whether its recipe draws it again.

None of this is proof: text can be written by anyone, and a watermark can be put in or rubbed out. But what contradicts itself shows.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import KakusanError
from ..images import read_picture
from ..loading import load
from ..memory.reading import Memory, remembered
from ..messages import tr
from ..pipeline import Pipeline
from ..safety import robust_watermark, watermark
from ..safety.credentials import Credentials, credentials
from ..tasks.fitting import Picture
from ..tasks.recipe import Recipe
from .again import again, complete, embedded_model

if TYPE_CHECKING:
    from PIL.Image import Image

ALIKE = 30.0
"""Peak signal-to-noise ratio, in dB, from which two pictures are the same one: JPEG files and other processors' roundings stay above."""


class Mark(NamedTuple):
    """A watermark that was found. kind: "sd" or "robust"; match: the share of its bits that agree, 0.5 being chance."""

    kind: str
    tag: str
    match: float


@dataclass(frozen=True)
class Report:
    """What was found out about a picture's file.

    recipe: None if there is none that is complete; program: that wrote it; installed: whether the embedded model is the one that it
    names; psnr: of the picture against its recipe drawn again, infinite if they are equal bit for bit, None if that was not tried.
    credentials: Content Credentials, None if there are none or nobody can read them here.
    problems: what contradicts itself, one line each.
    """

    marks: list[Mark]
    source: str
    parameters: str
    recipe: Recipe | None
    installed: bool
    psnr: float | None
    credentials: Credentials | None
    problems: list[str]
    program: str = ""

    @property
    def holds(self) -> bool:
        """Whether something tells where the picture comes from, and nothing contradicts it."""
        return not self.problems and bool(self.marks or self.source or self.recipe or self.credentials)

    def json(self) -> dict[str, Any]:
        """All of it, for JSON; an infinite ratio is left out."""
        equal = None if self.psnr is None else self.psnr == math.inf
        return {
            "holds": self.holds,
            "watermarks": [mark._asdict() for mark in self.marks],
            "source": self.source or None,
            "parameters": self.parameters,
            "recipe": self.recipe and asdict(self.recipe),
            "program": self.program or None,
            "model_installed": self.installed,
            "equal": equal,
            "psnr": self.psnr if self.psnr is not None and math.isfinite(self.psnr) else None,
            "credentials": self.credentials and self.credentials._asdict(),
            "problems": self.problems,
        }


def verify(
    file: str | Path,
    *,
    regenerate: bool = False,
    model: str | Path | None = None,
    device: str = "auto",
    image: Picture | None = None,
    mask: Picture | None = None,
    depth: Picture | None = None,
) -> Report:
    """What a picture's file says, and whether it holds.

    regenerate: also draw it again from its recipe, with `model`, or the embedded one if that is what the recipe names. image, mask,
    depth: what it was made from.
    Raises FileError if it is no picture, KakusanError if it cannot be drawn again.
    """
    said = read_picture(Path(file))
    memory = remembered(file)
    problems = _problems(memory)
    recipe = None if problems else memory.recipe
    marks = list(found(said.picture))
    kinds = {mark.kind for mark in marks}
    if recipe is not None and recipe.watermark not in kinds | {""}:
        problems.append(
            tr(
                f"the recipe tells of a watermark ({recipe.watermark}), and it is not there: the picture was changed",
                f"生成情報には透かし ({recipe.watermark}) があるはずですが見つかりません。画像が加工されています",
            )
        )
    signed = credentials(Path(file))
    if signed is not None and signed.state == "Invalid":
        problems.append(
            tr(
                "its Content Credentials do not hold: the file was changed since it was signed",
                "Content Credentials が無効です。署名のあとでファイルが変更されています",
            )
        )
    ours = embedded_model(memory) if recipe is not None else None
    psnr = None
    if regenerate:
        whole = complete(recipe)
        pipe = _pipeline(whole, ours, model, device)
        psnr = similarity(said.picture, again(whole, pipe, memory=memory, image=image, mask=mask, depth=depth))
        if psnr < ALIKE:
            problems.append(
                tr(
                    f"its recipe draws another picture (PSNR {psnr:.1f} dB, less than {ALIKE:.0f})",
                    f"生成情報から描き直すと別の絵になります (PSNR {psnr:.1f} dB、{ALIKE:.0f} 未満)",
                )
            )
    return Report(marks, said.source, memory.parameters, recipe, ours is not None, psnr, signed, problems, memory.program)


def found(picture: "Image") -> Iterator[Mark]:
    """The watermarks in a picture."""
    pixels = np.asarray(picture)
    for kind, reader in (("sd", watermark.named), ("robust", robust_watermark.named)):
        if named := reader(pixels):
            yield Mark(kind, *named)


def similarity(a: "Image", b: "Image") -> float:
    """Peak signal-to-noise ratio of two pictures in dB: infinite if they are equal, minus infinite if their sizes differ."""
    if a.size != b.size:
        return -math.inf
    error = float(((np.asarray(a, float) - np.asarray(b, float)) ** 2).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def _problems(memory: Memory) -> list[str]:
    """What is wrong with what our own pictures tell; what other programs leave out is no contradiction."""
    if memory.record is not None or not memory.parameters or memory.program not in ("", "kakusan"):
        return []
    try:
        Recipe.parse(memory.parameters)
    except KakusanError as error:
        return [tr(error.en, error.ja)]
    return []


def _pipeline(recipe: Recipe, ours: str | None, model: str | Path | None, device: str) -> Pipeline:
    """ours: the name of the embedded model that drew it, if one did."""
    if model is None and ours is None:
        name = recipe.model or "?"
        raise KakusanError(
            f"drawn with the model {name!r}, which is not the embedded one; name its folder or file with --model",
            f"付属のものではないモデル {name!r} で描かれています。--model でフォルダーかファイルを指定してください",
        )
    return load(model or ours or None, device=device)
