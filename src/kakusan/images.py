"""Pictures: to and from tensors, in grids, and as PNG files that say how they were made.

A tensor is 3 h w, -1 to 1; a picture is a PIL image, RGB, 0 to 255. Torch and PIL are imported where they are used.
"""

from __future__ import annotations

import errno
import math
import os
import re
import secrets
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import FileError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

NUMBERED = re.compile(r"(\d{5,})-.*\.png")


def to_pil(image: Tensor) -> Image:
    """The picture of a tensor (3 h w, -1 to 1, any floating dtype and device), rounded to the nearest of 256 levels.

    Raises ValueError if the shape is another.
    """
    from PIL import Image

    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"image has shape {tuple(image.shape)}; it must be (3, h, w)")
    levels = (image.detach().float().cpu() / 2 + 0.5).clamp(0, 1).mul(255).round()  # 3 h w
    return Image.fromarray(levels.byte().permute(1, 2, 0).contiguous().numpy())


def to_tensor(picture: Image) -> Tensor:
    """The tensor (3 h w, float32, -1 to 1) of a picture: the inverse of `to_pil`."""
    import torch

    pixels = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8)
    return pixels.reshape(picture.height, picture.width, 3).permute(2, 0, 1).float() / 127.5 - 1


def grid(pictures: Sequence[Image], columns: int | None = None) -> Image:
    """All pictures on one, row by row on black, as nearly square as their number allows, or `columns` wide.

    Raises ValueError if there are no pictures or no columns.
    """
    from PIL import Image

    if not pictures or (columns is not None and columns < 1):
        raise ValueError(f"a grid of {len(pictures)} pictures in {columns} columns; both must be at least 1")
    columns = min(columns or math.ceil(math.sqrt(len(pictures))), len(pictures))
    width, height = max(p.width for p in pictures), max(p.height for p in pictures)
    sheet = Image.new("RGB", (columns * width, math.ceil(len(pictures) / columns) * height))
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % columns * width, i // columns * height))
    return sheet


def save_next(picture: Image, folder: Path, stem: str, parameters: str = "") -> Path:
    """Write a PNG under the folder's next free number, also while other processes do the same; returns its path."""
    while True:
        path = next_path(folder, stem)
        try:
            save_png(picture, path, parameters)
        except FileExistsError:
            continue
        return path


def next_path(folder: Path, stem: str) -> Path:
    """`folder/00007-<stem>.png`, numbered one more than the highest number in the folder, which need not exist."""
    try:
        numbers = [int(found[1]) for name in os.listdir(folder) if (found := NUMBERED.fullmatch(name))]
    except FileNotFoundError:
        numbers = []
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder / f"{max(numbers, default=-1) + 1:05d}-{stem}.png"


def save_png(picture: Image, path: Path, parameters: str = "") -> None:
    """Write a PNG whole or not at all, never over another file. Its folder is made if need be.

    Raises FileExistsError if the path is taken, FileError if it cannot be written.
    """
    data = png_bytes(picture, parameters)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _rename_if_free(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.parent.is_dir():
            raise
        raise _unwritable(path, error) from error


def png_bytes(picture: Image, parameters: str = "") -> bytes:
    """A picture as the bytes of a PNG file; `parameters` is the text other programs look for.

    It becomes a tEXt chunk if Latin-1 can hold it, else iTXt. Zero bytes and halves of surrogate pairs, which neither can hold,
    are left out and replaced by "?".
    """
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if parameters:
        info.add_text("parameters", parameters.replace("\0", "").encode("utf-8", "replace").decode())
    buffer = BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def parameters(path: Path) -> str:
    """The text that says how a picture was made, "" if it has none. Raises FileError if it is no picture."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.load()  # text may follow the pixels
            return str(picture.info.get("parameters", ""))
    except FileNotFoundError as error:
        raise FileError(f"{path}: no such file; check the path", f"{path}: ファイルがありません。パスを確かめてください") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FileError(f"{path}: not a picture that can be read, or damaged", f"{path}: 画像として読めないか、壊れています") from error


def check_writable(folder: Path) -> None:
    """Raise FileError unless files can be made in `folder`, or it can itself be made; writes nothing."""
    place = folder.absolute()
    try:
        while not os.path.lexists(place):
            place = place.parent
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    except (OSError, ValueError) as error:
        raise _unwritable(folder, error) from error


def _rename_if_free(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike rename, refuses to replace
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: take the name, then fill it
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        os.replace(temporary, path)


def _unwritable(path: Path, error: Exception) -> FileError:
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return FileError(
        f"{path}: cannot be written ({reason}); choose another folder",
        f"{path}: 書き込めません ({reason})。別のフォルダーを指定してください",
    )
