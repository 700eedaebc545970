"""What another program tells, said in AUTOMATIC1111's words, and the recipe that comes of it.

Its settings are the common tongue because `Recipe.parse` reads them: a setting that one day becomes a field of recipes is honoured
from then on, and what no field holds is told, without another table.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import KakusanError
from ..messages import tr
from ..tasks.recipe import Recipe
from .names import named
from .settings import settings_of

USUAL = {"Steps": "20", "CFG scale": "7", "Seed": "0", "Size": "512x512"}
"""What is taken where a program says nothing, or nothing that makes sense."""
NUMBERS = {
    **dict.fromkeys(("Steps", "Seed", "Variation seed", "Clip skip", "Mask blur", "Masked area padding", "ENSD"), r"\d{1,19}"),
    **dict.fromkeys(("CFG scale", "Denoising strength", "Variation seed strength"), r"\d{1,9}(\.\d{1,30})?(e-?\d\d?)?"),
    **dict.fromkeys(("Size", "Seed resize from"), r"\d{1,6}x\d{1,6}"),
}
SILENT = frozenset(
    (
        *("Version", "User", "App", "Parser", "Pipeline", "Operations", "Backend", "Created Date", "Time taken", "Performance"),
        *("Model hash", "Model", "VAE hash", "Lora hashes", "TI hashes", "Hashes", "Metadata Scheme", "Template", "Negative Template"),
        *("Prompt", "Negative", "Raw prompt", "Raw negative prompt", "Prompt dialect", "Like", "Sampler", "Schedule type"),
        *("Hires upscale", "Hires upscaler", "Hires resize", "Batch size", "Batch pos"),
    )
)
"""Settings that change no pixel, or that were understood on the way."""
NEUTRAL = frozenset(
    {"", "0", "0.0", "1.0", "false", "none", "[]", "{}", "1", "original", "whole picture", "use same sampler", "use same scheduler"}
)
"""Values of a setting that ask for nothing."""
DIALECTS = {"comfyui": "comfyui", "invokeai": "compel"}
"""How prompts are read, by profile, where it is not AUTOMATIC1111's way."""
MOST_NOTES = 40
VERSION = re.compile(r"v(\d{1,4})\.(\d{1,4})")
EDITED = re.compile(r"\[[^\[\]]{0,1000}:")


@dataclass
class Told:
    """What a program tells. program: its name; profile: whose noise and rules it follows ("a1111", "comfyui", ...), "" if unknown.

    settings: AUTOMATIC1111's keys and values; size: of the picture's file, where the program says none.
    """

    program: str
    profile: str
    prompt: str = ""
    negative: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)


def recipe_of(told: Told) -> tuple[Recipe | None, list[str]]:
    """The recipe, None if nothing tells of one, and one line for everything that it does not hold."""
    notes = list(told.notes)
    if not (told.prompt or told.negative or told.settings):
        return None, notes
    settings = _sized(dict(told.settings), told, notes)
    sampler = named(settings.pop("Sampler", ""), settings.pop("Schedule type", ""), told.profile)
    notes += sampler.notes
    settings |= {"Sampler": sampler.sampler, "Schedule type": sampler.schedule, "Like": told.profile}
    if told.profile in DIALECTS:
        settings.setdefault("Prompt dialect", DIALECTS[told.profile])
    _passes(settings, notes)
    for key, same in (("Hires steps", "Steps"), ("Hires CFG Scale", "CFG scale")):
        if settings.get(key) == settings[same]:
            del settings[key]
    if told.profile == "a1111":
        _of_old_versions(settings, told.prompt + told.negative)
    for key, pattern in NUMBERS.items():
        _check(settings, key, pattern, notes)
    recipe, kept = _parsed(told, settings)
    if recipe is None:
        return None, [*notes, tr("its settings contradict each other", "設定が矛盾しています")][:MOST_NOTES]
    notes += [_unheard(key, value) for key, value in settings.items() if _lost(key, value, kept)]
    return recipe, notes[:MOST_NOTES]


def _sized(settings: dict[str, str], told: Told, notes: list[str]) -> dict[str, str]:
    """With what a recipe must have; what was not said is told."""
    if told.size != (0, 0) and "Size" not in settings:
        settings["Size"] = "{}x{}".format(*told.size)
    for key, usual in USUAL.items():
        if key not in settings:
            settings[key] = usual
            notes.append(tr(f"{key} is not said: {usual}", f"{key} の記載がないため {usual} とします"))
    return settings


def _passes(settings: dict[str, str], notes: list[str]) -> None:
    """Two passes, or a picture to begin with: AUTOMATIC1111 says neither, only the strength and what goes with it."""
    first, by, to = (settings.get(key, "") for key in ("Size", "Hires upscale", "Hires resize"))
    size = re.fullmatch(NUMBERS["Size"], to.strip()) and [int(side) for side in to.strip().split("x")]
    if not size and re.fullmatch(r"\d{1,3}(\.\d{1,9})?", by) and re.fullmatch(NUMBERS["Size"], first):
        size = [round(int(side) * float(by)) // 8 * 8 for side in first.split("x")]
    if size and "Two passes" not in settings:
        latent = "latent" in settings.get("Hires upscaler", "Latent").lower()
        settings |= {"Two passes": "latent" if latent else "pixels", "Size": f"{size[0]}x{size[1]}"}
        settings.setdefault("Denoising strength", "0.7")
        if not latent and settings.get("Hires upscaler", "None") not in ("None", "Lanczos"):
            how = settings["Hires upscaler"][:40]
            notes.append(tr(f"Hires upscaler {how!r}: enlarged with Lanczos", f"Hires upscaler {how!r} の代わりに Lanczos で拡大します"))
        notes.append(tr(f"first pass of {first}: drawn in the model's own size", f"1 回目の {first} はモデル本来の大きさで描きます"))
    elif "Denoising strength" in settings and "Mode" not in settings and "Two passes" not in settings:
        masked = settings.keys() & {"Mask blur", "Masked content", "Inpaint area", "Masked area padding", "Mask mode"}
        settings["Mode"] = "inpaint" if masked else "img2img"


def _of_old_versions(settings: dict[str, str], prompts: str) -> None:
    """What AUTOMATIC1111 did otherwise before 1.6, where it matters to these prompts."""
    version = VERSION.search(settings.get("Version", ""))
    if version and (int(version[1]), int(version[2])) < (1, 6) and EDITED.search(prompts):
        settings.setdefault("Old prompt editing timelines", "True")


def _check(settings: dict[str, str], key: str, pattern: str, notes: list[str]) -> None:
    """A number that is none, or absurd, becomes the usual one, and is told."""
    value = settings.get(key)
    if value is None or (re.fullmatch(pattern, value) and (not re.fullmatch(r"[\d.e-]+", value) or math.isfinite(float(value)))):
        return
    shown = value if len(value) < 40 else value[:40] + "..."
    usual = USUAL.get(key)
    if usual is None:
        del settings[key]
        notes.append(tr(f"{key} is {shown!r}: left out", f"{key} が {shown!r} なので省略します"))
    else:
        settings[key] = usual
        notes.append(tr(f"{key} is {shown!r}: {usual} is taken", f"{key} が {shown!r} なので {usual} とします"))


def _parsed(told: Told, settings: Mapping[str, str]) -> tuple[Recipe | None, dict[str, str]]:
    """The recipe, and the settings that it says again; where it cannot be read, with nothing but what every recipe has."""
    needed = (*USUAL, "Sampler", "Schedule type", "Like", "Prompt dialect", "Model", "Model hash", "Version", "Mode", "Denoising strength")
    for kept in (settings, {key: value for key, value in settings.items() if key in needed}):
        line = {**kept, "Prompt": told.prompt, "Negative": told.negative}
        try:
            recipe = Recipe.parse("\n" + ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in line.items()))
            return recipe, settings_of(recipe.parameters().rpartition("\n")[2])
        except (KakusanError, ValueError, ArithmeticError):
            continue
    return None, {}


def _lost(key: str, value: str, kept: Mapping[str, str]) -> bool:
    return key not in kept and key not in SILENT and key not in USUAL and value.strip().lower() not in NEUTRAL


def _unheard(key: str, value: str) -> str:
    shown = value if len(value) < 60 else value[:60] + "..."
    return tr(f"{key}: {shown} cannot be honoured", f"{key}: {shown} は反映できません")
