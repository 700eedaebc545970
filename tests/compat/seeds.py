"""Code as it was printed, run with other import lines, another model and another device."""

import textwrap
from pathlib import Path
from typing import Any

from compat import tiny_folders as tiny
from compat.guarded import guarded_folder

HERE = {"'cuda'": "'cpu'", '"cuda"': '"cpu"'}  # these tests run without a GPU
IMPORTS = {
    "from diffusers import": "from kakusan.compat.diffusers import",
    "from transformers import": "from kakusan.compat.diffusers import",
}


def run(code: str, names: dict[str, str]) -> dict[str, Any]:
    """What the code leaves behind, after the replacements."""
    code = textwrap.dedent(code)
    for old, new in {**HERE, **names}.items():
        code = code.replace(old, new)
    scope: dict[str, Any] = {"__name__": "seed"}
    exec(compile(code, "<seed>", "exec"), scope)
    return scope


def version_1(path: Path) -> str:
    """Stable Diffusion 1.4's folder in small, with a safety checker; its latents are 16 x 16."""
    return str(guarded_folder(path / "stable-diffusion-v1-4", unet=tiny.unet(sample_size=16)))
