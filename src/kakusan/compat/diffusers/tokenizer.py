"""transformers' CLIPTokenizer over ours: `tokenizer(text, padding="max_length", truncation=True, return_tensors="pt").input_ids`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any, Self

import torch

from ...errors import KakusanError
from ...prompts.tokenizer import Tokenizer
from .loading import place

PADDINGS: dict[object, str] = {
    **{False: "", None: "", "do_not_pad": ""},
    **{True: "longest", "longest": "longest", "max_length": "max_length"},
}
TRUNCATIONS: dict[object, bool] = {
    False: False,
    None: False,
    "do_not_truncate": False,
    True: True,
    "longest_first": True,
    "only_first": True,
}


class BatchEncoding(Mapping[str, Any]):
    """`input_ids` and `attention_mask`, by attribute or by key: lists, or tensors (n l)."""

    def __init__(self, data: Mapping[str, Any]):
        self.data = dict(data)

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    def __getattr__(self, name: str) -> Any:
        if name != "data" and name in self.data:
            return self.data[name]
        raise AttributeError(f"there is no {name!r} here")

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def to(self, device: str | torch.device) -> Self:
        """The tensors moved to a device, in place."""
        self.data = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in self.data.items()}
        return self


class CLIPTokenizer:
    """Text to token ids and back."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.taught: dict[str, int] = {}  # words of textual inversion, and how many tokens each is
        self.model_max_length = tokenizer.length
        self.bos_token_id, self.eos_token_id, self.pad_token_id = tokenizer.start, tokenizer.end, tokenizer.pad
        self._spelt = {id: token for token, id in tokenizer.vocab.items()}
        names = tokenizer.specials
        self.bos_token, self.eos_token, self.unk_token = names.start, names.end, names.unknown
        self.pad_token, self.unk_token_id = self._spelt[tokenizer.pad], tokenizer.vocab[names.unknown]

    @classmethod
    def from_pretrained(cls, name: str | Path | None = None, *, subfolder: str | None = None, **options: Any) -> Self:
        """The tokenizer in a folder, or under a name on the hub; None is the embedded model's."""
        return cls(Tokenizer.from_folder(place(name, options, subfolder or ("tokenizer" if name is None else None))))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write vocab.json, merges.txt and the rest, as transformers reads them."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(folder)

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        padding: bool | str | None = False,
        truncation: bool | str | None = False,
        max_length: int | None = None,
        add_special_tokens: bool = True,
        return_tensors: str | None = None,
        return_attention_mask: bool = True,
    ) -> BatchEncoding:
        """The ids of a text, or of each of several; with `return_tensors="pt"` (or "np") in a tensor (n l), which needs equal lengths.

        padding: "longest" or True to the longest text, "max_length" to max_length. truncation: to max_length, which is
        `model_max_length` unless given. Raises KakusanError on anything else, and on texts of unequal length for a tensor.
        """
        texts = self._checked(text)
        longest = self.model_max_length if max_length is None else max_length
        cut = longest if _known("truncation", truncation, TRUNCATIONS) else None
        rows = [self.encode(one, add_special_tokens, cut) for one in texts]
        to = {"": 0, "longest": max(map(len, rows), default=0), "max_length": longest}[_known("padding", padding, PADDINGS)]
        data = {"input_ids": [row + [self.pad_token_id] * (to - len(row)) for row in rows]}
        if return_attention_mask:
            data["attention_mask"] = [[1] * len(row) + [0] * (to - len(row)) for row in rows]
        if return_tensors is not None:
            return BatchEncoding({name: _tensor(value, return_tensors) for name, value in data.items()})
        return BatchEncoding({name: value[0] for name, value in data.items()} if isinstance(text, str) else data)

    def encode(self, text: str, add_special_tokens: bool = True, max_length: int | None = None) -> list[int]:
        """The ids of one text, between start and end unless told otherwise, cut to `max_length` if that is given."""
        ids = self._ids(text)
        if not add_special_tokens:
            return ids[:max_length]
        kept = ids if max_length is None else ids[: max(max_length - 2, 0)]
        return [self.bos_token_id, *kept, self.eos_token_id]

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text, as the vocabulary has them."""
        return self.convert_ids_to_tokens(self._ids(text))

    def decode(self, token_ids: "int | Sequence[int] | torch.Tensor", skip_special_tokens: bool = False, **_: object) -> str:
        """The text that ids spell."""
        ids = (
            token_ids.reshape(-1).tolist()
            if isinstance(token_ids, torch.Tensor)
            else [token_ids]
            if isinstance(token_ids, int)
            else token_ids
        )
        if skip_special_tokens:
            ids = [id for id in ids if id not in self.all_special_ids]
        parts = ((taught, list(run)) for taught, run in groupby(ids, lambda id: id >= len(self.tokenizer)))
        texts = (" ".join(self._spelt[id] for id in run) if taught else self.tokenizer.decode(run) for taught, run in parts)
        return " ".join(text for text in texts if text)

    def batch_decode(
        self, sequences: "Sequence[Sequence[int]] | torch.Tensor", skip_special_tokens: bool = False, **_: object
    ) -> list[str]:
        """The texts that rows of ids spell."""
        return [self.decode(row, skip_special_tokens) for row in sequences]

    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> int | list[int]:
        """The id of a token as the vocabulary has it, or of each of several."""
        vocab = self.get_vocab()
        if isinstance(tokens, str):
            return vocab.get(tokens, self.unk_token_id)
        return [vocab.get(token, self.unk_token_id) for token in tokens]

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
        """The tokens of ids, as the vocabulary has them."""
        return [self._spelt[id] for id in ids]

    def get_vocab(self) -> dict[str, int]:
        """Token to id."""
        return self.tokenizer.vocab | {self._spelt[id]: id for id in range(len(self.tokenizer), len(self))}

    @property
    def vocab_size(self) -> int:
        """How many tokens there are without those that were taught."""
        return len(self.tokenizer)

    @property
    def all_special_ids(self) -> list[int]:
        """Start, end, unknown and padding."""
        return sorted({self.bos_token_id, self.eos_token_id, self.unk_token_id, self.pad_token_id})

    def __len__(self) -> int:
        return len(self.tokenizer) + sum(self.taught.values())

    def teach(self, word: str, count: int) -> None:
        """From now on a word, in upper or lower case, is so many tokens of its own, the next that are free.

        Raises KakusanError if it is known.
        """
        if word in self.get_vocab() or word.casefold() in map(str.casefold, self.taught):
            raise KakusanError(
                f"the word {word!r} is known already; give another token", f"{word!r} はもうあります。別の token にしてください"
            )
        self.taught[word] = count
        self._respell()

    def forget(self, word: str) -> range:
        """Forget a word that was taught; the ids it had, which those after it take over. Raises KakusanError if it was not."""
        if word not in self.taught:
            there = ", ".join(self.taught) or "-"
            raise KakusanError(
                f"the word {word!r} was not taught; there are: {there}", f"{word!r} は教えられていません。あるのは {there} です"
            )
        ids = self._places()[word]
        del self.taught[word]
        self._respell()
        return ids

    def _places(self) -> dict[str, range]:
        """The ids of each word that was taught."""
        ends = list(accumulate(self.taught.values(), initial=len(self.tokenizer)))
        return {word: range(start, end) for word, (start, end) in zip(self.taught, pairwise(ends), strict=True)}

    def _respell(self) -> None:
        self._spelt = {id: token for id, token in self._spelt.items() if id < len(self.tokenizer)}
        for word, ids in self._places().items():
            self._spelt |= {id: word if i == 0 else f"{word}_{i}" for i, id in enumerate(ids)}

    def _ids(self, text: str) -> list[int]:
        """The ids of a text, words that were taught found in it before anything else, the longest first."""
        places = {word.casefold(): ids for word, ids in self._places().items()}
        if not places:
            return self.tokenizer.encode(text)
        pattern = "|".join(re.escape(word) for word in sorted(places, key=len, reverse=True))
        parts = re.split(f"({pattern})", text, flags=re.IGNORECASE)
        taught = (places.get(part.casefold()) if i % 2 else None for i, part in enumerate(parts))
        return [id for part, ids in zip(parts, taught, strict=True) for id in (self.tokenizer.encode(part) if ids is None else ids)]

    def _checked(self, text: object) -> list[str]:
        texts: list[Any] = list(text) if isinstance(text, list | tuple) else [text]
        for one in texts:
            if not isinstance(one, str):
                kind = type(one).__name__
                raise KakusanError(
                    f"text is a {kind}; give a text or a list of texts", f"text が {kind} です。文字列かそのリストにしてください"
                )
        return texts


def _known(what: str, value: object, table: Mapping[object, Any]) -> Any:
    try:
        return table[value]
    except (KeyError, TypeError):
        names = ", ".join(repr(name) for name in table)
        raise KakusanError(
            f"{what} is {value!r}; give one of {names}", f"{what} が {value!r} です。{names} のどれかにしてください"
        ) from None


def _tensor(rows: list[list[int]], kind: str) -> Any:
    if kind not in ("pt", "np"):
        raise KakusanError(
            f"return_tensors is {kind!r}; give 'pt' or 'np'", f"return_tensors が {kind!r} です。'pt' か 'np' にしてください"
        )
    if len({len(row) for row in rows}) > 1:
        raise KakusanError(
            "the texts have different lengths in tokens; give padding=True and truncation=True",
            "テキストごとにトークン数が違います。padding=True と truncation=True を指定してください",
        )
    tensor = torch.tensor(rows, dtype=torch.int64).reshape(len(rows), -1)
    return tensor if kind == "pt" else tensor.numpy()
