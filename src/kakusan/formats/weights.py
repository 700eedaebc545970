"""Where a folder's weights lie: in safetensors or torch's .bin, whole or in shards that an index names, as they are or in a variant.

NAME.safetensors           NAME.safetensors.index.json           and, where there are none of these, the same with .bin
NAME.fp16.safetensors      NAME.safetensors.index.fp16.json      the variant "fp16": what it is called is up to who uploads it
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from torch import Tensor

from ..errors import FileError
from .fields import read_json
from .files import open_file
from .source import Source, Stored, refuse

BIN_STEMS = {"model": "pytorch_model"}  # transformers has another name for its .bin
USUAL_VARIANT = "fp16"


def open_weights(folder: Path, stem: str, variant: str | None = None) -> Source:
    """The tensors of the file called `stem` in a folder: of the variant, else the plain ones, else those in half precision.

    Raises FileError if there is none of these, or if shards and their index contradict each other.
    """
    for mark in (variant, None, USUAL_VARIANT):
        for file in (folder / name for name in names_of(stem, mark)):
            if file.is_file():
                return _shards(file) if file.suffix == ".json" else open_file(file)
    raise _missing(folder / f"{stem}.safetensors")


def has_variant(folder: Path, stem: str, variant: str | None) -> bool:
    """Whether there are weights of just this variant; None is the plain ones."""
    return any((folder / name).is_file() for name in names_of(stem, variant))


def names_of(stem: str, variant: str | None) -> Iterator[str]:
    """What the weights called `stem` may be called in a folder, the first that is there being the one to read."""
    mark = "" if variant is None else f".{variant}"
    for kind, name in (("safetensors", stem), ("bin", BIN_STEMS.get(stem, stem))):
        yield f"{name}.{kind}.index{mark}.json"
        yield f"{name}{mark}.{kind}"


class Joined:
    """The tensors of several files that belong together, in one `Source`. file: what errors name that are about no one tensor."""

    def __init__(self, file: Path, sources: Collection[Source]):
        self.file = file
        self.metadata: Mapping[str, str] = {}
        self._homes = {name: source for source in sources for name in source.tensors}
        self.tensors: Mapping[str, Stored] = {name: source.tensors[name] for name, source in self._homes.items()}

    def read(self, name: str) -> Tensor:
        """See `Source`."""
        return self._homes[name].read(name)

    def home(self, name: str) -> Path:
        """See `Source`."""
        return self._homes[name].home(name)


def _shards(index: Path) -> Source:
    """The tensors in the files that an index names; nothing may be in them that it does not list."""
    shards = []
    for file, listed in _listed(index).items():
        if not file.is_file():
            raise _missing(file)
        shard = open_file(file)
        for name in sorted(listed - shard.tensors.keys()):
            refuse(file, name, "is missing, though the index promises it", "がありません (索引には載っています)")
        for name in sorted(shard.tensors.keys() - listed):
            refuse(file, name, "is not in the index", "が索引に載っていません")
        shards.append(shard)
    return Joined(index, shards)


def _listed(index: Path) -> dict[Path, set[str]]:
    """Each shard, with the names an index promises in it."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise FileError(f'{index}: "weight_map" is missing or empty', f'{index}: "weight_map" がないか空です')
    shards: dict[Path, set[str]] = {}
    for name, file in weight_map.items():
        if not isinstance(file, str) or Path(file).name != file:
            refuse(
                index, name, f"is in {file!r}, which is no file beside the index", f"の {file!r} は索引と同じ場所のファイル名ではありません"
            )
        shards.setdefault(index.parent / file, set()).add(name)
    return shards


def _missing(file: Path) -> FileError:
    return FileError(f"{file}: the file is missing", f"{file}: ファイルがありません")
