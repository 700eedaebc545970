"""Words learnt by textual inversion (Gal et al. 2022, https://arxiv.org/abs/2208.01618): read out of every kind of file, and written.

d width of a token embedding.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from safetensors.torch import save_file
from torch import Tensor

from ..errors import FileError, KakusanError
from .files import open_file
from .hashes import sha256
from .source import FLOATS, Source, Stored, refuse

PARAMETERS = "emb_params"
"""What AUTOMATIC1111's web UI calls the vectors in a safetensors file."""
FAMILIES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 1280: "Stable Diffusion XL"}
MOST_VECTORS = 1024
ENDINGS = (".safetensors", ".pt", ".bin", ".pth")
USUAL_FILES = ("learned_embeds", "embeddings", "pytorch_model")
"""What trainers call their files, whatever the word is."""
PLACEHOLDERS = ("*", PARAMETERS)


@dataclass(frozen=True, eq=False)
class Embedding:
    """A word, and the token embeddings that stand for it (n d), float32.

    token: what the file calls it. hash: as AUTOMATIC1111 writes it.
    """

    name: str
    vectors: Tensor
    token: str = ""
    hash: str = ""


def read_embedding(path: str | Path | Source, name: str | None = None, width: int | None = None) -> Embedding:
    """The one embedding in a file: AUTOMATIC1111's (.pt, .safetensors) or diffusers' (.bin, .safetensors).

    name: what it is called in prompts; unless given the file's name, as in AUTOMATIC1111's web UI, or the word in a file whose name
    says nothing. width: d of the model it is for, checked if given. Raises FileError, in one line, on anything else, on a wrong
    width, NaN and infinity.
    """
    source = open_file(path) if isinstance(path, str | Path) else path
    file, stored = source.file, {name: one for name, one in source.tensors.items() if one.dtype in FLOATS}
    if len(stored) != 1:
        names = ", ".join(key if key.isprintable() else ascii(key) for key in list(stored)[:3])
        _refuse(file, f"holds {len(stored)} embeddings ({names}), not one", f"にある埋め込みは 1 つではなく {len(stored)} 個です ({names})")
    ((key, one),) = stored.items()
    _check(file, key, one, width)
    vectors = source.read(key).float().clone().reshape(-1, one.shape[-1])
    if not vectors.isfinite().all():
        refuse(file, key, "holds NaN or infinity; the file is of no use", "に NaN か無限大があります。このファイルは使えません")
    token = key.removeprefix("string_to_param.")
    token = "" if token in PLACEHOLDERS else token
    stem = token if token and file.stem in USUAL_FILES else file.stem
    return Embedding(name or stem, vectors, token, sha256(file)[:10] if file.is_file() else "")


def write_embedding(embedding: Embedding, path: Path) -> None:
    """One safetensors file that every program reads. Raises FileError if it cannot be written."""
    try:
        save_file({PARAMETERS: embedding.vectors.contiguous()}, path)
    except OSError as error:
        _refuse(path, f"cannot be written ({error.strerror})", f"に書き込めません ({error.strerror})")


class Embeddings:
    """The learnt words that a model knows: those that were loaded, and those in a folder as soon as a prompt has their names.

    width: of the model's token embeddings.
    """

    def __init__(self, width: int, folder: Path = Path("embeddings")):
        self.width, self.folder = width, folder
        self.loaded: dict[str, Embedding] = {}

    def load(self, path: str | Path | Source, name: str | None = None) -> Embedding:
        """Read a file and keep the word; one of the same name is replaced. Raises FileError as `read_embedding` does."""
        made = read_embedding(path, name, self.width)
        if not made.name.strip():
            raise KakusanError("a learnt word needs a name; give one", "埋め込みには名前が必要です")
        self.loaded[made.name] = made
        return made

    def unload(self, name: str) -> None:
        """Forget a word. Raises KakusanError if it is not there."""
        if name not in self.loaded:
            there = ", ".join(self.loaded) or "-"
            raise KakusanError(f"no embedding {name!r}; there are: {there}", f"埋め込み {name!r} がありません。あるのは {there} です")
        del self.loaded[name]

    def used(self, *texts: str) -> list[Embedding]:
        """Those whose names stand in the texts, as words of their own, in upper or lower case."""
        for file in self._files():
            if file.stem not in self.loaded and any(_stands(file.stem, text) for text in texts):
                self.load(file, file.stem)
        return [one for name, one in self.loaded.items() if any(_stands(name, text) for text in texts)]

    def _files(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(file for file in self.folder.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())


def _stands(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None


def _check(file: Path, key: str, one: Stored, width: int | None) -> None:
    shape = list(one.shape)
    if len(shape) not in (1, 2) or 0 in shape or (len(shape) == 2 and shape[0] > MOST_VECTORS):
        refuse(file, key, f"has shape {shape}; an embedding is (vectors, width)", f"の形が {shape} です。埋め込みは (本数, 幅) です")
    if width is not None and shape[-1] != width:
        theirs, ours = (f"{FAMILIES.get(size, '?')} ({size})" for size in (shape[-1], width))
        _refuse(
            file,
            f"an embedding for {theirs.replace('?', 'another model')}; this model is {ours.replace('?', 'of another width')}",
            f"{theirs.replace('?', '別のモデル')} 用の埋め込みです。このモデルは {ours.replace('?', '別の幅')} です",
        )


def _refuse(file: Path, en: str, ja: str) -> NoReturn:
    raise FileError(f"{file}: {en}", f"{file}: {ja}")
