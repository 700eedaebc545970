"""AUTOMATIC1111's text: the prompt, a line "Negative prompt: ...", a line of settings; and who else writes it."""

import re

from ..tasks.recipe import SETTING
from .settings import settings_of
from .told import Told

NEGATIVE = "Negative prompt:"
LEAST = 3
"""A last line of fewer settings belongs to the prompt, as in AUTOMATIC1111's `parse_generation_parameters`."""
PROGRAMS = (
    ("kakusan", "kakusan", ""),
    ("stable-diffusion.cpp", "stable-diffusion.cpp", "a1111"),
    ("fooocus", "Fooocus", "comfyui"),
    ("comfyui", "ComfyUI", "comfyui"),
    ("sd.next", "SD.Next", "diffusers"),
    ("easy diffusion", "Easy Diffusion", ""),
)
"""What a program's version or name holds in small letters, its name, and its profile."""
FORGE = re.compile(r"(f\d|neo|classic|reforge)")
ALIASES = {"Scheduler": "Schedule type", "CFG Scale": "CFG scale", "Clip Skip": "Clip skip", "sampler": "Sampler", "seed": "Seed"}


def read_a1111(text: str) -> Told | None:
    """What such a text tells; None if it has no line of settings. Sizes may stand as "Size" or as "Size-1" and "Size-2"."""
    body, _, line = text.strip().rpartition("\n")
    if len(SETTING.findall(line)) < LEAST:
        return None
    settings = {ALIASES.get(key, key): value for key, value in settings_of(line).items()}
    width, height = (settings.pop(key, "") for key in ("Size-1", "Size-2"))
    if width and height:
        settings.setdefault("Size", f"{width}x{height}")
    prompt, negative = words(body)
    program, profile = written_by(settings)
    if program == "stable-diffusion.cpp":
        _as_numbers(settings)
    return Told(program, profile, settings.pop("Prompt", prompt), settings.pop("Negative", negative), settings)


def words(body: str) -> tuple[str, str]:
    """Prompt and negative prompt of all lines but the last; the negative one begins at the first line that says so."""
    before: list[str] = []
    lines = body.split("\n")
    for i, line in enumerate(lines):
        if line.strip().startswith(NEGATIVE):
            return "\n".join(before).strip(), "\n".join([line.strip().removeprefix(NEGATIVE), *lines[i + 1 :]]).strip()
        before.append(line)
    return "\n".join(before).strip(), ""


def written_by(settings: dict[str, str]) -> tuple[str, str]:
    """The program and its profile, by its version or by settings that only it has."""
    version, app = settings.get("Version", "").lower(), settings.get("App", "").lower()
    for mark, program, profile in PROGRAMS:
        if mark in version or mark in app:
            return program, profile
    if settings.keys() & {"Backend", "Operations"} or (settings.keys() & {"Pipeline"} and not version.startswith("v")):
        return "SD.Next", "diffusers"
    if FORGE.match(version):
        return "Forge", "a1111"
    return "AUTOMATIC1111", "a1111"


def _as_numbers(settings: dict[str, str]) -> None:
    """stable-diffusion.cpp writes 7 as 7.000000, and its generators by their own names."""
    settings["RNG"] = {"cuda": "NV", "cpu": "CPU"}.get(settings.get("RNG", ""), settings.get("RNG", ""))
    for key, value in settings.items():
        if re.fullmatch(r"\d{1,9}\.\d{1,9}", value):
            settings[key] = value.rstrip("0").rstrip(".")
