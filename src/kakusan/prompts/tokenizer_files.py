"""The tokenizer of a model folder: its files read and written as transformers' CLIPTokenizer does.

vocab.json and merges.txt, or tokenizer.json (which wins), hold the table. tokenizer_config.json, special_tokens_map.json and
added_tokens.json hold names: each name is a string, or a dict with "content" and "normalized".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import FileError

START = "<|startoftext|>"
END = "<|endoftext|>"
LENGTH = 77
_LONGEST = 1 << 20  # transformers writes 1e30 for "no limit"


@dataclass(frozen=True)
class Specials:
    """Tokens with names of their own. Where one is spelt out in a text it becomes its id.

    start, end, unknown: the tokens round a text, and the one for a byte the table lacks.
    early: names looked for in the text as it was given; late: in the cleaned text (so in any case of letters).
    """

    start: str = START
    end: str = END
    unknown: str = END
    early: frozenset[str] = frozenset({START, END})
    late: frozenset[str] = frozenset()


@dataclass
class Table:
    """All that a tokenizer is made of; see `Tokenizer` for the fields."""

    vocab: dict[str, int]
    merges: list[tuple[str, str]]
    pad: int
    length: int = LENGTH
    specials: Specials = field(default_factory=Specials)

    def check(self) -> None:
        """Raise ValueError if the parts do not fit together."""
        if self.length < 2:
            raise ValueError(f"length is {self.length}; start and end need 2")
        names = self.specials
        for name in (names.start, names.end, names.unknown, *sorted(names.early | names.late)):
            if name not in self.vocab:
                raise ValueError(f"the token {name!r} is not in the vocabulary of {len(self.vocab)}")
        if self.pad not in self.vocab.values():
            raise ValueError(f"the padding {self.pad} is not an id of the vocabulary of {len(self.vocab)}")
        for left, right in self.merges:
            for token in (left, right, left + right):
                if token not in self.vocab:
                    raise ValueError(f"the merge {left!r} {right!r} needs {token!r}, which is not in the vocabulary")


def read_table(folder: Path) -> Table:
    """Read a folder. Raises FileError naming the file and what is wrong in it."""
    if not folder.is_dir():
        raise FileError(
            f"{folder}: no such folder; give the tokenizer folder of a model",
            f"{folder}: フォルダーがありません。モデルの tokenizer フォルダーを指定してください",
        )
    vocab, merges, listed = _read_words(folder)
    config = _read_object(folder / "tokenizer_config.json", optional=True)
    names = _Names(folder, vocab)
    _declare(names, folder, config, listed)
    values = _values(folder, config)
    start, end, unknown, pad = (names.add(values.get(key, default)) for key, default in _DEFAULTS.items())
    for extra in _extras(values):
        names.add(extra)
    length = values.get("model_max_length", LENGTH)
    if not isinstance(length, int | float) or isinstance(length, bool) or not length >= 2:  # NaN too
        raise _broken(
            folder / "tokenizer_config.json",
            f"model_max_length is {length!r}, not a length of 2 or more",
            f"model_max_length が {length!r} です。2 以上の長さが必要です",
        )
    specials = Specials(start, end, unknown, frozenset(names.early), frozenset(names.late))
    table = Table(names.vocab, merges, names.vocab[pad], LENGTH if length > _LONGEST else int(length), specials)
    try:
        table.check()
    except ValueError as error:
        raise _broken(folder, str(error), f"語彙と結合が合っていません ({error})") from None
    return table


def write_table(table: Table, folder: Path) -> None:
    """Write a folder; it is made if it is not there. Raises FileError if it cannot be written."""
    pad = next(token for token, id in table.vocab.items() if id == table.pad)
    names = table.specials
    described = {
        name: {"content": name, "lstrip": False, "normalized": name in names.late, "rstrip": False, "single_word": False}
        for name in sorted({names.start, names.end, names.unknown, pad} | names.early | names.late, key=table.vocab.__getitem__)
    }
    used = {"bos_token": names.start, "eos_token": names.end, "unk_token": names.unknown, "pad_token": pad}
    config = {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(table.vocab[name]): {**row, "special": name in used.values()} for name, row in described.items()},
        **used,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": table.length,
        "tokenizer_class": "CLIPTokenizer",
    }
    texts = {
        "vocab.json": json.dumps(table.vocab, ensure_ascii=False),
        "merges.txt": "\n".join(["#version: 0.2", *(f"{left} {right}" for left, right in table.merges), ""]),
        "tokenizer_config.json": json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        "special_tokens_map.json": json.dumps({key: described[name] for key, name in used.items()}, indent=2, ensure_ascii=False) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise FileError(
            f"{folder}: cannot write the tokenizer: {error.strerror}", f"{folder}: トークナイザーを書き込めません: {error.strerror}"
        ) from None


_DEFAULTS = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
_LISTED = ("sep_token", "cls_token", "mask_token", "additional_special_tokens", "extra_special_tokens")


class _Names:
    """The named tokens of a folder while it is read."""

    def __init__(self, folder: Path, vocab: dict[str, int]):
        self.folder, self.vocab = folder, vocab
        self.early: set[str] = set()
        self.late: set[str] = set()
        self._declared: set[str] = set()

    def declare(self, value: Any, id: Any, normalized: bool) -> None:
        """A token listed with its id; what is said of it here holds wherever it is named."""
        name = self.add(value, normalized, id)
        self._declared.add(name)

    def add(self, value: Any, normalized: bool = False, id: Any = None) -> str:
        """A token by its name, or by a dict, which may say "normalized" itself; the last word on it counts. Returns the name."""
        row = value if isinstance(value, dict) else {"content": value}
        name = row.get("content")
        if not isinstance(name, str) or not name:
            raise _broken(self.folder, f"a special token is {value!r}, not a name", f"特殊トークンが {value!r} で、名前ではありません")
        if row.get("single_word"):
            raise _broken(
                self.folder,
                f"the token {name!r} is marked single_word, which is not supported",
                f"トークン {name!r} の single_word には対応していません",
            )
        if name not in self.vocab and isinstance(id, int) and id not in self.vocab.values():
            self.vocab[name] = id
        if self.vocab.get(name) is None:
            raise _broken(self.folder, f"the token {name!r} is not in the vocabulary", f"トークン {name!r} が語彙にありません")
        if name not in self._declared:
            late = bool(row.get("normalized", normalized))
            (self.late if late else self.early).add(name)
            (self.early if late else self.late).discard(name)
        return name


def _read_words(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]], list[Any]]:
    """The vocabulary, the merges, and the named tokens that stand beside them in tokenizer.json."""
    whole = folder / "tokenizer.json"
    if whole.is_file():
        found = _read_object(whole)
        model = found.get("model")
        if not isinstance(model, dict) or model.get("type", "BPE") != "BPE" or model.get("end_of_word_suffix", "</w>") != "</w>":
            raise _broken(whole, "no byte-pair table of CLIP's kind in it", "CLIP 形式のバイト対符号化の表ではありません")
        rows = model.get("merges")
        merges = [tuple(row.split(" ")) if isinstance(row, str) else row for row in rows] if isinstance(rows, list) else [()]
        listed = found.get("added_tokens", [])
        return _checked_vocab(whole, model.get("vocab")), _checked_merges(whole, merges), listed if isinstance(listed, list) else []
    path = folder / "merges.txt"
    lines = [line for line in _read_text(path).removesuffix("\n").split("\n") if line and not line.startswith("#version")]
    vocab = _checked_vocab(folder / "vocab.json", _read_object(folder / "vocab.json"))
    return vocab, _checked_merges(path, [tuple(line.removesuffix("\r").split(" ")) for line in lines]), []


def _declare(names: _Names, folder: Path, config: Mapping[str, Any], listed: list[Any]) -> None:
    """Enter the tokens that are listed with their ids. A list in tokenizer_config.json puts the older places out of use."""
    rows = config.get("added_tokens_decoder")
    if isinstance(rows, dict):
        for id, row in rows.items():
            names.declare(row, int(id) if id.isdecimal() else None, isinstance(row, dict) and not row.get("special", False))
        return
    special = {
        str(value.get("content")) if isinstance(value, dict) else value
        for value in _values(folder, config).values()
        if isinstance(value, str | dict)
    }
    for name, id in _read_object(folder / "added_tokens.json", optional=True).items():
        names.declare(name, id, name not in special)
    for row in listed:
        names.declare(row, row.get("id") if isinstance(row, dict) else None, isinstance(row, dict) and not row.get("special", False))


def _values(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration files say, the name of a token under its use; null is as good as silence."""
    values = dict(config)
    if "added_tokens_decoder" not in config:
        values |= _read_object(folder / "special_tokens_map.json", optional=True)
    return {key: value for key, value in values.items() if value is not None}


def _extras(values: Mapping[str, Any]) -> list[Any]:
    """Named tokens besides the four."""
    found = []
    for key in _LISTED:
        value = values.get(key, [])
        found += (
            value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) and "content" not in value else [value]
        )
    return found


def _checked_vocab(path: Path, vocab: Any) -> dict[str, int]:
    if not isinstance(vocab, dict) or not vocab:
        raise _broken(path, "no vocabulary in it", "語彙がありません")
    for token, id in vocab.items():
        if type(id) is not int or id < 0:
            raise _broken(
                path, f"the id of {token!r} is {id!r}, not a whole number", f"{token!r} の番号が {id!r} で、0 以上の整数ではありません"
            )
    if len(set(vocab.values())) < len(vocab):
        raise _broken(path, "two tokens have the same id", "同じ番号のトークンが二つあります")
    return vocab


def _checked_merges(path: Path, merges: list[Any]) -> list[tuple[str, str]]:
    for number, pair in enumerate(merges, 1):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(part, str) and part for part in pair):
            raise _broken(
                path,
                f"merge {number} is not a pair of tokens: {str(pair)[:60]}",
                f"{number} 番目の結合が二つのトークンではありません: {str(pair)[:60]}",
            )
    return [(left, right) for left, right in merges]


def _read_object(path: Path, optional: bool = False) -> dict[str, Any]:
    """A JSON object; an empty one if the file is optional and missing."""
    if optional and not path.is_file():
        return {}
    try:
        found = json.loads(_read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise _broken(path, f"not JSON ({str(error)[:80]})", f"JSON ではありません ({str(error)[:80]})") from None
    if not isinstance(found, dict):
        raise _broken(path, "not a JSON object", "JSON のオブジェクトではありません")
    return found


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise FileError(
            f"{path}: no such file; the tokenizer folder needs vocab.json and merges.txt, or tokenizer.json",
            f"{path}: ファイルがありません。vocab.json と merges.txt、または tokenizer.json が必要です",
        ) from None
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}", f"{path}: 読み込めません: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _broken(path, "not UTF-8 text", "UTF-8 の文字列ではありません") from None


def _broken(path: Path, en: str, ja: str) -> FileError:
    return FileError(f"{path}: {en}; get the file again", f"{path}: {ja}。ファイルを入手し直してください")
