"""Honest checkpoint files with some bytes changed, and the verdict on how each is read: the bits that are in it, or one line."""

import json
import random
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from formats import opcodes as op
from formats import torch_peer
from formats.legacy import VARIANTS, weights
from formats.watch import watching
from kakusan.errors import FileError
from kakusan.formats.ckpt import CkptFile, read_objects
from kakusan.formats.pickled_tensors import LazyTensor
from kakusan.formats.safetensors import SafetensorsFile

FORMATS = ("zip", "old", "safetensors")
NUMBERS = [0, 1, 2, 4, 127, 255, 256, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
SNIPPETS = [
    op.named("posix", "system") + op.text("touch canary") + b"\x85" + op.REDUCE,
    op.named("builtins", "eval"),
    op.named("collections", "OrderedDict") + op.EMPTY_TUPLE + op.REDUCE,
    op.BUILD,
    op.REDUCE,
    op.NEWOBJ,
    op.BINPERSID,
    *(
        b"0",
        b"2",
        b"u",
        b"s",
        b"a",
        b"e",
        b"t",
        b"(",
        b"h\x00",
        b"q\x00",
        b"\x93",
        b"\x94",
        b"]" * 500,
        b"}",
        b"i",
        b"o",
        b"\x82\x01",
        b".",
    ),
]


@dataclass
class Verdict:
    """outcome: "equal" to the file before, "changed" but as another reader reads it, "refused", or what is wrong."""

    outcome: str
    seconds: float
    memory: int  # bytes, beyond what the process held before
    size: int

    @property
    def wrong(self) -> bool:
        return self.outcome not in ("equal", "changed", "refused")


def seeds(form: str) -> list[bytes]:
    """The honest files that are changed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model"
        if form == "safetensors":
            made = []
            for kind in (torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.bool):
                safetensors.torch.save_file({**weights(kind), "one": torch.tensor(1.0), "none": torch.empty(0, 3)}, file, {"format": "pt"})
                made.append(file.read_bytes())
            return made
        for write in VARIANTS.values():
            write(file.with_suffix(f".{write.__name__}"))
        found = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    return [data for data in found if (data[:2] == b"PK") == (form == "zip")]


def cases(form: str, count: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of an honest file and what has become of it."""
    honest = seeds(form)
    for i in range(count):
        chance = random.Random(f"{seed} {form} {i}")
        data = chance.choice(honest)
        inside = {"zip": _inside_zip, "safetensors": _inside_safetensors, "old": _inside_old}[form]
        yield data, inside(data, chance) if chance.random() < 0.5 else _changed(data, chance, honest)


def judge(form: str, honest: bytes, data: bytes, folder: Path) -> Verdict:
    """How a changed file is read, watched by an audit hook; a slow one is read again, as the machine may have been busy."""
    verdict = _read(form, honest, data, folder)
    return verdict if verdict.seconds < 1 else _read(form, honest, data, folder)


def _read(form: str, honest: bytes, data: bytes, folder: Path) -> Verdict:
    file = folder / f"case.{form}"
    file.write_bytes(data)
    value, objects, said = None, None, ""
    before = _memory(reset=True)
    with watching(file) as events:
        start = time.process_time()
        try:
            source = SafetensorsFile(file) if form == "safetensors" else CkptFile(file)
            value = {name: source.read(name) for name in source.tensors}
            objects = None if form == "safetensors" else read_objects(file)
        except FileError as error:
            said = error.en
        except Exception as error:
            said = f"\n{type(error).__name__}: {error}"
        seconds = time.process_time() - start
    memory = _memory() - before
    if events:
        outcome = f"asked the system for {events[0]}"
    elif said:
        outcome = "refused" if said.isprintable() and said.startswith(str(file)) else f"{said!r} is no message"
    elif seconds > 2 or memory > len(data) + (256 << 20):
        outcome = f"took {seconds:.1f} s and {memory >> 20} MB"
    else:
        outcome = _compared(form, honest, file, value, objects)
    return Verdict(outcome, seconds, memory, len(data))


def _compared(form: str, honest: bytes, file: Path, value: Any, objects: Any) -> str:
    """Whether another reader finds the same in the changed file."""
    data = file.read_bytes()
    try:
        if form == "safetensors":
            theirs = safetensors.torch.load_file(file)
            same = value.keys() == theirs.keys() and _same(list(value.values()), [theirs[name] for name in value])
        else:
            same = _same(objects, torch_peer.read(file)) and all(isinstance(tensor, Tensor) for tensor in value.values())
    except FileError:  # damage in what training kept beside the weights, which only this comparison reads
        return "refused"
    except Exception as error:
        return f"accepted, but another reader says {type(error).__name__}: {error}"
    if not same:
        return "accepted, but another reader finds other numbers"
    return "equal" if data == honest else _unless_equal(form, honest, file, value)


def _unless_equal(form: str, honest: bytes, file: Path, value: dict[str, Tensor]) -> str:
    before = file.with_name(f"honest.{form}")
    before.write_bytes(honest)
    source = SafetensorsFile(before) if form == "safetensors" else CkptFile(before)
    return "equal" if _same(value, {name: source.read(name) for name in source.tensors}) else "changed"


def _same(ours: Any, theirs: Any) -> bool:
    """Equal to the last bit, symbols and stand-ins for classes being all the same."""
    stack, seen = [(ours, theirs)], set()
    while stack:
        a, b = stack.pop()
        if isinstance(a, dict | list | tuple) and (id(a), id(b)) in seen:
            continue
        seen.add((id(a), id(b)))
        a, b = (one.read() if isinstance(one, LazyTensor | torch_peer.Unread) else one for one in (a, b))
        if isinstance(b, torch_peer.Other) and getattr(b, "parameters", None) is not None:
            b = b.parameters  # a ParameterDict
        if isinstance(a, Tensor):
            if not isinstance(b, Tensor) or a.dtype != b.dtype or a.shape != b.shape:
                return False
            if not torch.equal(a.contiguous().flatten().view(torch.uint8), b.contiguous().flatten().view(torch.uint8)):
                return False
        elif isinstance(a, dict):
            if not isinstance(b, dict) or len(a) != len(b) or any(x != y and isinstance(x, str) for x, y in zip(a, b, strict=True)):
                return False
            stack.extend(zip(a.values(), b.values(), strict=True))
        elif isinstance(a, list | tuple):
            if type(a) is not type(b) or len(a) != len(b):
                return False
            stack.extend(zip(a, b, strict=True))
        elif isinstance(a, bytes) and isinstance(b, str):  # a `str` of Python 2 that is no text
            if a != b.encode(errors="surrogateescape"):
                return False
        elif isinstance(a, str | int | float | bytes | None) and not (a == b or a != a):
            return False
    return True


# What is done to the files


def _changed(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        data = _changed_once(data or b".", chance, chance.choice(others))
    return data


def _changed_once(data: bytes, chance: random.Random, other: bytes) -> bytes:
    at, there = chance.randrange(len(data)), chance.randrange(len(other))
    length = chance.choice((1, 2, 4, 8, 30, 300))
    end, value = at + length, struct.pack("<Q", chance.choice(NUMBERS))[: chance.choice((1, 2, 4, 8))]
    changes: list[Callable[[], bytes]] = [
        lambda: data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :],
        lambda: data[:at] + chance.randbytes(length) + data[end:],
        lambda: data[:at] + chance.randbytes(length) + data[at:],
        lambda: data[:at] + value + data[at + len(value) :],
        lambda: data[:at] + data[end:],
        lambda: data[:at],
        lambda: data + data[at:end],
        lambda: data[:at] + data[at:end] * 2 + data[end:],
        lambda: data[:at] + other[there : there + length] + data[end:],
    ]
    return chance.choice(changes)()


def _pickle(data: bytes, chance: random.Random) -> bytes:
    """A pickle with instructions put in, names replaced or bytes changed."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(data) or 1)
        what = chance.randrange(5)
        if what == 0:
            data = data[:at] + chance.choice(SNIPPETS) + data[at:]
        elif what == 1:
            old, new = chance.choice(
                (
                    (b"torch._utils", b"os"),
                    (b"collections", b"posix"),
                    (b"FloatStorage", b"LongStorage"),
                    (b"cpu", b"cu:"),
                    (b"_v2", b"_v3"),
                )
            )
            data = data.replace(old, new, chance.choice((1, -1)))
        elif what == 2:
            data = data[:at] + struct.pack("<Q", chance.choice(NUMBERS))[: chance.choice((1, 4))] + data[at + 4 :]
        else:
            data = _changed(data, chance, [data or b"."])
    return data


def _inside_zip(data: bytes, chance: random.Random) -> bytes:
    """One entry changed and zipped anew, with a right checksum."""
    parts = {name: raw for name, raw in op.entries(data).items() if name and not name.endswith("/")}
    name = "data.pkl" if chance.random() < 0.8 else chance.choice(list(parts))
    parts[name] = _pickle(parts[name], chance) if name == "data.pkl" else _changed(parts[name], chance, [data])
    return op.zipped(parts)


def _inside_old(data: bytes, chance: random.Random) -> bytes:
    """The pickles changed, the numbers as they are: the list of keys is the last pickle, and before it the value."""
    start = len(op.MAGIC) + len(op.PROTOCOL) if chance.random() < 0.9 else 0
    stop = data.rindex(b"]q\x00") if b"]q\x00" in data else len(data) // 2
    return data[:start] + _pickle(data[start:stop], chance) + data[stop:]


def _inside_safetensors(data: bytes, chance: random.Random) -> bytes:
    """The header changed as JSON, and written with its right length."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = chance.choice([name for name in header if name != "__metadata__"])
    entry = header[name]
    begin, end = entry["data_offsets"]
    value = chance.choice((*NUMBERS, -1, 1.5, "1", None, [], {}))
    changes: list[Callable[[], object]] = [
        lambda: entry.update(shape=[*entry["shape"], value]),
        lambda: entry.update(shape=[value] * len(entry["shape"])),
        lambda: entry.update(dtype=chance.choice(["F64", "F32", "F16", "BF16", "I8", "BOOL", "F4", "", 5])),
        lambda: entry.update(data_offsets=[value, end]),
        lambda: entry.update(data_offsets=[begin, value]),
        lambda: entry.update(data_offsets=[begin, end, end]),
        lambda: entry.pop(chance.choice(list(entry))),
        lambda: entry.update(extra=value),
        lambda: header.update({name + "\0": header.pop(name)}),
        lambda: header.update({"again": entry}),
        lambda: header.pop(name),
        lambda: header.update(__metadata__={"a": value}),
        lambda: header.update({name: value}),
    ]
    chance.choice(changes)()
    text = json.dumps(header)
    if chance.random() < 0.1:
        text = chance.choice(('{"a":' * 5000 + "}" * 5000, text[:-1] + "," + text[1:], text + " " * 64, " " + text, text[:-1], text * 2))
    return struct.pack("<Q", len(text.encode())) + text.encode() + data[8 + length :]


def _memory(reset: bool = False) -> int:
    """The most that this process has held since the last reset, or now, in bytes."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:" if reset else "VmHWM:"))
