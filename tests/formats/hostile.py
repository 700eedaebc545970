"""Files made to do harm: each by name, with the words of its refusal. `command` is what those that run commands would run."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

from formats import opcodes as op


class Hostile(NamedTuple):
    make: Callable[[str], bytes]
    said: str


FLOATS = struct.pack("<4f", 1, 2, 3, 4)
STORED = op.storage("FloatStorage", "0", 4)
GOOD = op.tensor(STORED, (2, 2), (2, 1))
HONEST = op.archive(op.mapping({"w": GOOD}), {"0": FLOATS})


def weight(value: bytes) -> bytes:
    """A torch zip whose one weight is made by these instructions."""
    return op.archive(op.mapping({"state_dict": op.mapping({"w": value})}), {"0": FLOATS})


def calls(module: str, name: str, *args: bytes) -> Callable[[str], bytes]:
    return lambda command: weight(op.call(op.named(module, name), *(args or (op.text(command),))))


def view(shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> Callable[[str], bytes]:
    return lambda _: weight(op.tensor(STORED, shape, stride, offset))


def instructions(value: bytes) -> Callable[[str], bytes]:
    return lambda _: weight(value)


def protocol_4(command: str) -> bytes:
    """Module and name are put together from pieces that the memo kept."""
    name = op.short_text("posix") + b"\x94" + op.short_text("system") + b"\x94" + b"h\x00h\x01\x93"
    return op.archive(name + op.several(op.text(command)) + op.REDUCE)


def by_memo(command: str) -> bytes:
    """The function is looked up under one key, and called under another."""
    call = b"h\x01" + op.several(op.text(command)) + op.REDUCE
    return op.archive(op.mapping({"a": op.named("os", "system") + b"q\x01", "w": call}))


def chain(command: str) -> bytes:
    inner = op.call(op.named("__builtin__", "getattr"), op.named("os", "environ"), op.text("get"))
    return weight(op.call(op.named("builtins", "getattr"), inner, op.text(command)))


def in_old(place: int) -> Callable[[str], bytes]:
    """The call in the number at the beginning (0), the facts about the machine (2), the value (3) or the list of keys (4)."""

    def make(command: str) -> bytes:
        attack = op.pickled(op.call(op.named("posix", "system"), op.text(command)))
        parts = [op.MAGIC, op.PROTOCOL, op.pickled(op.EMPTY_DICT), op.pickled(op.EMPTY_DICT), op.pickled(op.EMPTY_LIST)]
        parts[place] = attack
        return b"".join(parts)

    return make


def listed_twice(_: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in ("a/data.pkl", "a/data.pkX"):
            file.writestr(name, op.pickled(op.mapping({"w": op.NONE})))
    return stream.getvalue().replace(b"data.pkX", b"data.pkl")


def patched(position: Callable[[bytes], int], value: bytes) -> Callable[[str], bytes]:
    """The honest file with some bytes of its zip structure replaced."""

    def make(_: str) -> bytes:
        at = position(HONEST)
        return HONEST[:at] + value + HONEST[at + len(value) :]

    return make


def local(field: int, entry: bytes = b"archive/data/0") -> Callable[[bytes], int]:
    return lambda data: data.index(entry) - 30 + field


def central(field: int, entry: bytes = b"archive/data/0") -> Callable[[bytes], int]:
    return lambda data: data.rindex(entry) - 46 + field


def end(field: int) -> Callable[[bytes], int]:
    return lambda data: len(data) - 22 + field


def deep_list(_: str) -> bytes:
    return op.archive(op.mapping({"a": op.EMPTY_LIST * 200_000 + b"a" * 199_999, "w": GOOD, "x": op.named("os", "system")}), {"0": FLOATS})


def deep_key(_: str) -> bytes:
    """Hashing it would overflow the stack of the interpreter."""
    return op.archive(op.EMPTY_DICT + op.EMPTY_TUPLE + b"\x85" * 500_000 + op.NONE + b"s")


def doubling(_: str) -> bytes:
    """A few bytes, 2 ** 59 ways through them: each dictionary holds the one before twice."""
    nest = op.mapping({"w": GOOD}) + b"q\x00"
    for i in range(59):
        nest = op.EMPTY_DICT + op.MARK + op.text("a") + nest + op.text("b") + b"h" + bytes([i]) + b"u" + b"q" + bytes([i + 1])
    return op.archive(op.mapping({"state_dict": op.mapping({"n": nest, "w": GOOD})}), {"0": FLOATS})


def endless(_: str) -> bytes:
    """A dictionary that is its own `state_dict`."""
    return op.archive(op.EMPTY_DICT + b"q\x00" + op.text("state_dict") + b"h\x00" + b"s")


def copies(_: str) -> bytes:
    """A list that is copied over and over."""
    million = op.EMPTY_LIST + op.MARK + op.NONE * 1_000_000 + b"e" + b"q\x01"
    return op.archive(million + (op.named("builtins", "list") + b"h\x01\x85" + op.REDUCE) * 100_000)


def compressed(_: str) -> bytes:
    return op.zipped({"data.pkl": op.pickled(op.NONE * 50_000_000)}, method=zipfile.ZIP_DEFLATED)


def in_safetensors(_: str) -> bytes:
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return struct.pack("<Q", len(header)) + header + b"\0\0\0\0" + HONEST


def overlapping(_: str) -> bytes:
    """Two entries of the directory that share the same bytes of the file."""
    value = op.mapping(
        {"a": op.tensor(op.storage("FloatStorage", "0", 4), (4,), (1,)), "b": op.tensor(op.storage("FloatStorage", "1", 4), (4,), (1,))}
    )
    data = op.archive(value, {"0": FLOATS, "1": FLOATS})
    first, second = (data.index(name) - 30 for name in (b"archive/data/0", b"archive/data/1"))
    at = data.rindex(b"archive/data/1") - 46 + 42
    assert struct.unpack_from("<I", data, at)[0] == second
    return data[:at] + struct.pack("<I", first) + data[at + 4 :]


def second_pickle(command: str) -> bytes:
    attack = op.pickled(op.call(op.named("os", "system"), op.text(command)))
    return op.zipped({"data.pkl": op.pickled(op.mapping({"w": GOOD})) + attack, "data/0": FLOATS})


def wrong_checksum(_: str) -> bytes:
    data = op.archive(op.mapping({"w": GOOD, "epoch": op.number(77777)}), {"0": FLOATS})
    at = data.index(struct.pack("<i", 77777))
    return data[:at] + struct.pack("<i", 77778) + data[at + 4 :]


def old_with(keys: bytes, numbers: bytes) -> Callable[[str], bytes]:
    value = op.mapping({"w": op.tensor(op.storage("FloatStorage", "0", 4, op.NONE), (4,), (1,))})
    return lambda _: op.MAGIC + op.PROTOCOL + op.pickled(op.EMPTY_DICT) + op.pickled(value) + op.pickled(keys) + numbers


NUMBERS = struct.pack("<q", 4) + FLOATS
KEYS = op.EMPTY_LIST + op.text("0") + b"a"
REBUILD = "is not part of any model format"

FILES: dict[str, Hostile] = {
    # commands and code
    "os.system": Hostile(calls("os", "system"), "'os.system' is not part of any model format (nothing was executed)"),
    "posix.system": Hostile(calls("posix", "system"), "'posix.system' is not part"),
    "nt.system": Hostile(calls("nt", "system"), "'nt.system' is not part"),
    "subprocess": Hostile(calls("subprocess", "Popen"), "'subprocess.Popen' is not part"),
    "eval": Hostile(calls("builtins", "eval"), "'builtins.eval' is not part"),
    "exec of Python 2": Hostile(calls("__builtin__", "exec"), "'__builtin__.exec' is not part"),
    "import": Hostile(calls("builtins", "__import__"), "'builtins.__import__' is not part"),
    "getattr chain": Hostile(chain, "'builtins.getattr' is not part"),
    "runstring": Hostile(calls("numpy.testing._private.utils", "runstring"), "'numpy.testing._private.utils.runstring' is not part"),
    "runpy": Hostile(calls("runpy", "run_path"), "'runpy.run_path' is not part"),
    "torch.hub": Hostile(calls("torch.hub", "load"), "'torch.hub.load' is not part"),
    "torch.load": Hostile(calls("torch.serialization", "load"), "'torch.serialization.load' is not part"),
    "operator": Hostile(calls("operator", "attrgetter"), "'operator.attrgetter' is not part"),
    "a name with dots": Hostile(calls("torch", "serialization.os.system"), "'torch.serialization.os.system' is not part"),
    "a name like a known one": Hostile(calls("torch._utils_", "_rebuild_tensor_v2"), "'torch._utils_._rebuild_tensor_v2' is not part"),
    "a name of two lines": Hostile(
        instructions(op.short_text("os\nfine") + op.short_text("sys\x1b[2J\ntem") + b"\x93"), r"'os\nfine.sys\x1b[2J\ntem' is not part"
    ),
    "a pickled network": Hostile(calls("torch.nn.modules.conv", "Conv2d"), "'torch.nn.modules.conv.Conv2d' is not part"),
    "protocol 4": Hostile(protocol_4, "'posix.system' is not part"),
    "by way of the memo": Hostile(by_memo, "'os.system' is not part"),
    "a result thrown away": Hostile(lambda c: weight(op.call(op.named("posix", "system"), op.text(c)) + b"0" + op.NONE), "'posix.system'"),
    "cut after the call": Hostile(lambda c: op.archive(op.call(op.named("posix", "system"), op.text(c)))[:-1], "damaged or cut short"),
    "call in what is skipped": Hostile(
        lambda c: op.archive(
            op.mapping({"state_dict": op.mapping({"w": GOOD}), "optimizer_states": op.call(op.named("os", "system"), op.text(c))}),
            {"0": FLOATS},
        ),
        "'os.system' is not part",
    ),
    "call behind the end": Hostile(second_pickle, "data.pkl is damaged: its checksum or length is wrong"),
    "bare pickle": Hostile(lambda c: f"cposix\nsystem\n(S'{c}'\ntR.".encode(), "byte 0: 'posix.system' is not part"),
    "call in the magic number": Hostile(in_old(0), "'posix.system' is not part"),
    "call in the facts": Hostile(in_old(2), "'posix.system' is not part"),
    "call in the old value": Hostile(in_old(3), "'posix.system' is not part"),
    "call in the keys": Hostile(in_old(4), "'posix.system' is not part"),
    # instructions that no checkpoint has
    "INST": Hostile(lambda c: weight(op.MARK + op.text(c) + b"ios\nsystem\n"), "instruction 0x69 is not one of a model file"),
    "OBJ": Hostile(lambda c: weight(op.MARK + op.named("collections", "OrderedDict") + op.text(c) + b"o"), "instruction 0x6f"),
    "NEWOBJ_EX": Hostile(
        instructions(op.named("torch.nn.parameter", "Parameter") + op.EMPTY_TUPLE + op.EMPTY_DICT + b"\x92"), "instruction 0x92"
    ),
    "EXT1": Hostile(instructions(b"\x82\x01"), "instruction 0x82"),
    "EXT4": Hostile(instructions(b"\x84\x01\0\0\0"), "instruction 0x84"),
    "out-of-band buffer": Hostile(instructions(b"\x97"), "instruction 0x97"),
    "bytes of a size only": Hostile(instructions(b"\x96" + struct.pack("<Q", 1 << 40)), "instruction 0x96"),
    "text persistent id": Hostile(instructions(b"P0\n"), "instruction 0x50"),
    "protocol 255": Hostile(lambda _: op.zipped({"data.pkl": b"\x80\xffN."}), "pickle protocol 255"),
    # calls of what is known, with what it is not for
    "bytearray": Hostile(calls("builtins", "bytearray", op.number(1 << 26)), "'builtins.bytearray' is not part"),
    "set of a number": Hostile(calls("builtins", "set", op.number(1 << 26)), "'w': a container is not made of another one"),
    "another codec": Hostile(calls("_codecs", "encode", op.text("os"), op.text("rot13")), "bytes are not written as latin1"),
    "a storage is called": Hostile(calls("torch", "FloatStorage", op.number(1 << 40)), "calls 'torch.FloatStorage'"),
    "a text is called": Hostile(instructions(op.text("os.system") + op.EMPTY_TUPLE + op.REDUCE), "calls <str>"),
    "state of a tensor": Hostile(instructions(GOOD + op.mapping({"data": op.NONE}) + op.BUILD), "sets the state of <LazyTensor>"),
    "state of a list": Hostile(instructions(op.EMPTY_LIST + op.EMPTY_DICT + op.BUILD), "sets the state of <list>"),
    "items of a tensor": Hostile(instructions(GOOD + op.text("a") + op.NONE + b"s"), "sets an item of <LazyTensor>"),
    "items of a list": Hostile(instructions(op.EMPTY_LIST + op.number(0) + op.NONE + b"s"), "sets an item of <list>"),
    "elements of a dict": Hostile(instructions(op.EMPTY_DICT + op.NONE + b"a"), "appends to <dict>"),
    "elements of a text": Hostile(instructions(op.text("w") + op.MARK + op.NONE + b"e"), "appends to <str>"),
    "a list as a key": Hostile(instructions(op.EMPTY_DICT + op.EMPTY_LIST + op.NONE + b"s"), "<list> as a key"),
    "an empty stack": Hostile(lambda _: op.archive(b"\x85"), "a value is used that is not there"),
    "no mark": Hostile(lambda _: op.archive(b"t"), "a mark is used that is not there"),
    "no memo": Hostile(instructions(b"j\xff\xff\xff\xff"), "memo 4294967295 is not there"),
    # tensors that are not there
    "a stride of 0": Hostile(view((1 << 20, 1 << 20), (0, 0)), "'w': shape [1048576, 1048576] is too large for 4 stored numbers"),
    "a stride beyond": Hostile(view((2, 2), (4, 1)), "'w': its number 5 is not among 4 stored ones"),
    "an offset beyond": Hostile(view((2, 2), (2, 1), 1), "'w': its number 4 is not among 4 stored ones"),
    "a negative offset": Hostile(view((2,), (1,), -1), "'w': -1 is not a size"),
    "a negative stride": Hostile(view((2,), (-1,), 1), "'w': -1 is not a size"),
    "a negative size": Hostile(view((-2, -2), (1, 1)), "'w': -2 is not a size"),
    "sizes that overflow": Hostile(view((1 << 32, 1 << 32), (1, 1)), "'w': shape [4294967296, 4294967296] is too large"),
    "a size of 2**63": Hostile(view((1 << 63,), (1,)), "'w': 9223372036854775808 is not a size"),
    "nothing of a vast shape": Hostile(view((0, 1 << 40, 1 << 40), (0, 0, 0)), "is too large for 4 stored numbers"),
    "a thousand dimensions": Hostile(view((1,) * 1000, (1,) * 1000), "shape and strides do not go together"),
    "more sizes than strides": Hostile(view((2, 2), (1,)), "shape and strides do not go together"),
    "a size that is true": Hostile(
        instructions(
            op.call(op.named("torch._utils", "_rebuild_tensor"), STORED, op.number(0), op.several(op.TRUE), op.several(op.number(1)))
        ),
        "<bool> is not a size",
    ),
    "a tensor of no storage": Hostile(
        instructions(op.call(op.named("torch._utils", "_rebuild_tensor"), op.text("0"), op.number(0), op.EMPTY_TUPLE, op.EMPTY_TUPLE)),
        "'w': a tensor is not made of a storage",
    ),
    "sparse": Hostile(calls("torch._utils", "_rebuild_sparse_tensor"), REBUILD),
    "quantised": Hostile(calls("torch._utils", "_rebuild_qtensor"), REBUILD),
    "meta": Hostile(calls("torch._utils", "_rebuild_meta_tensor_no_storage"), REBUILD),
    "nested": Hostile(calls("torch._utils", "_rebuild_nested_tensor"), REBUILD),
    "wrapper subclass": Hostile(calls("torch._utils", "_rebuild_wrapper_subclass"), REBUILD),
    "subclass": Hostile(calls("torch._tensor", "_rebuild_from_type_v2"), REBUILD),
    "an object as a weight": Hostile(
        calls("numpy.core.multiarray", "scalar"), "'w' is an object of 'numpy.core.multiarray.scalar', not a tensor"
    ),
    "an object as all weights": Hostile(
        lambda _: op.archive(op.mapping({"state_dict": op.call(op.named("ldm.util", "Thing"), op.NONE)})),
        "its weights are an object of 'ldm.util.Thing'",
    ),
    # storages
    "a storage too small": Hostile(
        instructions(op.tensor(op.storage("FloatStorage", "0", 5), (5,), (1,))), "'data/0' has 16 bytes for 5 numbers"
    ),
    "a storage elsewhere": Hostile(
        instructions(op.tensor(op.storage("FloatStorage", "../../etc/passwd", 4), (4,), (1,))), "is not there for 4"
    ),
    "a storage of two types": Hostile(
        lambda _: op.archive(op.mapping({"w": GOOD, "v": op.tensor(op.storage("IntStorage", "0", 4), (4,), (1,))}), {"0": FLOATS}),
        "'v': storage '0' has two types or sizes",
    ),
    "a storage of no type": Hostile(
        instructions(
            op.several(op.text("storage"), op.named("collections", "OrderedDict"), op.text("0"), op.text("cpu"), op.number(4))
            + op.BINPERSID
        ),
        "'collections.OrderedDict' is no type of storage",
    ),
    "a module outside": Hostile(
        instructions(op.several(op.text("module"), op.named("ldm.x", "Y"), op.text("x.py"), op.text("import os")) + op.BINPERSID),
        "something is kept outside that is no storage",
    ),
    # bombs
    "a deep list": Hostile(deep_list, "'os.system' is not part"),
    "a deep key": Hostile(deep_key, "it holds no tensors"),
    "ways without number": Hostile(doubling, "lies too deep or is there twice"),
    "its own weights": Hostile(endless, "dictionaries lie too deep in one another"),
    "a list copied over and over": Hostile(copies, "more memory than those of any model"),
    "ten million lists": Hostile(lambda _: op.archive(op.MARK + op.EMPTY_LIST * 10_000_000 + b"t"), "more memory than those of any model"),
    "twenty million nothings": Hostile(lambda _: op.archive(op.MARK + op.NONE * 20_000_000 + b"t"), "more memory than those of any model"),
    "a pickle of 65 MB": Hostile(lambda _: op.zipped({"data.pkl": b"\x80\2" + b"B\0\0\0\0" * (13 << 20)}), "data.pkl is longer than 64 MB"),
    "a text of 65 KB": Hostile(instructions(op.text("x" * 65537)), "a text of 65537 bytes"),
    "a text of 4 GB": Hostile(instructions(b"X\xff\xff\xff\xff"), "a text of 4294967295 bytes"),
    "a frame of 2**63 bytes": Hostile(instructions(b"\x95" + struct.pack("<Q", 1 << 63)), "a frame reaches beyond the end"),
    "a compressed bomb": Hostile(compressed, "'archive/data.pkl' is compressed (method 8)"),
    # zip
    "a program": Hostile(
        lambda _: op.zipped({"data.pkl": op.pickled(op.NONE), "constants.pkl": op.pickled(op.NONE)}), "a TorchScript program"
    ),
    "code": Hostile(lambda _: op.zipped({"code/__torch__.py": b"import os", "data.pkl": op.pickled(op.NONE)}), "a TorchScript program"),
    "something else inside": Hostile(
        lambda _: op.zipped({"data.pkl": op.pickled(op.NONE), "setup.py": b"import os"}), "'setup.py' is not part"
    ),
    "two folders": Hostile(
        lambda _: op.zipped({"a/data.pkl": op.pickled(op.NONE), "b/data.pkl": b""}, root=""), "a zip, but not one of torch"
    ),
    "no pickle": Hostile(lambda _: op.zipped({"version": b"3\n"}), "a zip without data.pkl"),
    "an entry twice": Hostile(listed_twice, "'a/data.pkl' is there twice"),
    "entries that overlap": Hostile(overlapping, "overlaps another entry"),
    "an encrypted entry": Hostile(lambda _: both(6, 8, b"\1\0"), "is encrypted or unusual"),
    "an entry of times to come": Hostile(patched(central(6), b"\xff\0"), "is encrypted or unusual"),
    "a header of another name": Hostile(patched(local(30), b"archive/data/9"), "'archive/data/0' has a header unlike the directory"),
    "a header of another size": Hostile(patched(local(22), struct.pack("<I", 15)), "'archive/data/0' has a header unlike the directory"),
    "a header of another method": Hostile(patched(local(8), b"\x08\0"), "'archive/data/0' has a header unlike the directory"),
    "a directory of two sizes": Hostile(patched(central(24), struct.pack("<I", 15)), "'archive/data/0' has two sizes"),
    "an entry nowhere": Hostile(patched(central(42), struct.pack("<I", 1 << 30)), "is not where the directory says"),
    "a directory elsewhere": Hostile(patched(end(16), struct.pack("<I", 4)), "the zip directory is not where it should be"),
    "a directory of millions": Hostile(patched(end(8), b"\xff\xff\xff\xff"), "the zip directory is damaged"),
    "a comment": Hostile(lambda _: HONEST[:-2] + struct.pack("<H", 4) + b"abcd", "damaged or cut short"),
    "something before the zip": Hostile(lambda _: b"#!/bin/sh\n" + HONEST, "not a file that torch saved"),
    "a zip in a safetensors file": Hostile(in_safetensors, "a safetensors file, though its name says otherwise"),
    "neither byte order": Hostile(
        lambda _: op.archive(op.mapping({"w": GOOD}), {"0": FLOATS}, byteorder=b"middle"), "byte order is neither"
    ),
    "other numbers": Hostile(patched(lambda data: data.index(FLOATS), b"\1"), "w is damaged: its numbers at byte"),
    "another pickle": Hostile(wrong_checksum, "data.pkl is damaged: its checksum or length is wrong"),
    # old files
    "old: more numbers than there are": Hostile(old_with(KEYS, struct.pack("<q", 4) + FLOATS[:-1]), "damaged or cut short: storage '0'"),
    "old: another count": Hostile(old_with(KEYS, struct.pack("<q", 1 << 62) + FLOATS), "damaged or cut short: storage '0'"),
    "old: something behind": Hostile(old_with(KEYS, NUMBERS + HONEST), "bytes too many at the end"),
    "old: keys of nothing": Hostile(old_with(op.EMPTY_LIST, NUMBERS), "the list of storages is not that of the tensors"),
    "old: a key twice": Hostile(old_with(op.EMPTY_LIST + (op.text("0") + b"a") * 2, NUMBERS * 2), "the list of storages is not that"),
    "old: keys that are no list": Hostile(old_with(op.NONE, NUMBERS), "the list of storages is not that of the tensors"),
    "old: another magic number": Hostile(lambda _: op.pickled(op.number(1)) * 5, "a pickle, but not one of torch"),
    # other things under the name
    "7z": Hostile(lambda _: b"7z\xbc\xaf\x27\x1c" + b"\0" * 600, "not a file that torch saved"),
    "a web page": Hostile(lambda _: b"<!DOCTYPE html>" * 99, "not a file that torch saved"),
    "tar": Hostile(lambda _: b"\0" * 257 + b"ustar  \0" + b"\0" * 4000, "a tar file of torch before 0.1.10"),
    "empty": Hostile(lambda _: b"", "empty"),
    "one byte": Hostile(lambda _: b"\x80", "cut short"),
}


def both(local_field: int, central_field: int, value: bytes) -> bytes:
    """The honest file with one field replaced in both places where the zip has it."""
    data = patched(local(local_field), value)("")
    at = central(central_field)(data)
    return data[:at] + value + data[at + len(value) :]


assert zlib.crc32(FLOATS)  # a checksum of 0 would mean that there is none
