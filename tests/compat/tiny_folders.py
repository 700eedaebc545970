"""Model folders of random weights as diffusers writes them: every family, small enough to draw with in a test."""

from pathlib import Path
from typing import TypeVar

import diffusers
import torch
import transformers
from torch import nn

from kakusan.prompts.tokenizer import Tokenizer, byte_tokens

N = TypeVar("N", bound=nn.Module)

WIDTH = 24
TOKENS = [*byte_tokens(), *(f"{token}</w>" for token in byte_tokens()), "<|startoftext|>", "<|endoftext|>"]
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
PNDM = {"skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1}


def unet(in_channels: int = 4, **options: object) -> diffusers.UNet2DConditionModel:
    """Two levels, attention in one of them; latents of 8 x 8."""
    torch.manual_seed(1)
    settings = {
        **{"block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8, "attention_head_dim": 2, "sample_size": 8},
        **{"in_channels": in_channels, "out_channels": 4, "cross_attention_dim": WIDTH},
        **{"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")},
        **options,
    }
    return lively(diffusers.UNet2DConditionModel(**settings))


def vae(levels: int = 4, scaling_factor: float = 0.18215) -> diffusers.AutoencoderKL:
    """As many levels as the factor needs: 4 for 8 pixels a latent."""
    torch.manual_seed(2)
    channels = (8, 8, 16, 16)[:levels]
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * levels, "up_block_types": ("UpDecoderBlock2D",) * levels}
    settings = {"block_out_channels": channels, "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 64}
    return lively(diffusers.AutoencoderKL(**settings, **kinds, scaling_factor=scaling_factor))


def text_encoder() -> transformers.CLIPTextModel:
    """Three layers over the bytes' tokens."""
    torch.manual_seed(3)
    ids = {"vocab_size": len(TOKENS), "eos_token_id": len(TOKENS) - 1, "bos_token_id": len(TOKENS) - 2, "pad_token_id": len(TOKENS) - 1}
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 48}
    return lively(transformers.CLIPTextModel(transformers.CLIPTextConfig(**ids, **sizes)))


def tokenizer(folder: Path) -> transformers.CLIPTokenizer:
    """Every byte a token."""
    folder.mkdir(parents=True, exist_ok=True)
    Tokenizer({token: i for i, token in enumerate(TOKENS)}, [], pad=len(TOKENS) - 1).save(folder)
    return transformers.CLIPTokenizer.from_pretrained(folder)


def parts(words: Path, **others: object) -> dict[str, object]:
    """The five components of a text-to-image model, some of them others; the tokenizer's files go to `words`."""
    makers = {
        **{"vae": vae, "text_encoder": text_encoder, "unet": unet, "tokenizer": lambda: tokenizer(words)},
        "scheduler": lambda: diffusers.PNDMScheduler(**SCHEDULE, **PNDM),
    }
    return {name: others[name] if name in others else make() for name, make in makers.items()}


def folder(path: Path, **components: object) -> Path:
    """A text-to-image model, as diffusers writes it; any component may be another."""
    made = parts(path.with_name(f"{path.name}-words"), **components)
    options = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False, **components}
    diffusers.StableDiffusionPipeline(**{**options, **made}).save_pretrained(path)
    return path


def lively(network: N) -> N:
    """Other biases than 0 and other norms than 1, so that nothing that is left out goes unnoticed."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return network.eval()
