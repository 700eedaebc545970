"""Memory of making a picture four times as large at the true size of Stable Diffusion's x4 upscaler (random weights, float32).

python benchmarks/upscale_memory.py [--sides 128 512] [--steps 1] [--threads 2]

Each size in a process of its own, without guidance. Peak resident memory, what the process held with the weights loaded, and the
picture. One step is enough: all ask for the same memory. For the autoencoder alone: `decode_memory.py --upscaler`. Linux only.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from kakusan.formats.model import Model
from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
from kakusan.models.clip_text import ClipText, ClipTextConfig
from kakusan.models.unet import UNet, UNetConfig
from kakusan.pipeline import Pipeline
from kakusan.prompts.tokenizer import Tokenizer
from kakusan.schedules import NoiseSchedule

MIB = 1 << 20
UNET = UNetConfig(
    in_channels=7,
    out_channels=4,
    channels=(256, 512, 512, 1024),
    attention=(False, True, True, True),
    context_width=1024,
    heads=8,
    linear_projection=True,
    sample_size=128,
    class_labels=1000,
    only_cross_attention=(True, True, True, False),
)
AUTOENCODER = AutoencoderConfig(channels=(128, 256, 512), sample_size=256, scale=0.08333)


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 512], help="heights and widths of the small pictures")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--threads", type=int, help="cores to use (all)")
    parser.add_argument("--one", type=int, help="measure this size in this process")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(measured(options.one, options.steps)))
        return
    command = [sys.executable, __file__, *sys.argv[1:], "--one"]
    show([json.loads(subprocess.run([*command, str(side)], check=True, capture_output=True, text=True).stdout) for side in options.sides])


def measured(side: int, steps: int) -> dict[str, float]:
    """Bytes held with the weights loaded and at the peak, bytes of the picture, seconds."""
    pipe = Pipeline(upscaler())
    small = Image.effect_noise((side, side), 60).convert("RGB")
    before, start = resident(), time.monotonic()
    result = pipe("", image=small, steps=steps, scale=1.0, seed=0, window=True)
    assert result.images[0].size == (4 * side, 4 * side)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"side": side, "before": before, "peak": peak, "picture": 3 * 4 * 16 * side * side, "seconds": time.monotonic() - start}


def upscaler() -> Model:
    """The x4 upscaler's networks, all but the text tower, of which one layer is enough here."""
    torch.manual_seed(0)
    text = ClipText(ClipTextConfig(width=1024, layers=1, heads=16, feedforward=4096, activation="gelu"))
    networks = [network.eval() for network in (UNet(UNET), Autoencoder(AUTOENCODER), text)]
    return Model(*networks, Tokenizer.clip(pad=0), NoiseSchedule(prediction="v_prediction"))  # type: ignore[arg-type]


def resident() -> int:
    """Bytes of memory the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def show(rows: list[dict[str, float]]) -> None:
    """A table of what was measured."""
    table = Table("from", "to", "picture MiB", "weights loaded MiB", "peak MiB", "(peak - picture) / first peak", "s")
    for row in rows:
        ratio = (row["peak"] - row["picture"]) / (rows[0]["peak"] - rows[0]["picture"])
        sizes = [f"{row[name] / MIB:.0f}" for name in ("picture", "before", "peak")]
        table.add_row(str(int(row["side"])), str(int(4 * row["side"])), *sizes, f"{ratio:.2f}", f"{row['seconds']:.0f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
