"""Options of a drawing that show how it emerges, vary its noise, and score it against its prompt."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..animation import MOVING, save_animation
from ..errors import KakusanError
from ..messages import tr
from .parser import Arguments, Parser

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..pipeline import Pipeline, Step
    from ..tasks.recipe import Recipe

SIZE = re.compile(r"(\d+)x(\d+)")


def add_arguments(parser: Parser) -> None:
    """Animations, fast previews, variations of a seed, scores."""
    add = parser.add_argument
    add(
        "--animate",
        choices=MOVING,
        metavar="KIND",
        help=tr("also save how it emerges, as gif or webp", "描かれる様子を gif か webp でも保存"),
    )
    full = tr("how estimates are shown: full, or fast (only colours)", "途中経過の見せ方。full (全部) か fast (色だけ)")
    add("--preview", choices=("full", "fast"), metavar="HOW", help=full)
    apart = tr("how far from the seed, 0 to 1, to other seeds", "シードから別のシードへ近づける度合い (0〜1)")
    add("--variation-strength", type=float, metavar="X", help=apart)
    others = tr("the first of those other seeds (default: at random)", "別のシードの最初の番号 (既定値: 無作為)")
    add("--variation-seed", type=int, metavar="N", help=others)
    noise = tr("the size of picture whose noise is meant", "ノイズを借りる絵の大きさ")
    add("--seed-size", metavar="WxH", help=noise)
    scored = tr("also print how well it fits its prompt, from -1 to 1", "プロンプトとの近さ (-1 から 1) も表示")
    add("--score", action="store_true", help=scored)
    add("--clip", metavar="PATH", help=tr("the CLIP that scores (default: the embedded one)", "採点する CLIP (既定値: 付属のもの)"))


def given(args: Arguments) -> dict[str, object]:
    """What the options say of recipes, None for what they leave out."""
    found: dict[str, object] = {"variation_seed": args.variation_seed, "variation_strength": args.variation_strength}
    if args.seed_size is None:
        return found
    size = SIZE.fullmatch(args.seed_size)
    if size is None:
        raise KakusanError(
            f"--seed-size is {args.seed_size!r}; write width x height: 512x512", f"--seed-size が {args.seed_size!r} です。例: 512x512"
        )
    return found | {"seed_width": int(size[1]), "seed_height": int(size[2])}


def preview(pipe: "Pipeline", args: Arguments) -> "Callable[[Tensor], Image]":
    """What makes the pictures of --show-steps: decoded in full unless --preview fast."""
    return lambda latent: pipe.preview(latent, fast=args.preview == "fast")


class Watch:
    """What the options want done while pictures emerge. files: animations written; scores: of pictures, by their index."""

    def __init__(self, pipe: "Pipeline", args: Arguments):
        self.pipe, self.kind, self.full = pipe, args.animate, args.preview == "full"
        self.every = args.show_steps or 1
        self.files: list[Path] = []
        self.scores: dict[int, float] = {}
        self._seen: dict[int, int] = {}
        self._frames: dict[int, list[Image]] = {}
        self._judge = None
        if args.score or args.clip is not None:
            from ..likeness import judge

            self._judge = judge(args.clip)

    def take(self, step: "Step", recipe: "Recipe", file: Path | None) -> None:
        """Keep what a step shows; a finished picture, saved as `file`, is scored and its animation written beside it."""
        if step.image is not None:
            if self._judge is not None:
                (self.scores[step.picture],) = self._judge.scores([recipe.prompt], [step.image])
            if self.kind is not None and file is not None:
                self._write([*self._frames.pop(step.picture, []), step.image], file.with_suffix(f".{self.kind}"))
        elif self.kind is not None and step.latent is not None:
            self._seen[step.picture] = self._seen.get(step.picture, 0) + 1
            if self._seen[step.picture] % self.every == 0:
                self._frames.setdefault(step.picture, []).append(self.pipe.preview(step.latent, fast=not self.full))

    def told(self) -> list[str]:
        """A line with the scores, if there are any."""
        scores = ", ".join(f"{self.scores[i]:.3f}" for i in sorted(self.scores))
        return [tr(f"similarity to the prompt: {scores}", f"プロンプトとの類似度: {scores}")] if scores else []

    def _write(self, frames: "list[Image]", file: Path) -> None:
        while True:  # a picture saved as WebP has that name already, and so may somebody else's file
            try:
                save_animation(frames, file)
            except FileExistsError:
                file = file.with_stem(f"{file.stem}-moving")
                continue
            self.files.append(file)
            return
