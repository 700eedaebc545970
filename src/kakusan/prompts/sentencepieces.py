"""Tokenizers over a sentencepiece model, as text encoders for Japanese have them: in the place of CLIP's.

Kudo and Richardson 2018, https://arxiv.org/abs/1808.06226. Two layouts, by the name of the model's file:
"xlmr"  XLMRobertaTokenizer, sentencepiece.bpe.model: four names of its own in front, every piece one further; start and end
"t5"    T5Tokenizer, spiece.model: the model's own numbers; no start, an end; lower case, as rinna's pipeline sets it
Needs the package sentencepiece: pip install "kakusan[japanese]".
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

from ..errors import FileError, KakusanError
from .tokenizer import Tokenizer, Word
from .tokenizer_files import Specials

Layout = Literal["t5", "xlmr"]
NAMES: Mapping[Layout, str] = {"t5": "spiece.model", "xlmr": "sentencepiece.bpe.model"}
CLASSES: Mapping[Layout, str] = {"t5": "T5Tokenizer", "xlmr": "XLMRobertaTokenizer"}
FRONT = ("<s>", "<pad>", "</s>", "<unk>")
"""XLM-R's own first tokens, whatever numbers the sentencepiece model has for them."""
LONGEST = 77
SPACE = "\u2581"
"""Stands for a space in pieces."""


class SentencePieces(Tokenizer):
    """Text to token ids by a sentencepiece model. model: the bytes of its file; length: of `padded`; lower: to lower case first.

    pad: the padding's piece, for "t5". Raises KakusanError without the package, ValueError if the model lacks a piece it needs.
    """

    def __init__(self, model: bytes, layout: Layout, *, length: int = LONGEST, lower: bool = False, pad: str = "<pad>"):
        self.model, self.layout, self.length, self.lower, self.pad_piece = model, layout, length, lower, pad
        self.pieces = _processor(model)
        size = self.pieces.get_piece_size()
        self._further = int(layout == "xlmr")
        ids = {self.pieces.id_to_piece(i): i + self._further for i in range(size)}
        if layout == "xlmr":
            self.vocab = {**ids, **{piece: id for id, piece in enumerate(FRONT)}, "<mask>": size + 1}
        else:
            self.vocab = ids
            for piece in (pad, "</s>"):
                if piece not in ids:
                    raise ValueError(f"no piece {piece!r} in the sentencepiece model")
        self._unknown = 3 if layout == "xlmr" else self.pieces.unk_id()
        self.start, self.end = (0, 2) if layout == "xlmr" else (-1, ids["</s>"])
        self.pad = 1 if layout == "xlmr" else ids[pad]
        self.before = int(layout == "xlmr")
        self.merges, self.rules, self.specials = [], "fast", Specials()

    @classmethod
    def from_folder(cls, path: str | Path) -> Self:
        """The tokenizer of a model folder. Raises FileError naming the file and what is wrong in it."""
        folder = Path(path)
        layout: Layout = next(known for known, name in NAMES.items() if (folder / name).exists())
        file, said = folder / NAMES[layout], _settings(folder)
        length, lower = said.get("model_max_length", LONGEST), said.get("do_lower_case", layout == "t5")
        if type(length) is not int or length < 2:
            length = LONGEST
        try:
            return cls(
                file.read_bytes(), layout, length=min(length, LONGEST), lower=lower is True, pad=_content(said.get("pad_token", "<pad>"))
            )
        except OSError as error:
            raise FileError(f"{file}: cannot be read: {error.strerror}", f"{file}: 読み込めません: {error.strerror}") from error
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0][:120]
            raise FileError(
                f"{file}: not a sentencepiece model ({reason})", f"{file}: sentencepiece のモデルではありません ({reason})"
            ) from error

    def save(self, path: str | Path) -> None:
        """Write the model's file and tokenizer_config.json."""
        (Path(path) / NAMES[self.layout]).write_bytes(self.model)
        names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": self.pad_piece, "extra_ids": 0}
        if self.layout == "xlmr":
            names |= {"pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
            del names["extra_ids"]
        said = {**names, "do_lower_case": self.lower, "model_max_length": self.length, "tokenizer_class": CLASSES[self.layout]}
        (Path(path) / "tokenizer_config.json").write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, without start, end and padding."""
        return [self._ours(id) for id in self.pieces.encode(self._given(text))]

    def padded(self, text: str) -> list[int]:
        """`length` ids: start if there is one, the text (cut if it is too long), end, padding."""
        row = [*[self.start] * self.before, *self.encode(text)[: self.room], self.end]
        return row + [self.pad] * (self.length - len(row))

    def words(self, text: str) -> list[Word]:
        """The tokens of a text with the places they come from, as positions in `clean(text)`."""
        found, start = [], 0
        for id, piece in zip(self.encode(text), self._spelt(text), strict=True):
            found.append(Word(id, piece, start, start + len(piece)))
            start += len(piece)
        return found

    def clean(self, text: str) -> str:
        """The text as the tokens spell it: normalised by the sentencepiece model's own rules, a space in front of every word."""
        return "".join(self._spelt(text))

    def decode(self, ids: Sequence[int]) -> str:
        """The text that token ids spell."""
        front = self.vocab["<mask>"] if self.layout == "xlmr" else len(self)
        theirs = [id - self._further for id in ids if (3 < id < front or not self._further)]
        return str(self.pieces.decode(theirs))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        """Pickled by its model."""
        made = partial(type(self), self.model, self.layout, length=self.length, lower=self.lower, pad=self.pad_piece)
        return made, ()

    def _given(self, text: str) -> str:
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return whole.lower() if self.lower else whole

    def _spelt(self, text: str) -> list[str]:
        return [str(piece).replace(SPACE, " ") for piece in self.pieces.encode_as_pieces(self._given(text))]

    def _ours(self, id: int) -> int:
        return self._unknown if id == self.pieces.unk_id() else id + self._further


def _processor(model: bytes) -> Any:
    try:
        import sentencepiece
    except ImportError:
        _missing()
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model)
    return processor


def _missing() -> NoReturn:
    raise KakusanError(
        'this model\'s tokenizer needs the package sentencepiece: pip install "kakusan[japanese]"',
        'このモデルのトークナイザーには sentencepiece が必要です: pip install "kakusan[japanese]"',
    )


def _settings(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        file = folder / name
        if not file.exists():
            continue
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise FileError(f"{file}: not JSON ({error})", f"{file}: JSON として読めません ({error})") from error
        found |= said if isinstance(said, dict) else {}
    return found


def _content(name: object) -> str:
    """A token's text, whether alone or with what else is said of it."""
    return str(name.get("content", "")) if isinstance(name, dict) else str(name)
