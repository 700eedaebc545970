"""The LoRAs that a model has: loaded, found by their names, taken away again."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import FileError, KakusanError
from ..messages import tr
from ..models.lora import Adapters
from .hashes import content_hash, sha256
from .lora import ENDINGS, Lora, lora_file, read_lora
from .model import Model
from .safetensors import SafetensorsFile
from .source import Source

UNSAYABLE = re.compile(r"[<>:,\x00-\x1f\x7f]")
"""What a tag in a prompt, or a list of hashes, would break at."""
PLACES = 16
"""Scales come in rows of a multiple of this many, so that requests made before and after a LoRA was loaded share calls."""


@dataclass(frozen=True)
class Loaded:
    """One LoRA in use. number: its place among the scales; alias: what the file calls itself; hash: as AUTOMATIC1111 writes it."""

    name: str
    number: int
    lora: Lora
    file: Path | None = None
    alias: str = ""
    hash: str = ""


class Scales(NamedTuple):
    """How strongly each LoRA is meant in one picture (K): in the U-Net and in the text tower."""

    unet: Tensor
    text: Tensor


class Loras:
    """The LoRAs of one model. Its weights are never touched: pictures say how much of each they want.

    folder: where LoRAs are looked for that are asked for by name and not loaded. notes: what a user should know about those in use.
    """

    def __init__(self, model: Model, folder: Path = Path("loras")):
        self.model, self.folder = model, folder
        self.unet, self.text = Adapters(), Adapters()
        self.loaded: dict[str, Loaded] = {}
        self.notes: list[str] = []
        self._numbers = 0

    def load(self, path: str | Path | Source, name: str | None = None) -> Loaded:
        """Read a LoRA and keep it under `name`, its file's name unless given. One that is there under that name is replaced.

        Raises FileError as `read_lora` does: then everything is as it was.
        """
        file = lora_file(Path(path)) if isinstance(path, str | Path) else None
        lora = read_lora(path if file is None else file, self.model)
        key = called(name, file)
        alias = (lora.metadata or {}).get("ss_output_name", "")
        made = Loaded(key, self._numbers, lora, file, alias, short_hash(file, lora) if file else "")
        if key in self.loaded:
            self.unload(key)
        self.unet.put(made.number, lora.unet)
        self.text.put(made.number, lora.text)
        self._numbers += 1
        self.loaded[key] = made
        self.notes += _strangers(made)
        return made

    def unload(self, name: str) -> None:
        """Take a LoRA away. Raises KakusanError if none is loaded under that name."""
        if name not in self.loaded:
            raise self._unknown(name, self.loaded)
        number = self.loaded[name].number
        for adapters in (self.unet, self.text):
            adapters.drop(number)
        del self.loaded[name]

    def find(self, name: str) -> Loaded:
        """The LoRA of that name: loaded, or else in the folder, which then is loaded.

        A name is what it was loaded as, its file's, or what the file calls itself (ss_output_name); upper and lower case only count
        where they decide. Raises KakusanError, listing what is there, if there is none.
        """
        there = {one.name: (one.name, one.file.stem if one.file else "", one.alias) for one in self.loaded.values()}
        if (known := _named(name, there)) is not None:
            return self.loaded[known]
        files = self.files()
        found = _named(name, {str(file): (file.stem, called(None, file)) for file in files})
        found = found or _named(name, {str(file): (_alias(file),) for file in files})
        if found is None:
            raise self._unknown(name, [*self.loaded, *(file.stem for file in files)])
        taken = called(None, Path(found)) in self.loaded  # by another file, of which this one only has the alias
        return self.load(found, name if taken else None)

    def files(self) -> list[Path]:
        """The files of LoRAs in the folder and its folders."""
        if not self.folder.is_dir():
            return []
        return sorted(file for file in self.folder.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())

    def scales(self, used: Iterable[tuple[str, float, float]]) -> Scales | None:
        """The scales of one picture, of (name, of the U-Net, of the text tower); None as long as no LoRA was ever loaded.

        A LoRA that is named twice has both strengths.
        """
        if not self._numbers:
            return None
        size = -(-self._numbers // PLACES) * PLACES
        unet, text = torch.zeros(size), torch.zeros(size)
        for name, of_unet, of_text in used:
            number = self.find(name).number
            unet[number] += of_unet
            text[number] += of_text
        return Scales(unet, text)

    def fuse(self, used: Mapping[str, tuple[float, float]]) -> None:
        """Add LoRAs to the weights, each with its strengths in U-Net and text tower; `unfuse` gives the very same weights back."""
        numbers = {self.find(name).number: both for name, both in used.items()}
        self.unet.fuse(self.model.unet, {k: unet for k, (unet, _) in numbers.items()})
        self.text.fuse(self.model.text, {k: text for k, (_, text) in numbers.items()})

    def unfuse(self) -> None:
        """The weights as they were."""
        self.unet.unfuse(self.model.unet)
        self.text.unfuse(self.model.text)

    def keep(self) -> None:
        """Leave what is fused in the weights for good."""
        self.unet.keep()
        self.text.keep()

    def _unknown(self, name: str, there: Iterable[str]) -> KakusanError:
        names = ", ".join(sorted(dict.fromkeys(there))[:20])
        return KakusanError(
            f"no LoRA {name!r}; there are: {names or 'none'} (folder {self.folder}/)",
            f"LoRA {name!r} がありません。あるのは {names or 'なし'} です (フォルダー {self.folder}/)",
        )


def short_hash(file: Path, lora: Lora | None = None) -> str:
    """Twelve digits by which AUTOMATIC1111 knows a LoRA: of its numbers alone, whatever the file says about itself."""
    said = ((lora.metadata if lora else None) or {}).get("sshs_model_hash", "")
    if len(said) == 64 and set(said) <= set("0123456789abcdef"):
        return said[:12]
    return content_hash(file) if file.suffix == ".safetensors" else sha256(file)[:12]


def called(name: str | None, file: Path | None) -> str:
    """What a LoRA is kept as: a name that a tag in a prompt can say."""
    if name is None:
        return UNSAYABLE.sub("_", file.stem) if file else "lora"
    if not name or UNSAYABLE.search(name):
        raise KakusanError(
            f"{name!r} is no name for a LoRA; leave out < > : and commas", f"{name!r} は LoRA の名前にできません。< > : と , は使えません"
        )
    return name


def _strangers(loaded: Loaded) -> list[str]:
    left = loaded.lora.unmatched
    if not left:
        return []
    few = ", ".join(one if one.isprintable() else ascii(one) for one in left[:3]) + (", ..." if len(left) > 3 else "")
    en = f"LoRA {loaded.name}: {len(left)} tensors fit no layer and are left out: {few}"
    return [tr(en, f"LoRA {loaded.name}: どの層にも合わないテンソル {len(left)} 個を省きました: {few}")]


def _named(name: str, there: Mapping[str, tuple[str, ...]]) -> str | None:
    """The key of what has that name; by letters alone if upper and lower case do not decide. Raises KakusanError on two of them."""
    if name in there:
        return name
    for read in (str, str.casefold):
        found = [key for key, names in there.items() if read(name) in map(read, filter(None, names))]
        if len(found) > 1:
            several = ", ".join(found)
            raise KakusanError(f"{name!r} is the name of several LoRAs: {several}", f"{name!r} という LoRA が複数あります: {several}")
        if found:
            return found[0]
    return None


def _alias(file: Path) -> str:
    if file.suffix != ".safetensors":
        return ""
    with suppress(FileError):
        return SafetensorsFile(file).metadata.get("ss_output_name", "")
    return ""
