"""Tensors in safetensors files, in one or in shards: read by memory map, each one expected, none missing."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import FileError
from .fields import read_json, write_json

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def read_tensors(
    folder: Path,
    stem: str,
    shapes: Mapping[str, tuple[int, ...]],
    modern: Callable[[str], str | None] = lambda name: name,
    *,
    dtype: torch.dtype | None = None,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """The tensors named in `shapes`, from `stem`.safetensors in the folder or from the shards its index names.

    modern: today's name of a stored tensor, None for one to leave out. dtype: None for the stored one, which on a CPU leaves the
    tensors in the memory map. Raises FileError on a tensor that is missing, unexpected, of another shape or not of floats.
    """
    tensors: dict[str, Tensor] = {}
    files = _files(folder, stem)
    for file, listed in files.items():
        try:
            with safe_open(file, framework="pt", device=device) as stored:
                keys = list(stored.keys())
                if listed is not None:
                    _check_listed(file, set(keys), listed)
                for key in keys:
                    name = modern(key)
                    if name is None:
                        continue
                    if name in tensors or name not in shapes:
                        _refuse(file, key, "is not a tensor of this model", "はこのモデルのテンソルではありません")
                    tensors[name] = _checked(file, key, stored.get_tensor(key), shapes[name], dtype)
        except SafetensorError as error:
            reason = str(error).splitlines()[0]
            raise FileError(f"{file}: damaged or cut short ({reason})", f"{file}: 壊れているか途中で切れています ({reason})") from error
        except OSError as error:
            raise FileError(f"{file}: cannot be read ({error.strerror})", f"{file}: 読み込めません ({error.strerror})") from error
    missing = [name for name in shapes if name not in tensors]
    if missing:
        more = f" (+{len(missing) - 1})" if len(missing) > 1 else ""
        _refuse(next(iter(files)), missing[0], f"is missing{more}", f"がありません{more}")
    return tensors


def write_tensors(folder: Path, stem: str, tensors: Mapping[str, Tensor], max_shard_bytes: int) -> None:
    """`stem`.safetensors, or if that would be too large numbered shards with an index, as diffusers and transformers read them."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > max_shard_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = tensor.contiguous()
        size += tensor.nbytes
    if len(shards) == 1:
        save_file(shards[0], folder / f"{stem}.safetensors", metadata={"format": "pt"})
        return
    weight_map: dict[str, str] = {}
    for i, shard in enumerate(shards):
        file = f"{stem}-{i + 1:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    total = sum(tensor.nbytes for tensor in tensors.values())
    write_json(folder / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def _files(folder: Path, stem: str) -> dict[Path, set[str] | None]:
    """The files to read, each with the names an index promises in it. The index of shards goes before a whole file."""
    index = folder / f"{stem}.safetensors.index.json"
    if index.is_file():
        files = _shards(index)
    else:
        whole = [folder / f"{stem}.safetensors", folder / f"{stem}.fp16.safetensors"]
        files = {next((file for file in whole if file.is_file()), whole[0]): None}
    for file in files:
        if not file.is_file():
            raise FileError(f"{file}: the file is missing", f"{file}: ファイルがありません")
    return files


def _shards(index: Path) -> dict[Path, set[str] | None]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise FileError(f'{index}: "weight_map" is missing or empty', f'{index}: "weight_map" がないか空です')
    shards: dict[Path, set[str]] = {}
    for name, file in weight_map.items():
        if not isinstance(file, str) or Path(file).name != file:
            _refuse(
                index, name, f"is in {file!r}, which is no file beside the index", f"の {file!r} は索引と同じ場所のファイル名ではありません"
            )
        shards.setdefault(index.parent / file, set()).add(name)
    return {**shards}


def _check_listed(file: Path, keys: set[str], listed: set[str]) -> None:
    for name in sorted(listed - keys):
        _refuse(file, name, "is missing, though the index promises it", "がありません (索引には載っています)")
    for name in sorted(keys - listed):
        _refuse(file, name, "is not in the index", "が索引に載っていません")


def _checked(file: Path, key: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None) -> Tensor:
    if tuple(tensor.shape) != tuple(shape):
        found, wanted = list(tensor.shape), list(shape)
        _refuse(file, key, f"has shape {found} instead of {wanted}", f"の形は {found} ですが {wanted} のはずです")
    if tensor.dtype not in FLOATS:
        kind = str(tensor.dtype).removeprefix("torch.")
        _refuse(file, key, f"holds {kind} numbers, not floating-point ones", f"は浮動小数点数ではなく {kind} です")
    return tensor if dtype is None else tensor.to(dtype)


def _refuse(file: Path, key: str, en: str, ja: str) -> NoReturn:
    shown = key if key.isprintable() else ascii(key)  # a name out of a file may hold anything, line breaks too
    raise FileError(f"{file}: {shown} {en}", f"{file}: {shown} {ja}")
