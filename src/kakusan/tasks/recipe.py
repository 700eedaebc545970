"""How a picture was made, as the text that AUTOMATIC1111's web UI writes into its files and other programs read."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import version
from typing import Any, Literal

from ..errors import KakusanError
from ..samplers.names import NAMES
from ..schedules import DESCRIPTIONS
from .area import WHOLE, Area
from .large import PLAIN, Large
from .learnt import NOTHING, Learnt
from .like import OURS, Like
from .translated import NOT_TRANSLATED, Translated
from .wording import USUALLY, Wording

NEGATIVE = "Negative prompt:"
SETTING = re.compile(r'(?<![\w \-/])[ \-/]*(\w[\w \-/]{1,99}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""As in AUTOMATIC1111's `infotext_utils.py`; that a key is short, and begins where its characters do, keeps the time linear."""
Fill = Literal["original", "fill", "noise", "nothing"]
FILLS: tuple[Fill, ...] = ("original", "fill", "noise", "nothing")
"""What lies under a mask before noise is added: the picture, colours from round it, noise, or zeros."""
Rule = Literal["diffusers", "compvis"]
RULES: tuple[Rule, ...] = ("diffusers", "compvis")
"""How strength is counted (`modes.begun`)."""

NUMBER = r"-?\d+(\.\d+)?(e[-+]?\d+)?"
SAMPLER_LABELS = {row.name: row.label for row in NAMES}
SCHEDULE_LABELS = {name: row.label for name, row in DESCRIPTIONS.items()}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides one picture, but for the pictures it begins with.

    sampler, schedule: our names, not labels; model_hash: of its weights, any length. safety, watermark: what was done
    afterwards (`safety.afterwards.Finished`). mode: `modes.Mode`; strength: from 0, the
    picture given, to 1, nothing of it, counted by `rule`; fill: what is put under a mask; noise_level: how much noise a small
    picture gets; area: how the mask was used; large: windows, passes, endlessness.
    variation_strength: from 0, `seed`, to 1, `variation_seed`; seed_width, seed_height: whose noise is meant, 0 is the picture's own.
    second: a second prompt, which is `blend` (0 to 1) of the words, or follows the first after `switch` evaluations of the U-Net.
    wording: how all of them are read. learnt: LoRAs and learnt words.
    translated: what the prompts were before they were put into English.
    """

    prompt: str
    negative: str
    width: int
    height: int
    steps: int
    sampler: str
    schedule: str
    scale: float
    seed: int
    model: str = ""
    model_hash: str = ""
    version: str = field(default_factory=lambda: f"kakusan {version('kakusan')}")
    mode: str = "txt2img"
    strength: float = 1.0
    fill: Fill = "original"
    noise_level: int = 20
    safety: str = ""
    watermark: str = ""
    rule: Rule = "diffusers"
    area: Area = WHOLE
    large: Large = PLAIN
    variation_seed: int = 0
    variation_strength: float = 0.0
    seed_width: int = 0
    seed_height: int = 0
    second: str = ""
    blend: float = 0.0
    switch: int = 0
    wording: Wording = USUALLY
    like: Like = OURS
    learnt: Learnt = NOTHING
    translated: Translated = NOT_TRANSLATED

    @classmethod
    def defaults(cls, settings: Mapping[str, object], size: int) -> "Recipe":
        """What a model draws with if nothing else is asked: Stable Diffusion's usual values, where `settings` has no others.

        settings: a model's own, by the names of the fields; size: its usual width and height in pixels.
        """
        usual = cls("", "", size, size, steps=20, sampler="dpmpp_2m", schedule="karras", scale=7.0, seed=0)
        return replace(usual, **{f.name: settings[f.name] for f in fields(cls) if f.name in settings})  # type: ignore[arg-type]

    def parameters(self) -> str:
        """The prompt, a line `Negative prompt: ...` if there is one, and a line `Steps: 20, Sampler: ...`.

        Texts that the layout would garble (a prompt with a line that begins "Negative prompt:") are repeated as settings.
        """
        words = ([self.prompt] if self.prompt else []) + ([f"{NEGATIVE} {self.negative}"] if self.negative else [])
        settings = self._settings()
        if _words("\n".join(words)) != (self.prompt, self.negative):
            settings |= {"Prompt": self.prompt, "Negative": self.negative}
        line = ", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value)
        return "\n".join([*words, line])

    @classmethod
    def parse(cls, text: str) -> "Recipe":
        """The recipe of a text that `parameters` made; settings of other programs are left out.

        Raises KakusanError if a setting is missing or is no number.
        """
        body, _, line = text.rstrip().rpartition("\n")
        settings = {key: _unquoted(value) for key, value in SETTING.findall(line)}
        prompt, negative = _words(body)
        width, height = _number(settings, "Size", r"(\d+)x(\d+)").split("x")
        sampler, schedule = settings.get("Sampler", ""), settings.get("Schedule type", "")
        return cls(
            prompt=settings.get("Prompt", prompt if "Negative" not in settings else ""),
            negative=settings.get("Negative", negative if "Prompt" not in settings else ""),
            width=int(width),
            height=int(height),
            steps=int(_number(settings, "Steps", r"\d+")),
            sampler=_name(sampler, SAMPLER_LABELS),
            schedule=_name(schedule, SCHEDULE_LABELS),
            scale=float(_number(settings, "CFG scale", NUMBER)),
            seed=int(_number(settings, "Seed", r"-?\d+")),
            model=settings.get("Model", ""),
            model_hash=settings.get("Model hash", ""),
            version=settings.get("Version", ""),
            mode=settings.get("Mode", "txt2img"),
            strength=float(_number(settings, "Denoising strength", NUMBER, "1")),
            fill=next((fill for fill in FILLS if fill == settings.get("Masked content")), "original"),
            noise_level=int(_number(settings, "Noise level", r"\d+", "20")),
            safety=settings.get("Safety", ""),
            watermark=settings.get("Watermark", ""),
            rule=next((rule for rule in RULES if rule == settings.get("Strength rule")), "diffusers"),
            area=_area(settings),
            large=Large.of_settings(settings),
            wording=Wording.of_settings(settings),
            like=Like.of_settings(settings),
            learnt=Learnt.of_settings(settings),
            translated=Translated.of_settings(settings),
            **_variation(settings),
        )

    def _settings(self) -> dict[str, str]:
        return {
            "Steps": str(self.steps),
            "Sampler": SAMPLER_LABELS.get(self.sampler, self.sampler),
            "Schedule type": SCHEDULE_LABELS.get(self.schedule, self.schedule),
            "CFG scale": repr(float(self.scale)).removesuffix(".0"),
            "Seed": str(self.seed),
            "Size": f"{self.width}x{self.height}",
            "Model hash": self.model_hash,
            "Model": self.model,
            **self._varied(),
            **self.wording.settings(),
            **self.like.settings(),
            **self.large.settings(),
            **self.learnt.settings(),
            **self.translated.settings(),
            "Version": self.version,
            **self._beginning(),
            "Safety": self.safety,
            "Watermark": self.watermark,
        }

    def _varied(self) -> dict[str, str]:
        """What only pictures between seeds or prompts have; the seeds in AUTOMATIC1111's words."""
        said: dict[str, str] = {}
        if self.variation_strength:
            said |= {"Variation seed": str(self.variation_seed), "Variation seed strength": repr(float(self.variation_strength))}
        if self.seed_width:
            said["Seed resize from"] = f"{self.seed_width}x{self.seed_height}"
        if self.second:
            at = {"Switch after": str(self.switch)} if self.switch else {"Blend": repr(float(self.blend))}
            said |= {"Second prompt": self.second, **at}
        return said

    def _beginning(self) -> dict[str, str]:
        """What only pictures that begin with a picture have."""
        if self.mode == "txt2img":
            return {"Denoising strength": repr(float(self.strength))} if self.large.hires else {}
        if self.mode == "upscale":
            return {"Mode": self.mode, "Noise level": str(self.noise_level)}
        said = {"Mode": self.mode, "Denoising strength": repr(float(self.strength))}
        if self.rule != "diffusers":
            said["Strength rule"] = self.rule
        return said | ({"Masked content": str(self.fill)} | _of_area(self.area) if self.mode == "inpaint" else {})


def _of_area(area: Area) -> dict[str, str]:
    """As AUTOMATIC1111's web UI writes it; it has no word for pictures that grow."""
    said = {"Mask blur": str(area.blur)} if area.blur else {}
    if area.invert:
        said["Mask mode"] = "Inpaint not masked"
    if area.only_masked:
        said |= {"Inpaint area": "Only masked", "Masked area padding": str(area.padding)}
    if any(area.outpaint):
        said["Outpaint"] = " ".join(map(str, area.outpaint))
    return said


def _area(settings: dict[str, str]) -> Area:
    sides = _number(settings, "Outpaint", r"\d+( \d+){3}", "0 0 0 0").split()
    left, right, up, down = map(int, sides)
    return Area(
        blur=int(_number(settings, "Mask blur", r"\d+", "0")),
        invert=settings.get("Mask mode") == "Inpaint not masked",
        only_masked=settings.get("Inpaint area") == "Only masked",
        padding=int(_number(settings, "Masked area padding", r"\d+", str(WHOLE.padding))),
        outpaint=(left, right, up, down),
    )


def _variation(settings: dict[str, str]) -> dict[str, Any]:
    """The fields that `_varied` says."""
    width, height = _number(settings, "Seed resize from", r"(\d+)x(\d+)", "0x0").split("x")
    return {
        "variation_seed": int(_number(settings, "Variation seed", r"\d+", "0")),
        "variation_strength": float(_number(settings, "Variation seed strength", NUMBER, "0")),
        "seed_width": int(width),
        "seed_height": int(height),
        "second": settings.get("Second prompt", ""),
        "blend": float(_number(settings, "Blend", NUMBER, "0")),
        "switch": int(_number(settings, "Switch after", r"\d+", "0")),
    }


def _words(body: str) -> tuple[str, str]:
    """Prompt and negative prompt of all lines but the last."""
    prompt, _, negative = ("\n" + body).partition("\n" + NEGATIVE)
    return prompt.removeprefix("\n"), negative.removeprefix(" ")


def _quoted(value: str) -> str:
    """As JSON if the bare value would end early, or not come back as it is."""
    bare = value == value.strip() and not value.startswith('"') and not re.search(r"[,:\n]", value)
    return value if bare else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def _number(settings: dict[str, str], key: str, pattern: str, default: str | None = None) -> str:
    value = settings.get(key, default)
    if value is None or not re.fullmatch(pattern, value):
        got = "is missing" if value is None else f"is {value!r}"
        gives = "がありません" if value is None else f"が {value!r} です"
        raise KakusanError(f"picture parameters: {key!r} {got}; is this text from another program?", f"画像の生成情報: {key!r} {gives}")
    return value


def _name(label: str, labels: dict[str, str]) -> str:
    return next((name for name, known in labels.items() if known == label), label)
