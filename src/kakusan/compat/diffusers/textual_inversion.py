"""diffusers' names for textual inversion: `pipe.load_textual_inversion("file or folder", token="<cat-toy>")`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import KakusanError
from ...formats.embedding import Embedding, read_embedding
from ...formats.lora import Held, lora_file
from .loading import FROM_HUB, place

Given = str | Path | Mapping[str, Tensor] | Tensor


class LearntWords:
    """What a pipeline can be taught: words whose token embeddings come out of files."""

    tokenizer: Any
    text_encoder: Any

    def load_textual_inversion(
        self,
        pretrained_model_name_or_path: Given | Sequence[Given],
        token: str | Sequence[str] | None = None,
        tokenizer: Any = None,
        text_encoder: Any = None,
        *,
        weight_name: str | None = None,
        subfolder: str | None = None,
        **options: Any,
    ) -> None:
        """Teach words out of files, folders, the hub or tensors; prompts then have them, in upper or lower case.

        token: what a word is called, the file's own name for it unless given. A word of several vectors counts as so many tokens.
        options: revision, token, local_files_only for the hub; others change nothing. Raises FileError on what is no embedding of
        this text encoder's width, KakusanError on a word that is known already.
        """
        given = pretrained_model_name_or_path
        several = isinstance(given, Sequence) and not isinstance(given, str)
        sources: list[Any] = list(given) if several else [given]  # type: ignore[arg-type]
        tokens = [token] if isinstance(token, str) or token is None else list(token)
        if len(tokens) == 1 and token is None:
            tokens *= len(sources)
        if len(tokens) != len(sources):
            raise KakusanError(
                f"{len(sources)} embeddings but {len(tokens)} tokens; give as many",
                f"埋め込み {len(sources)} 個に token が {len(tokens)} 個です。数を揃えてください",
            )
        words, network = tokenizer or self.tokenizer, text_encoder or self.text_encoder
        hub = {option: value for option, value in options.items() if option in FROM_HUB}
        found = [
            _read(source, name, network.config.hidden_size, weight_name, subfolder, hub)
            for source, name in zip(sources, tokens, strict=True)
        ]
        for one in found:
            words.teach(one.name, len(one.vectors))
            network.append(one.vectors)

    def unload_textual_inversion(self, tokens: str | Sequence[str] | None = None, tokenizer: Any = None, text_encoder: Any = None) -> None:
        """Forget words, all of them unless given. Raises KakusanError on one that was never taught."""
        words, network = tokenizer or self.tokenizer, text_encoder or self.text_encoder
        names = list(words.taught) if tokens is None else [tokens] if isinstance(tokens, str) else list(tokens)
        for name in names:
            network.take_out(words.forget(name))


def _read(source: Any, token: str | None, width: int, weight_name: str | None, subfolder: str | None, hub: Mapping[str, Any]) -> Embedding:
    """One embedding, called as its word shall be."""
    if isinstance(source, Tensor):
        source = {"": source}
    if isinstance(source, Mapping):
        nested = source.get("string_to_param")
        found = read_embedding(Held(nested if isinstance(nested, Mapping) else source), token, width)
    else:
        path = Path(source)
        if not path.exists():
            path = place(str(source), hub)
        file = lora_file(path / (subfolder or ""), weight_name) if path.is_dir() else path
        found = read_embedding(file, token, width)
    name = token or found.token or ("" if isinstance(source, Mapping) else found.name)
    if not name.strip():
        raise KakusanError("these tensors do not say which word they are; give token", "どの語か書かれていません。token を指定してください")
    return Embedding(name, found.vectors)
