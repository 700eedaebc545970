"""Which files of a repository on the hub are worth fetching: what our readers open, each thing once, nothing that runs."""

import re
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import NoReturn

from ..errors import KakusanError
from ..prompts.sentencepieces import NAMES
from .weights import USUAL_VARIANT, names_of

FOLDERS = (
    *("unet", "vae", "text_encoder", "tokenizer", "scheduler", "low_res_scheduler", "image_encoder", "depth_estimator"),
    *("feature_extractor", "safety_checker"),
)
STEMS = ("diffusion_pytorch_model", "model", "text_projection")
SINGLE = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
SETTINGS = (".json", ".txt", *NAMES.values())
ABOUT = ("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt")
MORE = ("model_index.json", "kakusan.json")


def chosen(
    repo: str, names: Collection[str], *, file: str | None = None, subfolder: str | None = None, variant: str | None = None
) -> list[str]:
    """The files to fetch out of all that a repository has.

    file: that one alone, with the .yaml beside it. subfolder: one part of a model. Otherwise a whole model in folders, or one network
    in a folder, or the one single file that there is. variant: as `read_folder` has it.
    Raises KakusanError if what is asked for is not there, or if it is unclear what is meant.
    """
    names = {name for name in names if _safe(name)}
    if file is not None:
        found = _single(repo, names, file)
    elif subfolder is not None:
        found = _part(names, subfolder.strip("/") + "/", variant)
        if not found:
            _refuse(repo, f"has no folder {subfolder!r} that kakusan reads", f"には {subfolder!r} という読めるフォルダーがありません")
    elif "model_index.json" in names:
        found = [*(name for name in MORE if name in names), *(name for folder in FOLDERS for name in _part(names, f"{folder}/", variant))]
    elif "config.json" in names:
        found = _part(names, "", variant)
    else:
        found = _single(repo, names, _only(repo, names))
    if variant is not None and file is None:
        _check_variant(repo, found, variant)
    return [*found, *(name for name in ABOUT if name in names and name not in found)]


def _part(names: Collection[str], folder: str, variant: str | None) -> list[str]:
    """One network's settings and weights, or a tokenizer's or schedule's settings: what lies right in a folder."""
    here = {name.removeprefix(folder) for name in names if name.startswith(folder) and "/" not in name.removeprefix(folder)}
    settings = sorted(name for name in here if name.endswith(SETTINGS) and ".index." not in name and name not in ABOUT)
    return [folder + name for name in (*settings, *(name for stem in STEMS for name in _weights(here, stem, variant)))]


def _weights(here: Collection[str], stem: str, variant: str | None) -> list[str]:
    """The weights called `stem` that `open_weights` would open; of shards, the index and each of them."""
    for mark in (variant, None, USUAL_VARIANT):
        for name in names_of(stem, mark):
            if name in here:
                return [name, *_shards(here, name, mark)] if name.endswith(".json") else [name]
    return []


def _shards(here: Collection[str], index: str, variant: str | None) -> Iterator[str]:
    stem, kind = index.split(".")[:2]
    mark = f"\\.{re.escape(variant)}" if variant else ""
    shard = re.compile(rf"{re.escape(stem)}({mark}-\d+-of-\d+|-\d+-of-\d+{mark})\.{kind}")
    return (name for name in sorted(here) if shard.fullmatch(name))


def _single(repo: str, names: Collection[str], file: str) -> list[str]:
    if file not in names or not file.endswith((*SINGLE, ".yaml", ".yml")):
        near = ", ".join(sorted(name for name in names if name.endswith(SINGLE))[:8])
        more_en, more_ja = (f"; it has {near}", f"。あるのは {near}") if near else ("", "")
        _refuse(repo, f"has no model file {file!r}{more_en}", f"に {file!r} というモデルファイルはありません{more_ja}")
    config = str(PurePosixPath(file).with_suffix(".yaml"))
    return [file] if config == file or config not in names else [file, config]


def _only(repo: str, names: Collection[str]) -> str:
    """The one single file of a repository; safetensors go before the others."""
    for endings in ((".safetensors",), SINGLE):
        files = sorted(name for name in names if name.endswith(endings))
        if len(files) == 1:
            return files[0]
        if files:
            shown = ", ".join(files[:8]) + (", ..." if len(files) > 8 else "")
            _refuse(
                repo,
                f"has several models; name one as {repo}/FILE: {shown}",
                f"にはモデルが複数あります。{repo}/ファイル名 の形で選んでください: {shown}",
            )
    _refuse(repo, "holds no model that kakusan reads", "には読み込めるモデルがありません")


def _check_variant(repo: str, found: Collection[str], variant: str) -> None:
    if not any(f".{variant}." in name or f".{variant}-" in name for name in found):
        _refuse(
            repo,
            f"has no weights of the variant {variant!r}; leave it out",
            f"にバリアント {variant!r} の重みはありません。指定を外してください",
        )


def _safe(name: str) -> bool:
    """Whether a name out of a listing stays within the folder that it is fetched into."""
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and ":" not in name and not any(part in ("", ".", "..") for part in parts)


def _refuse(repo: str, en: str, ja: str) -> NoReturn:
    raise KakusanError(f"{repo} {en}", f"{repo} {ja}")
