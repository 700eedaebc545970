"""Where a picture comes from, as far as its file and its pixels tell: watermark, recipe, source; and whether its recipe draws it again.

None of this is proof: text can be written by anyone, and a watermark can be put in or rubbed out. But what contradicts itself shows.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import KakusanError
from ..formats.hashes import folder_hash
from ..images import read_picture
from ..loading import EMBEDDED, load
from ..messages import tr
from ..pipeline import Pipeline
from ..safety import robust_watermark, watermark
from ..safety.afterwards import Afterwards, hidden
from ..safety.credentials import Credentials, credentials
from ..safety.marks import marker
from ..tasks.recipe import Recipe

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

    recipe: None if there is none that is complete; installed: whether the embedded model is the one that it names; psnr: of the
    picture against its recipe drawn again, infinite if they are equal bit for bit, None if that was not tried.
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
            "model_installed": self.installed,
            "equal": equal,
            "psnr": self.psnr if self.psnr is not None and math.isfinite(self.psnr) else None,
            "credentials": self.credentials and self.credentials._asdict(),
            "problems": self.problems,
        }


def verify(file: str | Path, *, regenerate: bool = False, model: str | Path | None = None, device: str = "auto") -> Report:
    """What a picture's file says, and whether it holds.

    regenerate: also draw it again from its recipe, with `model`, or the embedded one if that is what the recipe names.
    Raises FileError if it is no picture, KakusanError if it cannot be drawn again.
    """
    said = read_picture(Path(file))
    recipe, problems = _recipe(said.parameters)
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
    installed = recipe is not None and bool(recipe.model_hash) and recipe.model_hash == folder_hash(EMBEDDED / "unet")
    psnr = None
    if regenerate:
        psnr = similarity(said.picture, again(_complete(recipe), _pipeline(recipe, installed, model, device)))
        if psnr < ALIKE:
            problems.append(
                tr(
                    f"its recipe draws another picture (PSNR {psnr:.1f} dB, less than {ALIKE:.0f})",
                    f"生成情報から描き直すと別の絵になります (PSNR {psnr:.1f} dB、{ALIKE:.0f} 未満)",
                )
            )
    return Report(marks, said.source, said.parameters, recipe, installed, psnr, signed, problems)


def found(picture: "Image") -> Iterator[Mark]:
    """The watermarks in a picture."""
    pixels = np.asarray(picture)
    for kind, reader in (("sd", watermark.named), ("robust", robust_watermark.named)):
        if named := reader(pixels):
            yield Mark(kind, *named)


def again(recipe: Recipe, pipe: Pipeline) -> "Image":
    """The picture that a recipe draws, with what was done to it afterwards. Raises KakusanError if it takes more than the recipe."""
    if recipe.mode != "txt2img":
        raise KakusanError(
            f"drawn from a picture ({recipe.mode}), which is not in the file; only pictures of words can be drawn again",
            f"元の画像から描かれた絵 ({recipe.mode}) です。ことばだけから描かれた絵しか描き直せません",
        )
    plain = pipe.checked(replace(recipe, safety="", watermark=""))
    (picture,) = (step.image for step in pipe.steps([plain], after=Afterwards()) if step.image is not None)
    picture = hidden(picture, recipe.safety)
    mark = marker(recipe.watermark or "off", pipe.model.family)
    return picture if mark is None else mark(picture).picture


def similarity(a: "Image", b: "Image") -> float:
    """Peak signal-to-noise ratio of two pictures in dB: infinite if they are equal, minus infinite if their sizes differ."""
    if a.size != b.size:
        return -math.inf
    error = float(((np.asarray(a, float) - np.asarray(b, float)) ** 2).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def _recipe(text: str) -> tuple[Recipe | None, list[str]]:
    """The recipe in a picture's parameters, and what is wrong with them."""
    if not text:
        return None, []
    try:
        return Recipe.parse(text), []
    except KakusanError as error:
        return None, [tr(error.en, error.ja)]


def _complete(recipe: Recipe | None) -> Recipe:
    if recipe is None:
        raise KakusanError(
            "the picture holds no complete recipe, so it cannot be drawn again",
            "この画像には完全な生成情報がないので描き直せません",
        )
    return recipe


def _pipeline(recipe: Recipe | None, installed: bool, model: str | Path | None, device: str) -> Pipeline:
    if model is None and not installed:
        name = (recipe and recipe.model) or "?"
        raise KakusanError(
            f"drawn with the model {name!r}, which is not the embedded one; name its folder or file with --model",
            f"付属のものではないモデル {name!r} で描かれています。--model でフォルダーかファイルを指定してください",
        )
    return load(model, device=device)
