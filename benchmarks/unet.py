"""One U-Net step at SD1 size (64 x 64 latent, batch of 2, random weights), ours against diffusers eager.

python benchmarks/unet.py [--rounds 5] [--size small]
"""

import diffusers
import torch
from side_by_side import arguments, compare, flops

from kakusan.formats import keys_unet
from kakusan.formats.configs import write_unet
from kakusan.formats.keys import FOLDER, renamed
from kakusan.models.unet import UNet, UNetConfig

SIZES = {
    "sd1": (UNetConfig(), 64),
    "small": (UNetConfig(channels=(64, 128, 128, 128), context_width=64, heads=4), 16),
}


def main() -> None:
    options = arguments(__doc__)
    config, side = SIZES[options.size]
    theirs = diffusers.UNet2DConditionModel.from_config(write_unet(config)).eval()
    with torch.device("meta"):
        ours = UNet(config)
        x, t, context = torch.empty(2, 4, side, side), torch.empty(2), torch.empty(2, 77, config.context_width)
        work = flops(lambda: ours(x, t, context))
    state, names = theirs.state_dict(), renamed(ours.state_dict(), keys_unet.rows(config), FOLDER)
    ours.load_state_dict({name: state[names[name]] for name in names}, assign=True)  # the very same weights
    if options.channels_last:
        ours.to(memory_format=torch.channels_last)
    x, t, context = torch.randn(x.shape), torch.tensor([500.0, 500.0]), torch.randn(context.shape)
    compare(
        f"U-Net step, {options.size}, batch 2, {side} x {side}",
        lambda: ours(x, t, context),
        lambda: theirs(x, t, context, return_dict=False)[0],
        work,
        options.rounds,
    )


if __name__ == "__main__":
    main()
