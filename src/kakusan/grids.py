"""One picture for each combination of two or three settings, drawn together and laid out with labels; scores over guidance."""

import csv
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import groupby, product
from pathlib import Path
from typing import TYPE_CHECKING

from .charts import Sheet, curve, labelled, stacked
from .errors import KakusanError
from .likeness import judge
from .loading import load
from .pipeline import Pipeline
from .result import Result, Step
from .tasks.beginning import Asked
from .tasks.modes import NOTHING, Given
from .tasks.recipe import Recipe
from .tasks.wording import USUALLY, Wording

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS: Mapping[str, type[int] | type[float] | type[str]] = {
    "prompt": str,
    "negative": str,
    "model": str,
    "sampler": str,
    "schedule": str,
    "steps": int,
    "scale": float,
    "seed": int,
    "strength": float,
    "width": int,
    "height": int,
    "variation_seed": int,
    "variation_strength": float,
    "dialect": str,
    "emphasis": str,
    "clip_skip": int,
}
"""What an axis may be. Of `prompt`, the first value is looked for in the prompt, and each value put in its place."""

READING = ("dialect", "emphasis", "clip_skip")
"""Those of them that say how prompts are read."""


@dataclass(frozen=True)
class Axis:
    """A setting and the values it takes. Raises KakusanError on an unknown one, on no values, or values of another kind."""

    name: str
    values: tuple[str | int | float, ...]

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            known = ", ".join(KINDS)
            raise KakusanError(
                f"no axis called {self.name!r}; there are {known}", f"軸 {self.name!r} はありません。使えるのは {known} です"
            )
        try:
            object.__setattr__(self, "values", tuple(KINDS[self.name](value) for value in self.values))
        except ValueError as error:
            raise KakusanError(f"axis {self.name}: {error}; give numbers", f"軸 {self.name}: 数を指定してください ({error})") from error
        if not self.values:
            raise KakusanError(
                f"axis {self.name} has no values; write {self.name}=a,b", f"軸 {self.name} に値がありません。例: {self.name}=a,b"
            )

    @classmethod
    def parse(cls, text: str) -> "Axis":
        """The axis of a text "steps=10,20"; a value with a comma in it stands in double quotes."""
        name, _, values = text.partition("=")
        return cls(name.strip(), tuple(value.strip() for value in next(csv.reader([values], skipinitialspace=True), [])))

    @property
    def labels(self) -> list[str]:
        """What is written beside the pictures."""
        shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in self.values]
        if self.name == "model":
            return [Path(value).name for value in shown]
        return (
            shown
            if self.name in ("prompt", "negative", "sampler", "schedule", "dialect", "emphasis")
            else [f"{self.name} {value}" for value in shown]
        )


NONE = Axis("seed", (0,))  # of one place, for a direction that is not asked for: its value is not used


@dataclass(frozen=True)
class Grid:
    """Pictures in the order z, y, x: `at(x, y, z)` is one of them. asked: which of the three directions have an axis."""

    axes: tuple[Axis, Axis, Axis]
    asked: tuple[bool, bool, bool]
    results: Result

    def at(self, x: int, y: int = 0, z: int = 0) -> "Image":
        """The picture with these values of the axes, counted from 0."""
        wide, high = (len(axis.values) for axis in self.axes[:2])
        return self.results.images[(z * high + y) * wide + x]

    def sheet(self) -> Sheet:
        """All pictures with their labels, one block for each value of z."""
        columns, rows, blocks = (axis.labels if asked else [""] for axis, asked in zip(self.axes, self.asked, strict=True))
        sheets: list[Sheet] = []
        for z, title in enumerate(blocks):
            pictures = [[self.at(x, y, z) for x in range(len(columns))] for y in range(len(rows))]
            sheets.append(labelled(pictures, columns, rows, title, sheets[-1].legend if sheets else {}))
        return stacked(sheets)

    @property
    def picture(self) -> "Image":
        """The sheet's picture."""
        return self.sheet().picture

    def rows(self) -> list[dict[str, object]]:
        """One for each picture: the values of its axes, its seed, and the text that makes it again."""
        named = [axis for axis, asked in zip(self.axes, self.asked, strict=True) if asked]
        found: list[dict[str, object]] = []
        for place, recipe in zip(_places(self.axes), self.results.recipes, strict=True):
            values = [axis.values[i] for axis, i, asked in zip(self.axes, place, self.asked, strict=True) if asked]
            settings = dict(zip((axis.name for axis in named), values, strict=True))
            found.append({**settings, "seed": recipe.seed, "parameters": recipe.parameters()})
        return found


@dataclass(frozen=True)
class Sweep:
    """Scores over guidance scales. grid: a column for each scale, a row for each seed; scores: of its pictures, in its order."""

    grid: Grid
    scores: list[float]

    @property
    def points(self) -> list[tuple[float, float]]:
        """(scale, cosine of picture and prompt) of every picture."""
        return [(recipe.scale, score) for recipe, score in zip(self.grid.results.recipes, self.scores, strict=True)]

    def curve(self) -> "Image":
        """Every picture's score as a dot, and the line through the means."""
        return curve(self.points, "guidance scale", "CLIP similarity of picture and prompt")

    def rows(self) -> list[dict[str, object]]:
        """As `Grid.rows`, with the scores."""
        return [{**row, "similarity": round(score, 6)} for row, score in zip(self.grid.rows(), self.scores, strict=True)]


def xyz(
    pipe: Pipeline,
    prompt: str,
    x: str | Axis,
    y: str | Axis | None = None,
    z: str | Axis | None = None,
    options: Mapping[str, object] | None = None,
    begin: Asked | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Grid:
    """A picture for each combination of the values of up to three axes, all in one batched run; for axis `model`, one run a model.

    x, y, z: as `Axis`, or as text "sampler=euler,ddim". options: what else the recipes say, by the names of their fields, `seed` too,
    which is chosen at random once for all unless it is given. begin: a picture to begin with, for axis `strength`.
    Raises KakusanError on what cannot be done, before anything is drawn if it does not depend on other models.
    """
    axes, asked = _axes(x, y, z)
    settings = dict(options or {})
    _check_words(axes, asked, f"{prompt}\n{settings.get('negative') or ''}")
    if settings.get("seed") is None:
        settings["seed"] = secrets.randbelow(2**32)
    cells = [_settings(axes, asked, place, {**settings, "prompt": prompt}) for place in _places(axes)]
    order = sorted(range(len(cells)), key=lambda i: str(cells[i].get("model", "")))
    images: dict[int, Image] = {}
    recipes: dict[int, Recipe] = {}
    done = 0
    for name, group in groupby(order, key=lambda i: cells[i].get("model")):
        places, before = list(group), len(images)
        drawer = pipe if name is None else load(str(name), device=str(pipe.device))
        for step in _drawn(drawer, [cells[i] for i in places], begin):
            if step.image is not None and step.recipe is not None:
                images[places[step.picture]], recipes[places[step.picture]] = step.image, step.recipe
            if on_step is not None:
                left = len(cells) - before  # other models' runs are taken to be as long as this one's
                total = done + step.total * left // len(places)
                on_step(step._replace(picture=places[step.picture], done=done + step.done, total=total))
        done += step.total
    ordered = [recipes[i] for i in range(len(cells))]
    return Grid(axes, asked, Result([images[i] for i in range(len(cells))], ordered, pipe.notes(ordered)))


def sweep(
    pipe: Pipeline,
    prompt: str,
    scales: Sequence[float] = (1.0, 2.0, 3.0, 5.0, 7.5),
    seeds: int = 4,
    options: Mapping[str, object] | None = None,
    model: str | Path | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Sweep:
    """How well pictures fit the prompt at each guidance scale, to a CLIP (`kakusan.similarity`): the same seeds at every scale.

    options: as in `xyz`; its `seed` is the first of the seeds. model: the CLIP, the embedded one unless named.
    """
    if seeds < 1:
        raise KakusanError(f"{seeds} seeds; at least 1", f"シードの数が {seeds} です。1 以上にしてください")
    compared = judge(model)
    given = dict(options or {})
    seed = given.pop("seed", None)
    first = seed if isinstance(seed, int) else secrets.randbelow(2**32)
    grid = xyz(pipe, prompt, Axis("scale", tuple(scales)), Axis("seed", tuple(range(first, first + seeds))), options=given, on_step=on_step)
    return Sweep(grid, compared.scores([prompt] * len(grid.results.images), grid.results.images))


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows of equal keys as the text of a CSV file."""
    out = StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _axes(x: str | Axis, y: str | Axis | None, z: str | Axis | None) -> tuple[tuple[Axis, Axis, Axis], tuple[bool, bool, bool]]:
    one, two, three = (NONE if axis is None else Axis.parse(axis) if isinstance(axis, str) else axis for axis in (x, y, z))
    asked = (True, y is not None, z is not None)
    names = [axis.name for axis, there in zip((one, two, three), asked, strict=True) if there]
    if twice := next((name for name in names if names.count(name) > 1 and name != "prompt"), None):
        raise KakusanError(f"{twice} is on two axes; give another setting", f"{twice} が 2 つの軸にあります。別の設定にしてください")
    return (one, two, three), asked


def _places(axes: tuple[Axis, Axis, Axis]) -> Iterator[tuple[int, int, int]]:
    """Every (x, y, z), x running fastest."""
    for z, y, x in product(*(range(len(axis.values)) for axis in reversed(axes))):
        yield x, y, z


def _settings(
    axes: tuple[Axis, Axis, Axis], asked: tuple[bool, bool, bool], place: tuple[int, int, int], settings: dict[str, object]
) -> dict[str, object]:
    """The settings of one picture."""
    words: dict[str, str] = {}
    for axis, i, there in zip(axes, place, asked, strict=True):
        if there and axis.name == "prompt":
            words[str(axis.values[0])] = str(axis.values[i])
        elif there and axis.name in READING:
            usual = settings.get("wording")
            settings["wording"] = replace(usual if isinstance(usual, Wording) else USUALLY, **{axis.name: axis.values[i]})  # type: ignore[arg-type]
        elif there:
            settings[axis.name] = axis.values[i]
    for name in ("prompt", "negative") if words else ():
        said = str(settings.get(name) or "")
        settings[name] = re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], said)  # all at once: none in another
    return settings


def _check_words(axes: tuple[Axis, Axis, Axis], asked: tuple[bool, bool, bool], text: str) -> None:
    for axis, there in zip(axes, asked, strict=True):
        if there and axis.name == "prompt" and (not axis.values[0] or str(axis.values[0]) not in text):
            raise KakusanError(
                f"axis prompt: {axis.values[0]!r} is not in the prompt; the first value is what the others replace",
                f"軸 prompt: {axis.values[0]!r} がプロンプトにありません。最初の値が、ほかの値で置き換えられます",
            )


def _drawn(pipe: Pipeline, cells: Sequence[Mapping[str, object]], begin: Asked | None) -> Iterator[Step]:
    """The steps of all pictures of one model, in one run. Every recipe is checked before the first step."""
    made, pictures = list[Recipe](), list[Given]()
    for cell in cells:
        options = {name: value for name, value in cell.items() if name not in ("prompt", "seed", "model")}
        given, size = (NOTHING, (None, None)) if begin is None else pipe.given(begin)
        options |= {name: value for name, value in zip(("width", "height"), size, strict=True) if options.get(name) is None}
        made += pipe.recipes(str(cell["prompt"]), 1, int(str(cell["seed"])), options, given)
        pictures.append(given)
    yield from pipe.steps(made, pictures)
