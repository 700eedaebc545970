"""The sprite pack: every drawing of every concept, cut out, of one size, in one small file. Made once, used only by training.

p sprites; a sprite touches the bottom of its square and is centred from left to right, so that things stand on the ground.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import FileError
from .concepts import CONCEPTS, Concept
from .sources import SOURCES, drawings, fetch

PIXELS = 128
VERSION = 1
FOLDER = Path("build/pictures")

Sprites = dict[tuple[str, str], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Pack:
    """Sprites (PIXELS PIXELS 4, RGBA, not premultiplied) by concept and rendering."""

    sprites: Mapping[tuple[str, str], npt.NDArray[np.uint8]]


def make_pack(folder: Path = FOLDER, archives: Path | None = None) -> Path:
    """Write folder/sprites.npz from the packages' archives, which are downloaded where they are missing; returns its path.

    archives: a folder that holds the archives already, or shall hold them (default: folder/archives).
    """
    cut: Sprites = {}
    for source, archive in zip(SOURCES, fetch(archives or folder / "archives"), strict=True):
        found = drawings(source, archive, {concept.points for concept in CONCEPTS})
        cut.update({(concept.name, source.rendering): cut_out(found[concept.points]) for concept in CONCEPTS if concept.points in found})
    path = folder / "sprites.npz"
    save_pack(Pack(in_table_order(cut, CONCEPTS)), path)
    return path


def save_pack(pack: Pack, path: Path) -> None:
    """One .npz file: a lossless WebP strip of all sprites and a JSON list of their names. Written whole or not at all."""
    strip = np.concatenate(list(pack.sprites.values()))  # p*PIXELS PIXELS 4
    columns = -(-len(strip) // 16000)  # a WebP picture is at most 16383 pixels high
    rows = -(-len(pack.sprites) // columns)
    padding = np.zeros((rows * columns * PIXELS - len(strip), PIXELS, 4), np.uint8)
    sheet = np.concatenate(np.split(np.concatenate([strip, padding]), columns), axis=1)
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "WEBP", lossless=True, quality=100, method=4)
    names = json.dumps({"version": VERSION, "sprites": list(pack.sprites)}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as stream:
        np.savez(stream, sheet=np.frombuffer(file.getvalue(), np.uint8), names=np.frombuffer(names, np.uint8))
    temporary.replace(path)


def load_pack(path: Path = FOLDER / "sprites.npz") -> Pack:
    """Read a pack. Raises FileError when it is missing, damaged or of another version."""
    try:
        with np.load(path) as stored:
            names = json.loads(stored["names"].tobytes())
            sheet = np.asarray(Image.open(io.BytesIO(stored["sheet"].tobytes())).convert("RGBA"))
    except FileNotFoundError as error:
        raise FileError(
            f"{path}: there is no sprite pack; `kakusan pictures` makes it",
            f"{path}: スプライトの束がありません。`kakusan pictures` で作れます",
        ) from error
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise FileError(
            f"{path}: not a readable sprite pack ({error}); make it again with `kakusan pictures`",
            f"{path}: スプライトの束として読めません ({error})。`kakusan pictures` で作り直してください",
        ) from error
    if names["version"] != VERSION:
        raise FileError(
            f"{path}: sprite pack of version {names['version']}, this program reads {VERSION}; make it again with `kakusan pictures`",
            f"{path}: スプライトの束の版が {names['version']} です (必要な版は {VERSION})。`kakusan pictures` で作り直してください",
        )
    columns = np.split(sheet, sheet.shape[1] // PIXELS, axis=1)
    squares = np.concatenate(columns).reshape(-1, PIXELS, PIXELS, 4)
    return Pack({(concept, rendering): square for (concept, rendering), square in zip(names["sprites"], squares, strict=False)})


def cut_out(drawing: Image.Image, faint: int = 20) -> npt.NDArray[np.uint8]:
    """A drawing without the space round it, resized so that its longer side is PIXELS. Alpha up to `faint` counts as space."""
    solid = drawing.getchannel("A").point(lambda alpha: 255 if alpha > faint else 0)
    drawing = drawing.crop(solid.getbbox())
    width, height = drawing.size
    side = max(width, height)
    square = Image.new("RGBA", (side, side))
    square.paste(drawing, ((side - width) // 2, side - height))
    return np.asarray(square.resize((PIXELS, PIXELS), Image.Resampling.LANCZOS))


def in_table_order(sprites: Sprites, concepts: tuple[Concept, ...]) -> Sprites:
    """The same sprites, concept by concept and rendering by rendering."""
    wanted = [(concept.name, source.rendering) for concept in concepts for source in SOURCES]
    return {name: sprites[name] for name in wanted if name in sprites}
