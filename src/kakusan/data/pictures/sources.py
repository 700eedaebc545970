"""Where the drawings come from: four icon packages with open licences, fetched once, for training only.

A drawing is found by its Unicode code points in hexadecimal, joined by "-", without the variation selector ("1f34e").
"""

import io
import json
import subprocess
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ...errors import FileError

RENDER_SIZE = 256  # pixels; twice what is kept, so that cropping costs no sharpness


@dataclass(frozen=True)
class Source:
    """One package of drawings: `kind` "files" has one file a drawing, "iconify" all of them in one JSON file."""

    rendering: str  # what we call its manner of drawing
    package: str
    version: str
    kind: str
    licence: str
    author: str

    @property
    def archive(self) -> str:
        """The file name `npm pack` gives the package."""
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


SOURCES = (
    Source("3d", "@lobehub/fluent-emoji-3d", "1.1.0", "files", "MIT", "Fluent Emoji, Microsoft Corporation; packaged by LobeHub"),
    Source("glossy", "@lobehub/fluent-emoji-modern", "1.0.0", "files", "MIT", "Fluent Emoji, Microsoft Corporation; packaged by LobeHub"),
    Source(
        "flat", "@iconify-json/fluent-emoji-flat", "1.2.6", "iconify", "MIT", "Fluent Emoji, Microsoft Corporation; packaged by Iconify"
    ),
    Source("cartoon", "@iconify-json/noto", "1.2.9", "iconify", "Apache-2.0", "Noto Emoji, Google Inc; packaged by Iconify"),
)
RENDERINGS = tuple(source.rendering for source in SOURCES)


def fetch(destination: Path) -> list[Path]:
    """The packages' archives in a folder, downloaded by `npm pack` where they are not there yet (41 MB in all).

    Raises FileError when npm is missing or fails.
    """
    destination.mkdir(parents=True, exist_ok=True)
    paths = [destination / source.archive for source in SOURCES]
    for source, path in zip(SOURCES, paths, strict=True):
        if not path.exists():
            npm_pack(f"{source.package}@{source.version}", destination)
    return paths


def npm_pack(package: str, destination: Path) -> None:
    """Download one package's archive into a folder."""
    try:
        subprocess.run(["npm", "pack", "--loglevel=error", package], cwd=destination, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise FileError(
            f"{destination}: npm is needed to fetch {package}; install Node.js, or put the archive there by hand",
            f"{destination}: {package} の取得には npm が必要です。Node.js を入れるか、アーカイブをここに置いてください",
        ) from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "").strip().splitlines()[:1] or ["?"]
        raise FileError(
            f"{destination}: npm could not fetch {package} ({reason[0]}); check the network, or put the archive there by hand",
            f"{destination}: npm で {package} を取得できません ({reason[0]})。接続を確かめるか、アーカイブをここに置いてください",
        ) from error


def drawings(source: Source, archive: Path, code_points: Collection[str]) -> dict[str, Image.Image]:
    """Each wanted drawing of a package by its code points: RGBA, RENDER_SIZE square. What a package lacks is left out."""
    try:
        with tarfile.open(archive) as tar:
            read = files if source.kind == "files" else iconify
            found = read(tar, set(code_points))
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise FileError(
            f"{archive}: cannot be read as {source.package} {source.version} ({error}); delete it and fetch it again",
            f"{archive}: {source.package} {source.version} として読めません ({error})。削除して取得し直してください",
        ) from error
    return {points: rasterise(data) for points, data in found.items()}


def files(tar: tarfile.TarFile, wanted: set[str]) -> dict[str, bytes]:
    """The files of a package that holds one picture file for each drawing, named by its code points."""
    found = {}
    for member in tar.getmembers():
        name = member.name.rpartition("/")[2]
        points = plain(name.rpartition(".")[0])
        if points in wanted and name.endswith((".webp", ".svg")) and (stream := tar.extractfile(member)):
            found[points] = stream.read()
    return found


def iconify(tar: tarfile.TarFile, wanted: set[str]) -> dict[str, bytes]:
    """SVG files made from an Iconify package: chars.json says which name a code point has, icons.json the shapes of a name."""
    icons, names = member_json(tar, "package/icons.json"), member_json(tar, "package/chars.json")
    found = {}
    for points, name in names.items():
        if plain(points) in wanted:
            name = icons.get("aliases", {}).get(name, {}).get("parent", name)
            found[plain(points)] = svg(icons["icons"][name], icons)
    return found


def svg(icon: Mapping[str, Any], defaults: Mapping[str, Any]) -> bytes:
    """One Iconify shape as an SVG file."""
    width, height = (icon.get(side, defaults.get(side, 16)) for side in ("width", "height"))
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {space} viewBox="0 0 {width} {height}" width="{width}" height="{height}">{icon["body"]}</svg>'.encode()


def rasterise(data: bytes) -> Image.Image:
    """A WebP or SVG file as an RGBA picture, RENDER_SIZE square."""
    if data[:4] == b"RIFF":
        return Image.open(io.BytesIO(data)).convert("RGBA").resize((RENDER_SIZE, RENDER_SIZE), Image.Resampling.LANCZOS)
    import resvg_py  # only this function needs the extra `pictures`

    png = resvg_py.svg_to_bytes(svg_string=data.decode(), width=RENDER_SIZE, height=RENDER_SIZE)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def member_json(tar: tarfile.TarFile, name: str) -> Any:
    """A JSON file inside an archive. Raises KeyError when it is missing."""
    stream = tar.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return json.load(stream)


def plain(points: str) -> str:
    """Code points in lower case without the variation selector, which packages write or leave out at will."""
    return "-".join(part for part in points.lower().split("-") if part != "fe0f")
