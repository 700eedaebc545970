"""Memory of decoding a latent at the true size of Stable Diffusion's autoencoder (random weights), each size in a process of its own.

python benchmarks/decode_memory.py [--sides 512 1024 2048] [--threads 2] [--whole] [--encode] [--upscaler]

Peak resident memory, less what the process held with the weights loaded; and by how much the whole process grew. Linux only.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
from kakusan.tiles import Tiled

MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 2048], help="heights and widths in pixels")
    parser.add_argument("--threads", type=int, help="cores to use (all)")
    parser.add_argument("--whole", action="store_true", help="in one piece, whatever the size")
    parser.add_argument("--encode", action="store_true", help="pictures to latents instead")
    parser.add_argument("--upscaler", action="store_true", help="the x4 upscaler's autoencoder, of factor 4")
    parser.add_argument("--one", type=int, help="measure this size in this process")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(measured(options.one, options.whole, options.encode, options.upscaler)))
        return
    command = [sys.executable, __file__, *sys.argv[1:], "--one"]
    show([json.loads(subprocess.run([*command, str(side)], check=True, capture_output=True, text=True).stdout) for side in options.sides])


@torch.inference_mode()
def measured(side: int, whole: bool, encode: bool, upscaler: bool) -> dict[str, float]:
    """Bytes held with the weights loaded and at the peak, bytes of the picture, seconds."""
    config = AutoencoderConfig(channels=(128, 256, 512), sample_size=256, scale=0.08333) if upscaler else AutoencoderConfig()
    network = Autoencoder(config).eval()
    tiled = Tiled(network, whole=side * side) if whole else Tiled(network)
    given = torch.randn(1, 3, side, side) if encode else torch.randn(1, 4, side // network.factor, side // network.factor)
    before, start = resident(), time.monotonic()
    out = (tiled.encode if encode else tiled.decode)(given)
    assert out.isfinite().all()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"side": side, "before": before, "peak": peak, "picture": 3 * 4 * side * side, "seconds": time.monotonic() - start}


def resident() -> int:
    """Bytes of memory the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def show(rows: list[dict[str, float]]) -> None:
    table = Table("side", "picture MiB", "weights loaded MiB", "peak MiB", "(peak - picture) / first peak", "s")
    for row in rows:
        ratio = (row["peak"] - row["picture"]) / (rows[0]["peak"] - rows[0]["picture"])
        sizes = [f"{row[name] / MIB:.0f}" for name in ("picture", "before", "peak")]
        table.add_row(str(int(row["side"])), *sizes, f"{ratio:.2f}", f"{row['seconds']:.0f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
