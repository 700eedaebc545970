"""Damages what pictures say of themselves, in every format and container, and reads it: nothing but a plain error may come of it.

python benchmarks/fuzz_metadata.py [--count 10000] [--seed 0]

Counts what was read, refused and left without a recipe; fails at the first exception that is no KakusanError, at a read that takes
longer than two seconds of the processor, at anything executed, imported or opened besides the file and kakusan's own version, and at
more than 200 MB of memory gained.
"""

import argparse
import json
import random
import resource
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kakusan.errors import KakusanError
from kakusan.memory.reading import remembered
from kakusan.memory.record import Made, Record
from kakusan.tasks.recipe import Recipe

SLOW, MOST_GAINED = 2.0, 200 << 20
FORBIDDEN = ("exec", "compile", "import", "subprocess.", "socket.", "os.system", "os.exec", "pickle.find_class", "ctypes.")
NUMBERS: tuple[Any, ...] = (0, -1, 1e308, 10**30, 2**63, float("nan"), float("inf"), "9" * 5000, "1e999", "-0", "0x10", 10**4000)
ODD: tuple[Any, ...] = (*NUMBERS, None, True, [], {}, "", "\0", "\ud800", "a" * 10_000, ["1", 0], [[]], {"inputs": None}, "🍎" * 99)
RECIPE = Recipe("a (red:1.2) apple", "blur", 64, 64, 4, "euler", "karras", 3.0, 7, model="m", model_hash="0123456789")
A1111 = (
    "a cat, [dog:fox:0.5]\nNegative prompt: bad\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, Size: 512x768, "
    'Model hash: abcdef1234, Model: m, Denoising strength: 0.5, Clip skip: 2, ENSD: 31337, Hires upscale: 2, Lora hashes: "a: b, c: d", '
    "Version: v1.5.1"
)
GRAPH: dict[str, Any] = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "m.safetensors"}},
    "2": {"class_type": "LoraLoader", "inputs": {"model": ["1", 0], "clip": ["1", 1], "lora_name": "l.pt", "strength_model": 1}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a", "clip": ["2", 1]}},
    "4": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["3", 0], "conditioning_2": ["3", 0]}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 2}},
    "6": {
        "class_type": "KSampler",
        "inputs": {
            **{"model": ["2", 0], "positive": ["4", 0], "negative": ["3", 0], "latent_image": ["5", 0]},
            **{"seed": 1, "steps": 9, "cfg": 7.0, "sampler_name": "euler", "scheduler": "karras", "denoise": 1.0},
        },
    },
    "7": {"class_type": "LatentUpscale", "inputs": {"samples": ["6", 0], "width": 128, "height": 128}},
    "8": {
        "class_type": "KSamplerAdvanced",
        "inputs": {"model": ["2", 0], "positive": ["4", 0], "negative": ["3", 0], "latent_image": ["7", 0], "noise_seed": 1, "steps": 9},
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
}
WORKFLOW = {
    "nodes": [
        {
            "id": 1,
            "type": "KSampler",
            "inputs": [{"name": "latent_image", "link": 1}],
            "widgets_values": [1, "fixed", 9, 7, "euler", "normal", 1],
        },
        {"id": 2, "type": "EmptyLatentImage", "inputs": [], "widgets_values": [64, 64, 1]},
    ],
    "links": [[1, 2, 0, 1, 0, "LATENT"]],
}
INVOKE = {
    **{"generation_mode": "txt2img", "positive_prompt": "a", "negative_prompt": "b", "width": 64, "height": 64, "seed": 1},
    **{"rand_device": "cpu", "cfg_scale": 7.5, "steps": 9, "scheduler": "dpmpp_2m_k", "model": {"name": "m", "hash": "blake3:00"}},
    **{"loras": [{"model": {"name": "l"}, "weight": 0.5}], "app_version": "5.0.0"},
}
OLD_INVOKE = {"app_version": "2.2.5", "image": {"prompt": [{"prompt": "a [b]", "weight": 1.0}], "steps": 9, "seed": 1, "sampler": "k_lms"}}
FOOOCUS = {"prompt": "a", "full_prompt": ["a", "b"], "resolution": "(64, 64)", "base_model": "m", "steps": 9, "loras": [["l", 0.5, "ff"]]}
NOVELAI = {"steps": 28, "scale": 11, "seed": 1, "uc": "b", "sampler": "k_euler_ancestral", "width": 64, "height": 64}
CORPUS: tuple[dict[str, str], ...] = (
    {"parameters": RECIPE.parameters(), "kakusan": Record(RECIPE, Made("0.1.0", "2.13", "cpu"), {"unet": "0" * 64}).text()},
    {"parameters": RECIPE.parameters()},
    {"parameters": A1111},
    {"prompt": json.dumps(GRAPH)},
    {"workflow": json.dumps(WORKFLOW)},
    {"invokeai_metadata": json.dumps(INVOKE)},
    {"sd-metadata": json.dumps(OLD_INVOKE)},
    {"Dream": '"a cat [dog]" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms'},
    {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"},
    {"Software": "NovelAI", "Comment": json.dumps(NOVELAI), "Description": "a"},
)


def main() -> None:
    """Read them all, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start = time.monotonic()
    counts = fuzz(args.count, args.seed)
    gained = counts.pop("gained")
    told = ", ".join(f"{n} {what}" for what, n in counts.items())
    print(f"{sum(counts.values())} files in {time.monotonic() - start:.0f} s: {told}; memory gained {gained / 1e6:.0f} MB")


def fuzz(count: int, seed: int) -> Counter[str]:
    """How `count` damaged files and the bombs were read. Raises AssertionError, with the case, on anything but a plain error."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case"
        for writer in (png, jpeg, webp, gif):  # imports what is imported late: codecs
            for texts in CORPUS:
                path.write_bytes(writer(texts))
                assert remembered(path).extra, (writer, texts)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        for i, data in enumerate((*bombs(), *(damaged(rng) for _ in range(count)))):
            path.write_bytes(data)
            counts[read(path, watch, i)] += 1
    counts["gained"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
    assert counts["gained"] < MOST_GAINED, counts
    return counts


def read(path: Path, watch: "Watch", case: int) -> str:
    """One file's outcome."""
    start = time.process_time()
    watch.seen.clear()
    watch.on = True
    try:
        memory = remembered(path)
        outcome = "with a recipe" if memory.recipe else "without"
        if memory.recipe:
            memory.recipe.parameters()
    except KakusanError:
        outcome = "refused"
    except Exception as error:
        raise AssertionError(f"case {case}: {traceback.format_exc()}\n{path.read_bytes()[:2000]!r}") from error
    finally:
        watch.on = False
    assert time.process_time() - start < SLOW, f"case {case} took {time.process_time() - start:.1f} s"
    known = (str(path), "dist-info/METADATA", "lib/python3")  # a record without a version gets ours, which importlib looks up
    assert not [seen for seen in watch.seen if not (seen.startswith("open ") and any(part in seen for part in known))], watch.seen
    return outcome


class Watch:
    """What Python itself reports of code run and files opened."""

    def __init__(self) -> None:
        self.on, self.seen = False, list[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, details: tuple[Any, ...]) -> None:
        if self.on and (event.startswith(FORBIDDEN) or event == "open"):
            self.seen.append(f"{event} {details!r}")


def damaged(rng: random.Random) -> bytes:
    """One file out of the corpus, its texts or its bytes damaged a few times."""
    texts = dict(rng.choice(CORPUS))
    key = rng.choice(list(texts))
    for _ in range(rng.randrange(4)):
        texts[key] = rng.choice((spoiled_text, spoiled_json))(rng, texts[key])
    if rng.random() < 0.1:
        texts[rng.choice(("kakusan", "prompt", "parameters", "Comment", "x" * 100))] = rng.choice(list(texts.values()))
    data = rng.choice((png, png, jpeg, webp, gif))(texts, rng)
    for _ in range(rng.choice((0, 0, 1, 3))):
        data = spoiled_bytes(rng, data)
    return data


def spoiled_text(rng: random.Random, text: str) -> str:
    """A text with a piece cut out, doubled, replaced by something odd, or multiplied."""
    a, b = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
    odd = str(rng.choice(ODD)) if rng.random() < 0.9 else rng.choice(("[" * 5000, '{"a":' * 5000, "(" * 5000, ", " * 5000, '\\"' * 999))
    return rng.choice((text[:a] + text[b:], text[:b] + text[a:], text[:a] + odd + text[b:], text[:a] + odd + text[a:], text[a:b] * 3))


def spoiled_json(rng: random.Random, text: str) -> str:
    """JSON with one value replaced, or a field added; other text as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    places = list(_places(value))
    if not places:
        return text
    holder, key = rng.choice(places)
    links = [[str(rng.randrange(1, 10)), 0]] * 3  # ComfyUI's, perhaps in a circle
    holder[key] = rng.choice((*ODD, *links))
    if isinstance(holder, dict) and rng.random() < 0.2:
        holder["new " + str(key)[:50]] = rng.choice(ODD)
    try:
        return json.dumps(value)
    except (ValueError, RecursionError):
        return text


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    if depth < 50 and isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key], depth + 1)


def spoiled_bytes(rng: random.Random, data: bytes) -> bytes:
    """A file with a byte changed, a piece cut out or doubled, or its end missing."""
    a, b = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    flipped = data[:a] + bytes([rng.randrange(256)]) + data[a + 1 :]
    return rng.choice((flipped, flipped, data[:a], data[:a] + data[b:], data[:b] + data[a:]))


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(texts: dict[str, str], rng: random.Random | None = None) -> bytes:
    """A PNG file of one pixel with these texts, in one of the three ways that it has for them."""
    parts = []
    for key, text in texts.items():
        way, name, raw = (rng.randrange(4) if rng else 0), key.encode("latin-1", "replace")[:79], text.encode("utf-8", "replace")
        parts += [
            chunk(b"iTXt", name + b"\0\0\0\0\0" + raw),
            chunk(b"tEXt", name + b"\0" + text.encode("latin-1", "replace")),
            chunk(b"zTXt", name + b"\0\0" + zlib.compress(raw)),
            chunk(b"iTXt", name + b"\0\1\0\0\0" + zlib.compress(raw)),
        ][way : way + 1]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(parts) + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")


def exif(texts: dict[str, str]) -> bytes:
    """A TIFF structure with a comment, and the rest as cameras' names."""
    comment = b"UNICODE\0" + texts.get("parameters", next(iter(texts.values()))).encode("utf-16-be", "replace")
    values = [(0x010F, f"{key}:{text}".encode("utf-8", "replace")) for key, text in texts.items() if key != "parameters"][:1]
    entries, heap, at = b"", b"", 8 + 2 + 12 * (len(values) + 1) + 4
    for tag, value in values:
        entries += struct.pack(">HHII", tag, 2, len(value), at + len(heap))
        heap += value
    directory = struct.pack(">H", 1) + struct.pack(">HHII", 0x9286, 7, len(comment), at + len(heap) + 18) + b"\0\0\0\0"
    entries += struct.pack(">HHII", 0x8769, 4, 1, at + len(heap))
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", len(values) + 1) + entries + b"\0\0\0\0" + heap + directory + comment


def jpeg(texts: dict[str, str], rng: random.Random | None = None) -> bytes:
    """The segments of a JPEG file as far as its picture."""
    size = b"\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"
    block = b"Exif\0\0" + exif(texts)
    record = b"http://ns.adobe.com/xap/1.0/\0<kakusan:record>" + texts.get("kakusan", "").encode("utf-8", "replace") + b"</kakusan:record>"
    parts = [b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in (block, record) if len(part) < 65500]
    return b"\xff\xd8" + b"".join(parts) + size + b"\xff\xda"


def webp(texts: dict[str, str], rng: random.Random | None = None) -> bytes:
    """The parts of a WebP file but for its picture."""
    block = exif(texts)
    parts = b"VP8X" + struct.pack("<I", 10) + bytes(10) + b"EXIF" + struct.pack("<I", len(block)) + block + b"\0" * (len(block) % 2)
    return b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts


def gif(texts: dict[str, str], rng: random.Random | None = None) -> bytes:
    """A GIF file with a comment and no picture."""
    raw = next(iter(texts.values())).encode("utf-8", "replace")
    blocks = b"".join(bytes([len(raw[i : i + 255])]) + raw[i : i + 255] for i in range(0, len(raw), 255))
    return b"GIF89a\1\0\1\0\0\0\0!\xfe" + blocks + b"\0;"


def bombs() -> Iterator[bytes]:
    """Files that would fill the memory of whoever believes them, or that go in circles."""
    zeros = zlib.compress(bytes(64 << 20), 9)
    end = chunk(b"IEND", b"")
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
    yield start + chunk(b"zTXt", b"parameters\0\0" + zeros) + end
    yield start + chunk(b"iTXt", b"kakusan\0\1\0\0\0" + zeros) + end
    yield start + chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(3 << 20), 9)) * 200 + end
    yield start + chunk(b"tEXt", b"parameters\0" + b"a" * (50 << 20)) + end
    yield start + chunk(b"tEXt", b"parameters\0" + b"aa:" * (1 << 20)) + end
    yield start + chunk(b"tEXt", b"parameters\0" + b"a" * (3 << 20)) + end
    yield start + chunk(b"tEXt", b'parameters\0\nSteps: 1, Sampler: a, Size: 8x8, Seed: 1, x: "' + b'\\"' * (1 << 20)) + end
    yield start + chunk(b"tEXt", b"parameters\0" + b" " * (3 << 20) + b"x") + end
    yield start + struct.pack(">I", 0xFFFFFFFF) + b"tEXt" + b"parameters\0a"
    for deep in ("[" * 1_000_000, '{"a":' * 500_000, '{"prompt":' + "[" * 2_000_000):
        yield png({"prompt": deep, "kakusan": deep, "parameters": deep})
    circle = {str(i): {"class_type": "VAEDecode", "inputs": {"samples": [str((i + 1) % 5000), 0]}} for i in range(5000)}
    circle["x"] = {"class_type": "SaveImage", "inputs": {"images": ["0", 0]}}
    combined = {
        str(i): {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": [str(i + 1), 0], "conditioning_2": [str(i + 1), 0]}}
        for i in range(100)
    }
    sampler = {"class_type": "KSampler", "inputs": {"positive": ["0", 0], "negative": ["0", 0], "latent_image": ["s", 0], "seed": 1}}
    lasting = {str(i): {"class_type": "KSampler", "inputs": {"latent_image": [str((i + 1) % 9000), 0]}} for i in range(9000)}
    for graph in (circle, {**combined, "s": sampler}, lasting, {"a": {"class_type": "KSampler", "inputs": {"seed": ["a", 0]}}}):
        yield png({"prompt": json.dumps(graph)})
    yield png({"parameters": A1111.replace("Seed: 1", "Seed: " + "9" * 100_000)})
    yield png({"Dream": '"' * 100_001 + " -s 5 -S 5"})


if __name__ == "__main__":
    main()
