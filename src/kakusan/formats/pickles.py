"""A pickle read as plain data, by a machine that can only build: it imports nothing and calls nothing that a file names.

Instructions as CPython documents them in `pickletools`; which of them are allowed: those that torch's own restricted reader
takes, and what protocols 4 and 5 write for the same values. What the names in a pickle mean is the affair of a `Vocabulary`.
"""

import struct
from collections.abc import Callable
from mmap import mmap
from typing import Any, Protocol

MEMORY = 192 << 20
"""How much the values of a pickle may take, in bytes. Every instruction costs at least 32, so none runs for long."""
STRING = 64 << 10
"""The longest text or byte string, in bytes."""


class RefusedError(Exception):
    """Why a file is not read, in English and in Japanese; whoever knows the file's name makes a `FileError` of it."""

    def __init__(self, en: str, ja: str):
        super().__init__(en)
        self.en, self.ja = en, ja


class Symbol:
    """A name that a pickle mentions, standing for itself."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name


class Inert(Symbol):
    """A name, and any object made with it, that no weight depends on: whatever a pickle does to it, it stays as it is."""

    __slots__ = ()


class Vocabulary(Protocol):
    """What the names in a pickle mean. All of these raise RefusedError."""

    def symbol(self, module: str, name: str) -> Symbol:
        """What a global stands for."""

    def call(self, symbol: Symbol, args: tuple[Any, ...]) -> object:
        """What a symbol makes of plain values."""

    def build(self, instance: object, state: object) -> None:
        """Give a value that `call` made its state."""

    def persistent(self, identity: object) -> object:
        """What lies outside the pickle under this identity."""


def read_pickle(
    data: mmap | bytes, start: int, end: int, vocabulary: Vocabulary, *, name: str, origin: int = 0, memory: int = MEMORY
) -> tuple[Any, int]:
    """The value of the pickle at `start`, made of None, bool, int, float, str, bytes, tuple, list, dict, set and what `vocabulary`
    makes; and where it ends.

    name, origin: errors say "`name` at byte n", counted from `origin`. memory: how much the values may take, in bytes.
    Raises RefusedError.
    """
    machine = _Machine(data, start, end, vocabulary)
    machine.left = memory
    try:
        return machine.run(), machine.at
    except RefusedError as refusal:
        at = machine.begun - origin
        en = f"{name} at byte {at}: {refusal.en} (nothing was executed)"
        raise RefusedError(en, f"{name} の {at} バイト目: {refusal.ja} (何も実行していません)") from refusal


def shown(text: str) -> str:
    """A text out of a file, fit for one line of a message."""
    return repr(text) if len(text) <= 80 else repr(text[:60]) + "..."


def kind(value: object) -> str:
    """What a value is, for a message."""
    return shown(value.name) if isinstance(value, Symbol) else f"<{type(value).__name__}>"


class _Machine:
    """The stack, the memo and the place in the data; one method an instruction."""

    def __init__(self, data: mmap | bytes, start: int, end: int, vocabulary: Vocabulary):
        self.data, self.at, self.begun, self.end, self.vocabulary = data, start, start, end, vocabulary
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under each mark
        self.memo: dict[int, Any] = {}
        self.left = MEMORY
        self.framed = start  # where the frame ends

    def run(self) -> object:
        while True:
            self.begun = self.at
            code = self.take(1)[0]
            if code == ord("."):
                break
            if (instruction := INSTRUCTIONS.get(code)) is None:
                raise RefusedError(
                    f"instruction 0x{code:02x} is not one of a model file", f"命令 0x{code:02x} はモデルファイルのものではありません"
                )
            step, cost = instruction
            self.spend(cost)
            step(self)
        if len(self.stack) != 1 or self.below or self.at < self.framed:
            raise RefusedError("the pickle does not end with one value", "pickle が 1 つの値で終わっていません")
        return self.stack.pop()

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise RefusedError("its values take more memory than those of any model", "値がどのモデルよりも多くのメモリを使います")

    def take(self, size: int) -> bytes:
        begin = self.at
        self.at = begin + size
        if self.at > self.end or begin < self.framed < self.at:
            raise RefusedError("cut short or too long", "途中で切れているか、長すぎます")
        return self.data[begin : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self, size: int) -> bytes:
        if size > STRING:
            raise RefusedError(f"a text of {size} bytes", f"{size} バイトの文字列があります")
        self.spend(4 * size)  # one rare character makes all the others four bytes wide
        return self.take(size)

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise RefusedError("a value is used that is not there", "存在しない値が使われています")
        return self.stack.pop()

    def top(self) -> Any:
        self.push(value := self.pop())
        return value

    def pop_mark(self) -> list[Any]:
        if not self.below:
            raise RefusedError("a mark is used that is not there", "存在しないマークが使われています")
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    # numbers and texts

    def protocol(self) -> None:
        if (version := self.number(1)) > 5:
            raise RefusedError(f"pickle protocol {version} is not known", f"pickle プロトコル {version} には対応していません")

    def frame(self) -> None:
        size = self.number(8)
        if size > self.end - self.at or self.at < self.framed:
            raise RefusedError("a frame reaches beyond the end or into another", "フレームが終わりを越えているか、重なっています")
        self.framed = self.at + size

    def signed(self) -> None:
        self.push(int.from_bytes(self.take(4), "little", signed=True))

    def long(self) -> None:
        self.push(int.from_bytes(self.take(self.number(1)), "little", signed=True))

    def float(self) -> None:
        self.push(struct.unpack(">d", self.take(8))[0])

    def string(self, size: int) -> None:
        try:
            self.push(self.text(size).decode())
        except UnicodeDecodeError:
            raise RefusedError("a text is not UTF-8", "文字列が UTF-8 ではありません") from None

    def old_string(self) -> None:
        """What Python 2 wrote for its `str`: texts, and the bytes of NumPy's numbers."""
        raw = self.text(self.number(1))
        try:
            self.push(raw.decode())
        except UnicodeDecodeError:
            self.push(raw)

    # containers

    def pack(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(items)))

    def append(self) -> None:
        self.extend([self.pop()])

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is list:
            target.extend(items)
        elif not isinstance(target, Inert):
            raise RefusedError(f"appends to {kind(target)}", f"{kind(target)} に要素を加えようとしています")

    def add(self) -> None:
        items, target = self.pop_mark(), self.top()
        if type(target) is not set:
            raise RefusedError(f"adds to {kind(target)}", f"{kind(target)} に要素を加えようとしています")
        self.spend(64 * len(items))
        target.update(map(as_key, items))

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        if len(items) % 2:
            raise RefusedError("a key has no value", "値のないキーがあります")
        if type(target) is dict:
            self.spend(64 * len(items))
            target.update(zip(map(as_key, items[::2]), items[1::2], strict=True))
        elif not isinstance(target, Inert):
            raise RefusedError(f"sets an item of {kind(target)}", f"{kind(target)} に要素を設定しようとしています")

    # the memo

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise RefusedError(f"memo {index} is not there", f"メモ {index} がありません")
        self.push(self.memo[index])

    def put(self, index: int) -> None:
        self.memo[index] = self.top()

    # names, and what is made with them

    def line(self) -> str:
        stop = self.data.find(b"\n", self.at, min(self.end, self.at + 1000))
        if stop < 0:
            raise RefusedError("a name has no end", "名前の終わりがありません")
        self.string(stop - self.at)
        self.at = stop + 1
        return str(self.pop())

    def named(self) -> None:
        module, name = self.line(), self.line()
        self.push(self.vocabulary.symbol(module, name))

    def named_by_stack(self) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise RefusedError("a name is not a text", "名前が文字列ではありません")
        self.push(self.vocabulary.symbol(module, name))

    def call(self) -> None:
        args, symbol = self.pop(), self.pop()
        if not isinstance(symbol, Symbol) or type(args) is not tuple:
            raise RefusedError(f"calls {kind(symbol)}", f"{kind(symbol)} を呼び出そうとしています")
        if isinstance(symbol, Inert):
            self.push(symbol)
            return
        self.spend(128 * sum(len(arg) for arg in args if isinstance(arg, str | bytes | tuple | list | dict | set)))
        self.push(self.owned(self.vocabulary.call, symbol, args))

    def build(self) -> None:
        state, instance = self.pop(), self.top()
        if type(instance) is dict and type(state) is dict:
            return  # attributes of an OrderedDict: the versions of torch's modules
        if not isinstance(instance, Inert):
            self.vocabulary.build(instance, state)

    def persistent(self) -> None:
        self.push(self.owned(self.vocabulary.persistent, self.pop()))

    def owned(self, make: Callable[..., object], *args: object) -> object:
        """What `make` makes; a refusal names the key under which it would lie: the nearest text below it on the stack."""
        try:
            return make(*args)
        except RefusedError as refusal:
            near = (item for stack in (self.stack, *reversed(self.below[-4:])) for item in reversed(stack[-4:]))
            owner = next((f"{shown(item)}: " for item in near if type(item) is str), "")
            raise RefusedError(f"{owner}{refusal.en}", f"{owner}{refusal.ja}") from None


def as_key(value: object) -> object:
    """A value as the key of a dictionary: only kinds whose hashing takes no time that a file could choose. Raises RefusedError."""
    if value is None or isinstance(value, str | bytes | float | bool | Symbol):
        return value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return value
    if isinstance(value, tuple):
        return Inert("tuple")  # nested without end, its hash could overflow the stack; and no weight is found by it
    raise RefusedError(f"{kind(value)} as a key", f"{kind(value)} がキーになっています")


# Each instruction, and what it may cost in bytes of memory.
INSTRUCTIONS: dict[int, tuple[Callable[[_Machine], None], int]] = {
    0x80: (_Machine.protocol, 32),
    0x95: (_Machine.frame, 32),
    ord("N"): (lambda m: m.push(None), 32),
    0x88: (lambda m: m.push(True), 32),
    0x89: (lambda m: m.push(False), 32),
    ord("K"): (lambda m: m.push(m.number(1)), 32),
    ord("M"): (lambda m: m.push(m.number(2)), 48),
    ord("J"): (_Machine.signed, 48),
    0x8A: (_Machine.long, 300),
    ord("G"): (_Machine.float, 48),
    ord("X"): (lambda m: m.string(m.number(4)), 96),
    0x8C: (lambda m: m.string(m.number(1)), 96),
    ord("U"): (_Machine.old_string, 96),
    ord("B"): (lambda m: m.push(m.text(m.number(4))), 64),
    ord("C"): (lambda m: m.push(m.text(m.number(1))), 64),
    ord("("): (_Machine.mark, 128),
    ord(")"): (lambda m: m.push(()), 32),
    0x85: (lambda m: m.pack(1), 96),
    0x86: (lambda m: m.pack(2), 96),
    0x87: (lambda m: m.pack(3), 96),
    ord("t"): (lambda m: m.push(tuple(m.pop_mark())), 96),
    ord("]"): (lambda m: m.push([]), 96),
    ord("a"): (_Machine.append, 96),
    ord("e"): (lambda m: m.extend(m.pop_mark()), 96),
    ord("}"): (lambda m: m.push({}), 96),
    ord("s"): (_Machine.set_item, 256),
    ord("u"): (lambda m: m.set_items(m.pop_mark()), 256),
    0x8F: (lambda m: m.push(set()), 256),
    0x90: (_Machine.add, 128),
    ord("h"): (lambda m: m.get(m.number(1)), 32),
    ord("j"): (lambda m: m.get(m.number(4)), 32),
    ord("q"): (lambda m: m.put(m.number(1)), 128),
    ord("r"): (lambda m: m.put(m.number(4)), 128),
    0x94: (lambda m: m.put(len(m.memo)), 128),
    ord("c"): (_Machine.named, 400),
    0x93: (_Machine.named_by_stack, 400),
    0x81: (_Machine.call, 400),
    ord("R"): (_Machine.call, 400),
    ord("b"): (_Machine.build, 32),
    ord("Q"): (_Machine.persistent, 400),
}
