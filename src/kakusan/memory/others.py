"""Fooocus' and NovelAI's JSON.

Sources: Fooocus `modules/meta_parser.py`; NovelAI's PNG files, as AUTOMATIC1111's `images.py` reads them.
"""

import re

from ..messages import tr
from .json_texts import Table, real, said
from .told import Told


def read_fooocus(meta: Table) -> Told:
    """What Fooocus' own scheme tells."""
    prompt, negative = (_joined(meta.get(f"full_{name}")) or said(meta.get(name)) for name in ("prompt", "negative_prompt"))
    told = Told("Fooocus", "comfyui", prompt, negative)
    size = re.findall(r"\d{1,6}", said(meta.get("resolution")))
    names = {"steps": "Steps", "seed": "Seed", "guidance_scale": "CFG scale", "sampler": "Sampler", "scheduler": "Schedule type"}
    settings = {key: said(meta.get(name)) for name, key in names.items()}
    settings |= {
        "Model": said(meta.get("base_model")),
        "Model hash": said(meta.get("base_model_hash")),
        "Version": said(meta.get("version")),
    }
    settings |= {"Size": "x".join(size) if len(size) == 2 else "", "Clip skip": said(meta.get("clip_skip"))}
    for name in ("sharpness", "adm_guidance", "adaptive_cfg", "refiner_model", "freeu", "vae"):
        value = said(meta.get(name))
        if value not in ("", "None", "Default (model)"):
            told.notes.append(tr(f"{name}: {value[:40]} cannot be honoured", f"{name}: {value[:40]} は反映できません"))
    loras = meta.get("loras")
    for entry in loras[:100] if isinstance(loras, list) else []:
        if isinstance(entry, list) and len(entry) > 1 and said(entry[0]):
            told.prompt += f" <lora:{re.sub(r'[<>:]', '_', said(entry[0]))}:{real(entry[1], 1.0):g}>"
    told.settings = {key: value for key, value in settings.items() if value}
    return told


def read_novelai(comment: Table, description: str) -> Told:
    """What NovelAI's `Comment` and `Description` tell. Its models are not public; its texts are read at the last layer but one."""
    told = Told("NovelAI", "", said(comment.get("prompt")) or description, said(comment.get("uc")))
    names = {"steps": "Steps", "scale": "CFG scale", "seed": "Seed", "sampler": "Sampler", "noise_schedule": "Schedule type"}
    settings = {key: said(comment.get(name)) for name, key in names.items()}
    width, height = said(comment.get("width")), said(comment.get("height"))
    settings |= {"Size": f"{width}x{height}" if width and height else "", "Clip skip": "2", "ENSD": "31337", "Model": "NovelAI"}
    if 0 < real(comment.get("strength")) < 1 and "noise" in comment:
        settings |= {"Denoising strength": said(comment.get("strength")), "Mode": "img2img"}
    for name in ("sm", "sm_dyn", "dynamic_thresholding", "cfg_rescale"):
        if comment.get(name):
            told.notes.append(tr(f"{name} cannot be honoured", f"{name} は反映できません"))
    told.settings = {key: value for key, value in settings.items() if value}
    return told


def _joined(value: object) -> str:
    return ", ".join(said(part) for part in value if said(part)) if isinstance(value, list) else ""
