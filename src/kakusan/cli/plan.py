"""All pictures that one `kakusan draw` makes: of words, of a picture, of each picture in a folder, and of its own results again."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import FileError, KakusanError
from ..prompts.requests import Request
from .parser import Arguments

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..pipeline import Pipeline, Step
    from ..prompts.japanese.translators import Translator
    from ..tasks.area import Area
    from ..tasks.beginning import Asked
    from ..tasks.fitting import Picture, Resize
    from ..tasks.modes import Given
    from ..tasks.recipe import Recipe

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MOST_LOOPS = 100
NAME_LENGTH = 60  # characters of a picture's name that go on into its result's: four bytes each still make a file name


class Plan:
    """Pictures in the order of their numbers: those of the first original and prompt, then what is made of them again, then the next.

    Every original is opened, and every recipe checked, before anything is drawn; the pictures themselves are opened again in turn,
    so that a folder may be larger than the memory. options: as in `Pipeline.__call__`; mask: of an original, if it has one;
    begun: told, by its number, what each picture is made from.
    """

    def __init__(
        self,
        pipe: "Pipeline",
        requests: Sequence[Request],
        args: Arguments,
        options: Mapping[str, object],
        mask: "Callable[[Path], Picture | None]",
        begun: "Callable[[int, Asked], None]" = lambda picture, asked: None,
        worded: "Callable[[Recipe], Recipe]" = lambda recipe: recipe,
    ):
        self.pipe, self.args, self.options, self.mask, self.begun = pipe, args, dict(options), mask, begun
        self.worded = worded
        self.area: Area = self.options.pop("area")  # type: ignore[assignment]
        self.resize: Resize = self.options.pop("resize")  # type: ignore[assignment]
        self.rounds = 1 + _loops(args)
        originals: list[Path | None] = [None] if args.image is None else list(_originals(args.image))
        self.jobs = [(original, request) for original in originals for request in requests]
        """What is drawn with one call: an original, if there is one, as a prompt has it."""
        self.recipes: list[Recipe] = []
        self.totals: list[int] = []  # evaluations of each
        first = secrets.randbelow(2**32) if args.seed is None else args.seed
        for i, (original, request) in enumerate(self.jobs):
            self._add(original, request, first if request.seed is None else request.seed, i // len(requests) * self.rounds)

    @property
    def names(self) -> list[str]:
        """What each picture's file is called behind its number: as its original in a folder, else by its seed."""
        if self.args.image is None or not self.args.image.is_dir():
            return [str(recipe.seed) for recipe in self.recipes]
        return [path.stem[:NAME_LENGTH] for path, _ in self.jobs if path for _ in range(self.rounds * self.args.count)]

    def steps(self) -> "Iterator[tuple[Step, Image | None]]":
        """Draw everything, as many jobs together as the model takes rows; with the first step of a picture comes its depth.

        The depth is there only if it is to be saved.
        """
        together = max(1, self.pipe.max_rows // self.args.count)
        done = 0
        for start in range(0, len(self.jobs), together):
            group = range(start, min(start + together, len(self.jobs)))
            latest: dict[int, Image] = {}
            for turn in range(self.rounds):
                at = [self._at(k, turn, i) for k in group for i in range(self.args.count)]
                for step, depth in self._drawn(at, latest):
                    yield step._replace(done=done + step.done, total=sum(self.totals)), depth
                done += sum(self.totals[i] for i in at)

    def _at(self, job: int, turn: int, i: int) -> int:
        per_round = int(self.args.count)
        return (job * self.rounds + turn) * per_round + i

    def _add(self, original: Path | None, request: Request, seed: int, rounds: int) -> None:
        """The recipes of one job. rounds: of the same prompt that came before; seeds count on from them."""
        from ..tasks.translated import in_english
        from ..tasks.variations import numbered

        given, (width, height) = self.pipe.given(self._asked(original, original, request))
        by: Translator = self.options.get("translator") or self.pipe.translator  # type: ignore[assignment]
        said = {} if request.negative is None else {"negative": request.negative}
        drawn = {**said, **request.options, "width": width, "height": height, "area": self.area}
        recipes = self.pipe.recipes(request.prompt, self.args.count, seed, {**self.options, **drawn}, given)
        if self.rounds > 1 and (recipes[0].mode == "upscale" or any(self.area.outpaint)):
            raise KakusanError(
                "--loopback needs pictures that stay as large as they are; leave it out",
                "--loopback は大きさの変わらない絵にしか使えません。外してください",
            )
        if self.args.save_depth and recipes[0].mode != "depth2img":
            raise KakusanError("--save-depth is for a depth model; give one with --model", "--save-depth は奥行きのモデル用です")
        for turn in range(self.rounds):
            for recipe in recipes:
                strength = min(1.0, recipe.strength * self.args.loopback_factor**turn)
                further = numbered(replace(recipe, strength=strength), (rounds + turn) * self.args.count)
                self.recipes.append(self.pipe.checked(in_english(self.worded(further), by)))
                self.totals.append(self.pipe.evaluations(further, given) - int(self.args.save_depth and given.depth is None))

    def _drawn(self, at: list[int], latest: "dict[int, Image]") -> "Iterator[tuple[Step, Image | None]]":
        """The steps of pictures that are drawn together. latest: by place among them, what to begin with; what is finished goes in."""
        from ..tasks.fitting import depth_picture

        givens = []
        for j, i in enumerate(at):
            original, request = self.jobs[i // (self.rounds * self.args.count)]
            asked = self._asked(latest.get(j, original), original, request)
            self.begun(i, asked)
            given = self.pipe.given(asked)[0]
            givens.append(self._with_depth(given) if self.args.save_depth else given)
        depths = {j: depth_picture(given.depth) for j, given in enumerate(givens) if self.args.save_depth and given.depth is not None}
        kept = self.args.watermark == "auto" and any(given.mask is not None for given in givens)  # not a pixel may change there
        after = self.pipe.afterwards(watermark="off" if kept else None)
        for step in self.pipe.steps([self.recipes[i] for i in at], givens, after):
            if step.image is not None:
                latest[step.picture] = step.image
            yield step._replace(picture=at[step.picture]), depths.pop(step.picture, None)

    def _asked(self, picture: "Picture | None", original: Path | None, request: Request) -> "Asked":
        from ..tasks.beginning import Asked

        args = self.args
        mask = None if original is None else self.mask(original)
        size = (request.width or args.width, request.height or args.height)
        return Asked(picture, mask, args.depth, size, self.resize, self.area)

    def _with_depth(self, given: "Given") -> "Given":
        if given.depth is not None or given.image is None:
            return given
        return replace(given, depth=self.pipe.networks["depth"](given.image[None])[0])


def mask_file(args: Arguments, original: Path) -> Path | None:
    """The mask that --mask gives an original: that file, or the one of the same name in that folder. Raises FileError if none is there."""
    if args.mask is None or not args.mask.is_dir():
        return Path(args.mask) if args.mask is not None else None
    found = [path for path in _pictures(args.mask) if path.stem == original.stem]
    if not found:
        raise FileError(
            f"{args.mask}: no mask called {original.stem}; give every picture one",
            f"{args.mask}: {original.stem} という名前のマスクがありません",
        )
    return found[0]


def _originals(image: Path) -> list[Path]:
    if not image.is_dir():
        return [image]
    found = _pictures(image)
    if not found:
        known = " ".join(PICTURES)
        raise FileError(f"{image}: no pictures in this folder ({known})", f"{image}: このフォルダーに画像がありません ({known})")
    return found


def _pictures(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith("."))
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{folder}: cannot be read ({reason})", f"{folder}: 読み込めません ({reason})") from error


def _loops(args: Arguments) -> int:
    loops = args.loopback or 0
    if not 0 <= loops <= MOST_LOOPS or not 0 < args.loopback_factor <= 2:
        raise KakusanError(
            f"--loopback is {loops} with factor {args.loopback_factor:g}; from 0 to {MOST_LOOPS} times, with a factor up to 2",
            f"--loopback が {loops} 回、倍率 {args.loopback_factor:g} です。0 から {MOST_LOOPS} 回、倍率は 2 以下にしてください",
        )
    return loops
