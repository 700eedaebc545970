"""Decoding one latent at SD1 size (64 x 64 to 512 x 512, random weights), ours against diffusers eager.

python benchmarks/decode.py [--rounds 5] [--size small]
"""

import diffusers
import torch
from side_by_side import arguments, compare, flops

from kakusan.formats import keys_autoencoder
from kakusan.formats.configs import write_autoencoder
from kakusan.formats.keys import FOLDER, renamed
from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig

SIZES = {
    "sd1": (AutoencoderConfig(), 64),
    "small": (AutoencoderConfig(channels=(32, 64, 64, 64)), 16),
}


def main() -> None:
    options = arguments(__doc__)
    config, side = SIZES[options.size]
    theirs = diffusers.AutoencoderKL.from_config(write_autoencoder(config)).eval()
    with torch.device("meta"):
        ours = Autoencoder(config)
        latent = torch.empty(1, config.latent_channels, side, side)
        work = flops(lambda: ours.decode(latent))
    state, names = theirs.state_dict(), renamed(ours.state_dict(), keys_autoencoder.rows(config), FOLDER)
    ours.load_state_dict({name: state[names[name]] for name in names}, assign=True)  # the very same weights
    if options.channels_last:
        ours.to(memory_format=torch.channels_last)
    latent = torch.randn(latent.shape)
    compare(
        f"Decode, {options.size}, batch 1, {side} x {side} to {side * ours.factor} x {side * ours.factor}",
        lambda: ours.decode(latent),
        lambda: theirs.decode(latent, return_dict=False)[0],
        work,
        options.rounds,
    )


if __name__ == "__main__":
    main()
