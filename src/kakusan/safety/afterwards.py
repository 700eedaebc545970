"""What becomes of a finished picture before anybody sees it: a safety checker looks at it, and an invisible watermark is put in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from PIL import Image, ImageFilter

from ..errors import KakusanError
from ..messages import tr
from .checker import Check
from .marks import Marked

Safety = Literal["off", "flag", "blur", "black"]
SAFETIES: tuple[Safety, ...] = get_args(Safety)
BLUR = 1 / 8  # standard deviation of the blur, of the longer side: nothing but colours is left


class Finished(NamedTuple):
    """A picture to show. flagged: None if nobody looked; safety: what was done about a flag; watermark: the kind, "" for none."""

    picture: Image.Image
    flagged: bool | None = None
    safety: str = ""
    watermark: str = ""


@dataclass(frozen=True)
class Afterwards:
    """What is done to every finished picture. Black pictures are left black, without a watermark.

    check: None if nobody looks; how: what is done about a flag; expected: that a picture is too small for the mark is worth a word;
    notes: what to tell the user before.
    """

    check: Check | None = None
    how: Safety = "black"
    mark: Callable[[Image.Image], Marked] | None = None
    expected: bool = False
    notes: list[str] = field(default_factory=list)

    def __call__(self, picture: Image.Image) -> Finished:
        """The picture as it is to be shown."""
        flagged, safety = (None, "") if self.check is None else self._looked(picture)
        picture = hidden(picture, safety)
        if self.mark is None or safety == "black":
            return Finished(picture, flagged, safety)
        marked = self.mark(picture)
        return Finished(marked.picture, flagged, safety, marked.kind)

    def told(self, flags: Sequence[bool | None], marks: Sequence[str] = ()) -> list[str]:
        """What to tell the user about flags and about marks ("" where there is none), one line each at most."""
        return [*self._told_of_flags(flags), *self._told_of_marks(marks, sum(map(bool, flags)))]

    def _told_of_marks(self, marks: Sequence[str], flagged: int) -> list[str]:
        bare = len(marks) - sum(map(bool, marks)) - (flagged if self.how == "black" else 0)
        if not self.expected or bare <= 0:
            return []
        return [
            tr(
                f"{bare} of {len(marks)} pictures are too small for the watermark and have none",
                f"{len(marks)} 枚中 {bare} 枚は小さすぎるため、電子透かしを入れていません",
            )
        ]

    def _told_of_flags(self, flags: Sequence[bool | None]) -> list[str]:
        count = sum(map(bool, flags))
        if not count:
            return []
        what = {"black": ("made black", "黒く塗りました"), "blur": ("blurred", "ぼかしました")}.get(
            self.how, ("flagged only", "印だけ付けました")
        )
        return [
            tr(
                f"the safety checker flagged {count} of {len(flags)} pictures ({what[0]}); try other words or another seed",
                f"セーフティチェッカーが {len(flags)} 枚中 {count} 枚を検出し、{what[1]}。ことばかシードを変えてください",
            )
        ]

    def _looked(self, picture: Image.Image) -> tuple[bool, str]:
        flags = self.check([picture]) if self.check else [False]
        if len(flags) != 1:
            raise KakusanError(
                f"the safety checker gave {len(flags)} flags for 1 picture; it has to give one for each",
                f"セーフティチェッカーの答えが 1 枚に対して {len(flags)} 個です。1 枚に 1 個にしてください",
            )
        return bool(flags[0]), self.how if flags[0] else ""


def hidden(picture: Image.Image, how: str) -> Image.Image:
    """A picture black, or blurred until nothing can be told; any other word leaves it as it is."""
    if how == "black":
        return Image.new("RGB", picture.size)
    if how == "blur":
        return picture.filter(ImageFilter.GaussianBlur(BLUR * max(picture.size)))
    return picture


def afterwards(safety: str | Check | None, own: Check | None) -> Afterwards:
    """What a choice of `safety` means: a function is a checker itself; None is black where there is a checker.

    own: the checker at hand. Raises KakusanError on an unknown choice.
    """
    if callable(safety):
        return Afterwards(safety)
    if safety not in (*SAFETIES, None):
        known = ", ".join(SAFETIES)
        raise KakusanError(f"safety is {safety!r}; choose one of {known}", f"safety が {safety!r} です。{known} から選んでください")
    if safety == "off":
        return Afterwards()
    how: Safety = next((one for one in SAFETIES if one == safety), "black")
    return Afterwards(own, how, notes=[] if own or safety is None else [no_checker()])


def no_checker() -> str:
    """Said where pictures were to be checked and cannot be."""
    return tr(
        "no safety checker comes with this model; pictures are not checked (a folder with one can be named)",
        "このモデルにはセーフティチェッカーが付いていません。画像は検査されません (フォルダーを指定できます)",
    )
