"""InvokeAI's three ways to tell: `invokeai_metadata` (from 3.0 on), `sd-metadata` (1.15 to 2.3), `Dream` (a command line).

Sources: InvokeAI `app/invocations/metadata.py`, `ldm/invoke/args.py` of 2.3.
"""

import re
import shlex

from ..messages import tr
from .json_texts import Table, inner, real, said, whole
from .told import Told

FLAGS = {"-s": "Steps", "-S": "Seed", "-C": "CFG scale", "-A": "Sampler", "-f": "Denoising strength", "-v": "Variation seed strength"}
UNKNOWN = {
    "controlnets": ("ControlNet", "ControlNet"),
    "ipAdapters": ("IP-Adapter", "IP-Adapter"),
    "t2iAdapters": ("T2I-Adapter", "T2I-Adapter"),
    "cfg_rescale_multiplier": ("rescaled guidance", "ガイダンスのリスケール"),
    "refiner_model": ("a refiner", "リファイナー"),
    "vae": ("another VAE", "別の VAE"),
}
RNG = {"cuda": "GPU", "cpu": "CPU"}
"""Where noise is drawn, in AUTOMATIC1111's words."""


def read_invokeai(meta: Table) -> Told:
    """What `invokeai_metadata` tells."""
    told = Told("InvokeAI", "invokeai", said(meta.get("positive_prompt")), said(meta.get("negative_prompt")))
    model = inner(meta, "model")
    settings = _sampling(meta, said(meta.get("scheduler")), said(meta.get("app_version")))
    settings |= {"Model": said(model.get("name", model.get("model_name"))), "Clip skip": _clip_skip(meta)}
    settings["Model hash"] = re.sub(r"^(blake3|sha256|blake3_single|random):", "", said(model.get("hash")))
    axes = "".join(axis for axis in "xy" if meta.get(f"seamless_{axis}") is True)
    settings["Tiling"] = {"xy": "True"}.get(axes, axes)
    settings["RNG"] = RNG.get(said(meta.get("rand_device")), "")
    mode = said(meta.get("generation_mode"))
    if ("strength" in meta and "img2img" in mode) or "inpaint" in mode or "outpaint" in mode:
        settings |= {"Mode": "img2img" if "img2img" in mode else "inpaint", "Denoising strength": said(real(meta.get("strength"), 0.75))}
    if meta.get("hrf_enabled") is True:
        settings |= {"Two passes": "latent", "Denoising strength": said(real(meta.get("hrf_strength"), 0.45))}
    told.prompt += _loras(meta)
    told.settings = {key: value for key, value in settings.items() if value}
    told.notes = [
        tr(f"{en} cannot be honoured", f"{ja}は反映できません")
        for key, (en, ja) in UNKNOWN.items()
        if meta.get(key) not in (None, [], {}, 0, "")
    ]
    return told


def read_sd_metadata(meta: Table) -> Told:
    """What `sd-metadata` tells."""
    image = inner(meta, "image")
    prompt = image.get("prompt")
    parts = prompt if isinstance(prompt, list) else [{"prompt": prompt}]
    texts = [said(part.get("prompt")) if isinstance(part, dict) else said(part) for part in parts[:100]]
    told = Told("InvokeAI", "invokeai", *split_prompt(" ".join(text for text in texts if text)))
    if len(texts) > 1:
        told.notes.append(tr("weighted prompts: joined to one", "重み付きの複数プロンプトは 1 つにまとめます"))
    settings = _sampling(image, said(image.get("sampler")), said(meta.get("app_version")))
    settings |= {"Model": said(meta.get("model_weights")), "Model hash": said(meta.get("model_hash"))[:64]}
    if image.get("seamless") is True:
        settings["Tiling"] = "True"
    if image.get("type") == "img2img":
        settings |= {"Mode": "img2img", "Denoising strength": said(real(image.get("strength"), 0.75))}
    for key in ("variations", "postprocessing", "perlin", "threshold"):
        if image.get(key) not in (None, [], 0, ""):
            told.notes.append(tr(f"{key} cannot be honoured", f"{key} は反映できません"))
    settings["RNG"] = RNG["cuda"]  # up to 2.3 there was nothing else
    told.settings = {key: value for key, value in settings.items() if value}
    return told


def read_dream(line: str) -> Told | None:
    """What a command line tells: "a cat [dog]" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms."""
    try:
        words = shlex.split(line[:100_000])
    except ValueError:
        words = line[:100_000].split()
    settings: dict[str, str] = {}
    texts: list[str] = []
    size = {"-W": "", "-H": ""}
    at = 0
    while at < len(words):
        flag, value = words[at][:2], words[at][2:]
        if flag not in FLAGS and flag not in size:
            if not words[at].startswith("-"):
                texts.append(words[at])
            at += 1
            continue
        if not value and at + 1 < len(words):
            at += 1
            value = words[at]
        if flag in size:
            size[flag] = value
        else:
            settings[FLAGS[flag]] = value
        at += 1
    if all(size.values()):
        settings["Size"] = "{-W}x{-H}".format(**size)
    if not settings:
        return None
    if "Denoising strength" in settings:
        settings["Mode"] = "img2img"
    return Told("InvokeAI", "invokeai", *split_prompt(" ".join(texts)), settings)


def split_prompt(text: str) -> tuple[str, str]:
    """Prompt, and the negative prompt in brackets at its end."""
    if len(text) > 100_000 or not text.rstrip().endswith("]"):
        return text.strip(), ""
    start = text.rfind("[")
    return (text[:start].strip(), text[start + 1 : text.rfind("]")].strip()) if start >= 0 else (text.strip(), "")


def _sampling(meta: Table, sampler: str, version: str) -> dict[str, str]:
    names = {"steps": "Steps", "seed": "Seed", "cfg_scale": "CFG scale"}
    settings = {key: said(meta.get(name)) for name, key in names.items()}
    width, height = whole(meta.get("width")), whole(meta.get("height"))
    settings["Size"] = f"{width}x{height}" if width > 0 and height > 0 else ""
    return settings | {"Sampler": sampler, "Version": f"InvokeAI {version}" if version else "InvokeAI"}


def _clip_skip(meta: Table) -> str:
    """InvokeAI counts the layers left out, AUTOMATIC1111 from 1."""
    skipped = whole(meta.get("clip_skip"))
    return str(skipped + 1) if skipped > 0 else ""


def _loras(meta: Table) -> str:
    """LoRAs as tags of a prompt."""
    found = meta.get("loras")
    tags = []
    for entry in found[:100] if isinstance(found, list) else []:
        model = inner(entry, "model") or inner(entry, "lora")
        name = re.sub(r"[<>:]", "_", said(model.get("name", model.get("model_name"))))
        if name and isinstance(entry, dict):
            tags.append(f" <lora:{name}:{real(entry.get('weight'), 1.0):g}>")
    return "".join(tags)
