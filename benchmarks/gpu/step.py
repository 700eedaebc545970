"""What a step costs on a GPU: U-Net, decoder and text tower at SD1 size (random weights), ours against diffusers and transformers.

    python benchmarks/gpu/step.py --out results          # a few minutes
    python benchmarks/gpu/step.py --out results --device cpu --size small --rounds 2     # does it run

Times are medians by the device's own clock, the two taken in turns. The limit is the work, as torch counts it, at the rate of a large
matrix product of the same type measured in the same run. Where diffusers is not installed, ours is timed alone.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "src"))  # the machine has torch, but perhaps not this package

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from kakusan.formats import keys_autoencoder, keys_clip, keys_unet  # noqa: E402
from kakusan.formats.configs import write_autoencoder, write_text, write_unet  # noqa: E402
from kakusan.formats.keys import FOLDER, renamed  # noqa: E402
from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig  # noqa: E402
from kakusan.models.clip_text import ClipText, ClipTextConfig  # noqa: E402
from kakusan.models.unet import UNet, UNetConfig  # noqa: E402

Call = Callable[[], Tensor]


@dataclass(frozen=True)
class Size:
    """Networks, and the side of the latent."""

    unet: UNetConfig
    autoencoder: AutoencoderConfig
    text: ClipTextConfig
    side: int
    product: int


SIZES = {
    "sd1": Size(UNetConfig(), AutoencoderConfig(), ClipTextConfig(), 64, 8192),
    "small": Size(
        UNetConfig(channels=(32, 64), attention=(True, False), context_width=32, heads=4, norm_groups=16),
        AutoencoderConfig(channels=(16, 32), norm_groups=8),
        ClipTextConfig(vocab=600, width=32, layers=1, heads=2, feedforward=64, end_token=599),
        8,
        256,
    ),
}


@dataclass(frozen=True)
class Row:
    """One measurement, in milliseconds; limit: the work at the rate of the matrix product; theirs: None where not installed."""

    what: str
    dtype: str
    gflop: float
    limit: float
    ours: float
    theirs: float | None
    difference: float | None  # largest, as a share of the deviation


def main() -> None:
    """Measure, print, save."""
    args = arguments()
    size, device = SIZES[args.size], torch.device(args.device)
    torch.manual_seed(0)
    rows = []
    for dtype in (torch.float16, torch.bfloat16) if device.type == "cuda" else (torch.float32,):
        rate = product_rate(size.product, dtype, device, args.rounds)
        print(f"{dtype}: a matrix product of {size.product} runs at {rate / 1e12:.1f} TFLOP/s", flush=True)
        for what, ours, theirs in pairs(size, dtype, device):
            rows.append(measured(what, ours, theirs, dtype, rate, device, args.rounds))
            print(line(rows[-1]), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    facts = {"device": name, "torch": torch.__version__, "size": args.size, "rounds": args.rounds, "rows": [asdict(row) for row in rows]}
    (args.out / "step.json").write_text(json.dumps(facts, indent=1))
    head = "| | type | GFLOP | limit ms | kakusan ms | diffusers ms | diffusers / kakusan | difference |\n|---|---|---|---|---|---|---|---|"
    (args.out / "step.md").write_text(f"{name}, torch {torch.__version__}\n\n" + "\n".join([head, *map(line, rows)]) + "\n")


@torch.inference_mode()
def measured(what: str, ours: Call, theirs: Call | None, dtype: torch.dtype, rate: float, device: torch.device, rounds: int) -> Row:
    """Both timed in turns, after three rounds to warm up."""
    with FlopCounterMode(display=False) as counter:
        first = ours()
    difference = None if theirs is None else ((first - theirs()).abs().max() / first.std()).item()
    calls = [ours] if theirs is None else [ours, theirs]
    times: list[list[float]] = [[] for _ in calls]
    for round_ in range(rounds + 3):
        for call, taken in zip(calls, times, strict=True):
            milliseconds = timed(call, device)
            if round_ >= 3:
                taken.append(milliseconds)
    work = counter.get_total_flops()
    median = [statistics.median(taken) for taken in times]
    return Row(what, str(dtype).removeprefix("torch."), work / 1e9, 1e3 * work / rate, median[0], median[1] if theirs else None, difference)


def timed(call: Call, device: torch.device) -> float:
    """Milliseconds of one call: events on the device's own stream, or the clock."""
    if device.type == "cuda":
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)
    began = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - began)


@torch.inference_mode()
def product_rate(n: int, dtype: torch.dtype, device: torch.device, rounds: int) -> float:
    """Operations a second of a product of two n x n matrices of random numbers."""
    a, b = (torch.randn(n, n, dtype=dtype, device=device) for _ in range(2))
    return 2 * n**3 / (1e-3 * statistics.median([timed(lambda: a @ b, device) for _ in range(rounds + 3)][3:]))


def pairs(size: Size, dtype: torch.dtype, device: torch.device) -> list[tuple[str, Call, Call | None]]:
    """What is compared: its name, ours, theirs with the very same weights."""

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, device=device)

    with torch.device(device):
        unet, autoencoder, text = (
            network.eval().to(dtype) for network in (UNet(size.unet), Autoencoder(size.autoencoder), ClipText(size.text))
        )
    peers = theirs_of(size, unet, autoencoder, text)
    ids = torch.randint(size.text.vocab - 1, (2, size.text.positions), device=device)
    ids[:, -1] = size.text.end_token
    latent, found = noise(1, 4, size.side, size.side), []
    for batch in (2, 8):
        x, context = noise(batch, 4, size.side, size.side), noise(batch, size.text.positions, size.unet.context_width)
        t = torch.full((batch,), 500, device=device)
        found.append(
            (
                f"U-Net step, batch {batch}",
                lambda x=x, t=t, context=context: unet(x, t, context),
                peers and (lambda x=x, t=t, context=context: peers[0](x, t, context, return_dict=False)[0]),
            )
        )
    found.append(("decode", lambda: autoencoder.decode(latent), peers and (lambda: peers[1].decode(latent, return_dict=False)[0])))
    found.append(("text, batch 2", lambda: text(ids), peers and (lambda: peers[2](ids)[0])))
    return found


def theirs_of(size: Size, unet: UNet, autoencoder: Autoencoder, text: ClipText) -> tuple[nn.Module, nn.Module, nn.Module] | None:
    """The other programs' networks, holding the same weights; None where they are not installed."""
    try:
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel
    except ImportError:
        return None
    like = next(unet.parameters())
    made = (
        (UNet2DConditionModel.from_config(write_unet(size.unet)), unet, keys_unet.rows(size.unet)),
        (AutoencoderKL.from_config(write_autoencoder(size.autoencoder)), autoencoder, keys_autoencoder.rows(size.autoencoder)),
        (CLIPTextModel(CLIPTextConfig(**write_text(size.text))), text, keys_clip.text_rows(size.text)),
    )
    for theirs, ours, rows in made:
        state = ours.state_dict()
        theirs.load_state_dict({name: state[key] for key, name in renamed(state, rows, FOLDER).items()})
        theirs.to(device=like.device, dtype=like.dtype).eval()
    return made[0][0], made[1][0], made[2][0]


def line(row: Row) -> str:
    """One row of the table."""
    theirs = ("-", "-", "-") if row.theirs is None else (f"{row.theirs:.2f}", f"{row.theirs / row.ours:.3f}", f"{row.difference:.1e}")
    return f"| {row.what} | {row.dtype} | {row.gflop:,.0f} | {row.limit:.2f} | {row.ours:.2f} | " + " | ".join(theirs) + " |"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", choices=list(SIZES), default="sd1")
    parser.add_argument("--rounds", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    main()
