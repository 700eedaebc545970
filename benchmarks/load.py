"""Loading Stable Diffusion 1 at its true size: ours against diffusers, on files of random weights that this makes (10 GB, once).

    python benchmarks/load.py [--rounds 3] [--folder build/load]

Three cases: a folder in half precision (2 GB), a single file in float32 (4 GB), and the same as .ckpt. Both run in float32 on the CPU, as
either does by default. Fresh processes in turn, A B A B, with the files in the system's cache. Each reports
  start   CPU seconds from the start of the process to a pipeline ready for use
  load    CPU seconds of that, once everything is imported
  text    CPU seconds from the start of the process to the first text states
  peak    peak resident memory up to the first call of the U-Net (mapped files count; from /proc, so Linux only)
The limit of "start" is `import torch`; that of "peak" is the size of the weights in use in the precision they are stored in.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

OURS = """
import json, time
import torch, kakusan.pipeline, kakusan.formats.single, kakusan.formats.folder
imported = time.process_time()
import kakusan
pipe = kakusan.load({file!r}, device="cpu")
ready = time.process_time()
pipe.networks["text"](torch.tensor([pipe.model.tokenizer.padded("a photograph of an astronaut riding a horse")]))
text = time.process_time()
peak = []
def first(*rows):
    peak.append(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 2**20)
    raise KeyboardInterrupt
pipe.model.unet.forward = first
try:
    pipe("a horse", seed=1, steps=2, width=64, height=64)
except KeyboardInterrupt:
    pass
print(json.dumps(dict(start=ready, load=ready - imported, text=text, peak=peak[0])))
"""
DIFFUSERS = """
import json, time
import torch
from diffusers import StableDiffusionPipeline
import transformers.models.clip.modeling_clip
imported = time.process_time()
pipe = StableDiffusionPipeline.{call}
ready = time.process_time()
with torch.no_grad():
    pipe.encode_prompt("a photograph of an astronaut riding a horse", "cpu", 1, False)
text = time.process_time()
peak = []
def first(*rows, **named):
    peak.append(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 2**20)
    raise KeyboardInterrupt
pipe.unet.forward = first
try:
    pipe("a horse", num_inference_steps=2, width=64, height=64)
except KeyboardInterrupt:
    pass
print(json.dumps(dict(start=ready, load=ready - imported, text=text, peak=peak[0])))
"""
FLOOR = """
import json, time, torch
peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 2**20
print(json.dumps(dict(start=time.process_time(), load=0, text=0, peak=peak)))
"""


def main() -> None:
    """Make what is missing, run in turn, print medians and ratios."""
    args = arguments()
    made = files(args.folder)
    floor = measured(FLOOR)
    print(f"import torch alone: {floor['start']:.2f} CPU s, {floor['peak']:.2f} GiB")
    for name, file in made.items():
        local = "local_files_only=True, safety_checker=None, feature_extractor=None, requires_safety_checker=False"
        call = f"from_pretrained({str(file)!r}, {local})"
        if file.is_file():
            call = f"from_single_file({str(file)!r}, config={str(made['folder, fp16'])!r}, {local})"
        programs = {"kakusan": OURS.format(file=str(file)), "diffusers": DIFFUSERS.format(call=call)}
        for program in programs.values():
            measured(program)  # the files come into the cache
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
        for _ in range(args.rounds):
            for who, program in programs.items():
                rows[who].append(measured(program))
        report(name, size(file), rows)


def report(name: str, gigabytes: float, rows: dict[str, list[dict[str, float]]]) -> None:
    """Medians of both and what diffusers needs in units of what we need."""
    medians = {who: {key: statistics.median(row[key] for row in those) for key in those[0]} for who, those in rows.items()}
    print(f"\n{name}: {gigabytes:.2f} GiB, {len(rows['kakusan'])} rounds, medians")
    print(f"{'':12}{'start s':>9}{'load s':>9}{'text s':>9}{'peak GiB':>10}")
    for who, row in medians.items():
        print(f"{who:12}{row['start']:9.2f}{row['load']:9.2f}{row['text']:9.2f}{row['peak']:10.2f}")
    ratio = {key: medians["diffusers"][key] / max(medians["kakusan"][key], 1e-6) for key in medians["kakusan"]}
    print(f"{'ratio':12}{ratio['start']:9.2f}{ratio['load']:9.2f}{ratio['text']:9.2f}{ratio['peak']:10.2f}")


def measured(program: str) -> dict[str, float]:
    """What a fresh Python process that runs `program` reports. Raises RuntimeError if it fails."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    report: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return report


def files(folder: Path) -> dict[str, Path]:
    """The three cases, made if they are not there."""
    made = {"folder, fp16": folder / "sd1", "single file, fp32": folder / "sd1.safetensors", ".ckpt, fp32": folder / "sd1.ckpt"}
    if not all(path.exists() for path in made.values()):
        print(f"making 10 GB of random weights in {folder} (once) ...", file=sys.stderr, flush=True)
        make(made)
    return made


def make(made: dict[str, Path]) -> None:
    import torch
    from safetensors.torch import load_file

    from kakusan.formats.folder import write_folder
    from kakusan.formats.model import Model
    from kakusan.formats.single import write_single
    from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
    from kakusan.models.clip_text import ClipText, ClipTextConfig
    from kakusan.models.unet import UNet, UNetConfig
    from kakusan.prompts.tokenizer import Tokenizer
    from kakusan.schedules import NoiseSchedule

    folder, single, ckpt = made.values()
    folder.parent.mkdir(parents=True, exist_ok=True)
    model = Model(UNet(UNetConfig()), Autoencoder(AutoencoderConfig()), ClipText(ClipTextConfig()), Tokenizer.clip(), NoiseSchedule())
    if not folder.exists():
        write_folder(model, folder, torch.float16, max_shard_bytes=1 << 40)
    if not single.exists():
        write_single(model, single, torch.float32)
    del model
    if not ckpt.exists():
        torch.save({"state_dict": load_file(single), "global_step": 470000}, ckpt)


def size(path: Path) -> float:
    """GiB of a file, or of the weights in a folder."""
    found = [path] if path.is_file() else list(path.rglob("*.safetensors"))
    return sum(file.stat().st_size for file in found) / 2**30


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("build/load"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
