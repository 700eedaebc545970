"""Tiny single files of the published ones' true structure: their very names, each size scaled down, random weights, true tables.

structures.json.gz holds the names and shapes. Widths are a tenth (autoencoder a quarter, text a twelfth or sixteenth), text towers
have two layers that are used. SD2's heads are 32 wide there, which no file says: it takes the .yaml.
"""

import gzip
import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

STRUCTURES: dict[str, Any] = json.loads(gzip.decompress((Path(__file__).parent / "structures.json.gz").read_bytes()))["single"]
UNET, FIRST, CLIP, OPEN_CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.", "cond_stage_model.model."
TEXT_LAYERS = {CLIP: range(2, 12), OPEN_CLIP: range(3, 24)}
WIDTHS = {CLIP: 12, OPEN_CLIP: 16}  # by how much text is narrower: 64 wide, one head


@dataclass(frozen=True)
class Family:
    """One published kind of file: whose structure, which channels its U-Net sees, and the class and prediction in its .yaml."""

    structure: str
    channels: int
    target: str = "LatentDiffusion"
    prediction: str = "epsilon"

    @property
    def open_clip(self) -> bool:
        return self.structure != "sd1"


FAMILIES = {
    "sd1": Family("sd1", 4),
    "sd1 inpainting": Family("sd1", 9, "LatentInpaintDiffusion"),
    "sd2 base": Family("sd2.1", 4),
    "sd2 768": Family("sd2.1", 4, prediction="v_prediction"),
    "sd2 inpainting": Family("sd2.1", 9, "LatentInpaintDiffusion"),
    "sd2 depth": Family("sd2.1", 5, "LatentDepth2ImageDiffusion"),
    "x4": Family("x4", 7, "LatentUpscaleDiffusion", "v_prediction"),
}


def true_shapes(family: Family) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published file."""
    shapes = {name: tuple(shape) for name, shape in STRUCTURES[family.structure].items()}
    first = f"{UNET}input_blocks.0.0.weight"
    return {**shapes, first: (shapes[first][0], family.channels, 3, 3)}


def tiny_shapes(family: Family) -> dict[str, tuple[int, ...]]:
    """The same, scaled down."""
    shapes = {}
    for name, shape in true_shapes(family).items():
        text = next((prefix for prefix in TEXT_LAYERS if name.startswith(prefix)), None)
        if text is not None:
            if any(f"s.{layer}." in name for layer in TEXT_LAYERS[text]):
                continue
            shapes[name] = tuple(size // WIDTHS[text] if size > 77 and size != 49408 else size for size in shape)
        elif name.startswith(UNET):
            shapes[name] = _smaller(shape, name, family)
        elif name.startswith(FIRST):
            shapes[name] = tuple(size // 4 if size >= 128 else size for size in shape)
        else:
            shapes[name] = shape
    return shapes


def tensors(family: Family, seed: int = 0) -> dict[str, Tensor]:
    """A tiny file's tensors: outputs of about unit size at every layer, norms near 1, no bias 0. They are shared: do not change them."""
    return dict(_tensors(family, seed))


@cache
def _tensors(family: Family, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tables = schedule_tables(*((1e-4, 2e-2) if family.structure == "x4" else (0.00085, 0.012)))
    state: dict[str, Tensor] = {}
    for name, shape in tiny_shapes(family).items():
        last = name.removeprefix("low_scale_model.")
        if last in tables:
            state[name] = tables[last].clone()
        elif name.endswith("position_ids"):
            state[name] = torch.arange(77)[None]
        elif name == "model_ema.num_updates":
            state[name] = torch.tensor(12345, dtype=torch.int32)
        elif not shape:
            state[name] = torch.tensor(0.9999)
        elif len(shape) == 1:
            norm = "norm" in name or ".in_layers.0." in name or ".out_layers.0." in name or "ln_" in name or ".out.0." in name
            state[name] = torch.randn(shape, generator=generator) * 0.2 + float(norm and name.endswith("weight"))
        else:
            state[name] = torch.randn(shape, generator=generator) / math.sqrt(math.prod(shape[1:]))
    return state


def schedule_tables(start: float, end: float) -> dict[str, Tensor]:
    """The tables of LDM's "linear" schedule (register_schedule of ddpm.py), in float64 until the end."""
    betas = torch.linspace(start**0.5, end**0.5, 1000, dtype=torch.float64) ** 2
    alphas = (1 - betas).cumprod(0)
    before = torch.cat([torch.ones(1, dtype=torch.float64), alphas[:-1]])
    posterior = betas * (1 - before) / (1 - alphas)
    tables = {
        "betas": betas,
        "alphas_cumprod": alphas,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": alphas**0.5,
        "sqrt_one_minus_alphas_cumprod": (1 - alphas) ** 0.5,
        "log_one_minus_alphas_cumprod": (1 - alphas).log(),
        "sqrt_recip_alphas_cumprod": (1 / alphas) ** 0.5,
        "sqrt_recipm1_alphas_cumprod": (1 / alphas - 1) ** 0.5,
        "posterior_variance": posterior,
        "posterior_log_variance_clipped": posterior.clamp(min=1e-20).log(),
        "posterior_mean_coef1": betas * before**0.5 / (1 - alphas),
        "posterior_mean_coef2": (1 - before) * (1 - betas) ** 0.5 / (1 - alphas),
    }
    return {name: table.float() for name, table in tables.items()}


def averaged_tensors(state: dict[str, Tensor], factor: float = 0.5) -> dict[str, Tensor]:
    """A full file: every weight of the U-Net also under `model_ema.`, here multiplied by `factor`."""
    averages = {f"model_ema.{name[6:].replace('.', '')}": tensor * factor for name, tensor in state.items() if name.startswith("model.")}
    return state | averages


def config(family: Family) -> dict[str, Any]:
    """The .yaml of a tiny file, with the settings of the published one."""
    x4 = family.structure == "x4"
    heads: dict[str, Any] = {"num_head_channels": 32} if family.structure == "sd2.1" else {"num_heads": 8}
    unet = {
        "image_size": 32,
        "in_channels": family.channels,
        "out_channels": 4,
        "model_channels": 32,
        "attention_resolutions": [2, 4, 8] if x4 else [4, 2, 1],
        "num_res_blocks": 2,
        "channel_mult": [1, 2, 2, 4] if x4 else [1, 2, 4, 4],
        **heads,
        "use_spatial_transformer": True,
        "transformer_depth": 1,
        "context_dim": 64,
        "use_checkpoint": True,
        "legacy": False,
        **({"use_linear_in_transformer": True} if family.open_clip else {}),
        **({"num_classes": 1000, "disable_self_attentions": [True, True, True, False], "disable_middle_self_attn": False} if x4 else {}),
    }
    dd = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 32}
    dd |= {"ch_mult": [1, 2, 4] if x4 else [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    encoder = "FrozenOpenCLIPEmbedder" if family.open_clip else "FrozenCLIPEmbedder"
    params: dict[str, Any] = {
        **({"parameterization": "v"} if family.prediction == "v_prediction" else {}),
        **({"low_scale_key": "lr", "low_scale_config": _low_scale()} if x4 else {}),
        **(
            {"depth_stage_config": {"target": "ldm.modules.midas.api.MiDaSInference", "params": {"model_type": "dpt_hybrid"}}}
            if family.channels == 5
            else {}
        ),
        **({"finetune_keys": None} if family.channels in (5, 9) else {}),
        "linear_start": 0.0001 if x4 else 0.00085,
        "linear_end": 0.02 if x4 else 0.0120,
        "num_timesteps_cond": 1,
        "log_every_t": 200,
        "timesteps": 1000,
        "first_stage_key": "jpg",
        "cond_stage_key": "txt",
        "image_size": 8,
        "channels": 4,
        "cond_stage_trainable": False,
        "conditioning_key": "hybrid-adm" if x4 else "hybrid" if family.channels > 4 else "crossattn",
        "monitor": "val/loss_simple_ema",
        "scale_factor": 0.08333 if x4 else 0.18215,
        "use_ema": False,
        "unet_config": {"target": "ldm.modules.diffusionmodules.openaimodel.UNetModel", "params": unet},
        "first_stage_config": {
            "target": "ldm.models.autoencoder.AutoencoderKL",
            "params": {"embed_dim": 4, "monitor": "val/rec_loss", "ddconfig": dd, "lossconfig": {"target": "torch.nn.Identity"}},
        },
        "cond_stage_config": {
            "target": f"ldm.modules.encoders.modules.{encoder}",
            **({"params": {"freeze": True, "layer": "penultimate"}} if family.open_clip else {}),
        },
    }
    return {"model": {"base_learning_rate": 1e-4, "target": f"ldm.models.diffusion.ddpm.{family.target}", "params": params}}


def write_config(settings: dict[str, Any], path: Path) -> Path:
    path.write_text(yaml.safe_dump(settings))
    return path


def _low_scale() -> dict[str, Any]:
    noise = {"noise_schedule_config": {"linear_start": 0.0001, "linear_end": 0.02}, "max_noise_level": 350}
    return {"target": "ldm.modules.diffusionmodules.upscaling.ImageConcatWithNoiseAugmentation", "params": noise}


def _smaller(shape: tuple[int, ...], name: str, family: Family) -> tuple[int, ...]:
    """A U-Net's 320 (in x4, 256) channels become 32, the text's width becomes 64."""
    size = 8 if family.structure == "x4" else 10
    scaled = tuple(n // size if n >= 256 and n != 1000 else n for n in shape)
    sees_text = ".attn2." in name or (".attn1." in name and shape[0] != shape[-1])
    return (scaled[0], 64) if sees_text and name.endswith(("to_k.weight", "to_v.weight")) else scaled
