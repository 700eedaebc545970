"""How a prompt is read: its dialect, what weights do, how much of the text encoder is used. Light: nothing here needs torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import KakusanError
from ..prompts.chunks import BACKTRACK, Wrap
from ..prompts.prompt import DIALECTS, Dialect

Emphasis = Literal["", "none", "ignore", "original", "no_norm", "comfyui", "compel"]
EMPHASES: Mapping[Emphasis, str] = {
    "none": "None",
    "ignore": "Ignore",
    "original": "Original",
    "no_norm": "No norm",
    "comfyui": "ComfyUI",
    "compel": "Compel",
}
"""What weights do (`emphasis`), with AUTOMATIC1111's labels; the last two are not in its list."""
USUAL: Mapping[Dialect, Emphasis] = {"a1111": "original", "comfyui": "comfyui", "compel": "compel", "plain": "ignore"}
"""What weights do in the program a dialect comes from."""
MOST_SKIPPED = 48
LONGEST_BACKTRACK = 74

SECOND_ORDER = frozenset({"heun", "dpm_2", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde", "restart"})
"""Samplers for which AUTOMATIC1111 counts a step of a prompt's timeline twice, since they ask the network twice in a step."""


@dataclass(frozen=True)
class Wording:
    """dialect: of the prompt and the negative prompt. emphasis: one of `EMPHASES`; "" is the dialect's own.

    clip_skip: 1 uses the text encoder's last layer that the model was trained with, 2 the one before it, and so on; the final norm
    follows in any case. backtrack: see `chunks.chunked`. old_timelines: prompt editing as AUTOMATIC1111's web UI before 1.6.
    pad: a prompt shorter than its opposite is filled up with the states of the empty prompt, instead of being used as long as it is.
    cut: only the first chunk of a long prompt is read, as diffusers and CompVis' scripts do; users are told.
    Raises KakusanError on what is none of these.
    """

    dialect: Dialect = "a1111"
    emphasis: Emphasis = ""
    clip_skip: int = 1
    backtrack: int = BACKTRACK
    old_timelines: bool = False
    pad: bool = False
    cut: bool = False

    def __post_init__(self) -> None:
        _check_word("dialect", self.dialect, DIALECTS)
        if self.emphasis:
            _check_word("emphasis", self.emphasis, tuple(EMPHASES))
        _check_number("clip skip", self.clip_skip, 1, MOST_SKIPPED)
        _check_number("backtrack", self.backtrack, 0, LONGEST_BACKTRACK)

    @property
    def weighting(self) -> Emphasis:
        """What weights do, in a word of `EMPHASES`."""
        return self.emphasis or USUAL[self.dialect]

    @property
    def wrap(self) -> Wrap:
        """Where chunks end."""
        return "words" if self.dialect == "comfyui" else "comma"

    @property
    def moved(self) -> int:
        """How many tokens the comma rule may move: none in dialects of programs that do not have it."""
        return self.backtrack if self.dialect == "a1111" else 0

    def settings(self) -> dict[str, str]:
        """As lines of a recipe; AUTOMATIC1111's words where it has any."""
        said = {"Clip skip": str(self.clip_skip)} if self.clip_skip != 1 else {}
        if self.dialect != "a1111":
            said["Prompt dialect"] = self.dialect
        if self.emphasis:
            said["Emphasis"] = EMPHASES[self.emphasis]
        if self.backtrack != BACKTRACK:
            said["Prompt word wrap length limit"] = str(self.backtrack)
        if self.old_timelines:
            said["Old prompt editing timelines"] = "True"
        return said | ({"Pad conds": "True"} if self.pad else {}) | ({"Long prompts": "cut"} if self.cut else {})

    @classmethod
    def of_settings(cls, settings: Mapping[str, str]) -> "Wording":
        """What `settings` said; what cannot be is left out."""
        dialect: Dialect = next((known for known in DIALECTS if known == settings.get("Prompt dialect")), "a1111")
        emphasis: Emphasis = next((key for key, label in EMPHASES.items() if label == settings.get("Emphasis")), "")
        skip = _number(settings.get("Clip skip", ""), 1, 1, MOST_SKIPPED)
        backtrack = _number(settings.get("Prompt word wrap length limit", ""), BACKTRACK, 0, LONGEST_BACKTRACK)
        old, pad = (settings.get(key) == "True" for key in ("Old prompt editing timelines", "Pad conds"))
        return cls(dialect, emphasis, skip, backtrack, old, pad, settings.get("Long prompts") == "cut")


def asked(usual: Wording, dialect: str | None = None, emphasis: str | None = None, clip_skip: int | None = None) -> Wording:
    """`usual` with what is asked for; None leaves it. Raises KakusanError on what cannot be."""
    given: dict[str, object] = {"dialect": dialect, "emphasis": emphasis, "clip_skip": clip_skip}
    fields = {name: getattr(usual, name) for name in Wording.__dataclass_fields__}
    return Wording(**fields | {name: value for name, value in given.items() if value is not None})


def timeline(sampler: str, steps: int) -> int:
    """How many evaluations a prompt's timeline is long, as AUTOMATIC1111 counts (`SamplerData.total_steps` in sd_samplers_common.py).

    Its denoiser counts its own calls from 0, and a timeline is read for that many: `[cat:dog:10]` with Heun changes after call 10,
    in the middle of the run of 10 steps.
    """
    return 2 * steps if sampler in SECOND_ORDER else steps


def _check_word(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        words = ", ".join(known)
        raise KakusanError(f"{name} is {value!r}; it must be one of {words}", f"{name} が {value!r} です。{words} のどれかにしてください")


def _check_number(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise KakusanError(
            f"{name} is {value}; it must be from {low} to {high}", f"{name} が {value} です。{low} から {high} の間にしてください"
        )


def _number(text: str, default: int, low: int, high: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 4 and low <= int(text) <= high else default


USUALLY = Wording()
