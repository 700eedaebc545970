"""Noise or v? One evaluation of a U-Net whose file does not say which of the two it predicts."""

import torch
from torch import Tensor

from ..models.unet import UNet

LATENT = 16
LIKE, UNLIKE = 0.5, 0.35  # cosine of output and noise: 1 for noise, about 0.1 for v
FAINT = 0.05


def probed(unet: UNet, context: Tensor, steps: int) -> tuple[str | None, str, str]:
    """What the U-Net predicts, and why, in English and Japanese; None if it cannot be told.

    At the noisiest timestep almost all of the input is noise. A network that predicts noise gives it back; v is there almost the
    clean picture, negated (Salimans and Ho 2022, appendix D). context: text states (l d), float32.
    """
    config = unet.config
    size = max(LATENT, 2 * 2 ** (len(config.channels) - 1))
    x = torch.randn(1, config.in_channels, size, size, generator=torch.Generator().manual_seed(0)).to(context.device)
    with torch.inference_mode():
        out = unet(x, torch.tensor([steps - 1], device=x.device), context[None]).float()
    noise = x[:, : config.out_channels].flatten()
    cosine = torch.nn.functional.cosine_similarity(out.flatten(), noise, dim=0).item()
    size_of_out = out.square().mean().sqrt().item()
    en = f"at t = {steps - 1} its output has a correlation of {cosine:.2f} with the noise put in"
    ja = f"t = {steps - 1} での出力と入力ノイズの相関が {cosine:.2f} です"
    if cosine > LIKE:
        return "epsilon", en, ja
    if cosine < UNLIKE and size_of_out > FAINT:
        return "v_prediction", en, ja
    return None, en, ja
