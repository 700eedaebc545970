"""Pictures: to and from tensors, in grids, and as files that say how they were made, and that a model made them.

PNG and WebP files keep every pixel as it is; JPEG files come close. What is said in them: the text `parameters`, as AUTOMATIC1111's
web UI writes it (in PNG as text, else as EXIF's UserComment); IPTC's DigitalSourceType, as XMP; and `record`, all of it in our own
words (`memory.record`; in PNG as the text `kakusan`, else as XMP).

A tensor is 3 h w, -1 to 1; a picture is a PIL image, RGB, 0 to 255. Torch and PIL are imported where they are used.
"""

from __future__ import annotations

import errno
import math
import os
import re
import secrets
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from .errors import FileError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

NUMBERED = re.compile(r"(\d{5,})-.*\.(png|jpg|jpeg|webp)")
Kind = Literal["png", "jpeg", "webp"]
SUFFIXES: dict[Kind, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
KINDS: dict[str, Kind] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
JPEG_QUALITY = 95

SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DRAWN = "trainedAlgorithmicMedia"  # by a model alone
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"  # by a model, from a picture
SOURCE = re.compile(r"DigitalSourceType[\s>=\"']*" + re.escape(SOURCES) + r"(\w+)")
XMP_PNG = "XML:com.adobe.xmp"
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:kakusan="urn:kakusan:record">
<xmp:CreatorTool>kakusan</xmp:CreatorTool>
{said}</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
XMP_ROOM = 65_000  # bytes of one segment of a JPEG file, which holds all of it
RECORD_PNG, RECORD_XMP = "kakusan", "kakusan:record"
EXIF, USER_COMMENT = 0x8769, 0x9286
UNICODE, ASCII, UNDEFINED = b"UNICODE\0", b"ASCII\0\0\0", b"\0" * 8


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


def save_next(
    picture: Image, folder: Path, stem: str, parameters: str = "", kind: Kind = "png", source: str = "", record: str = ""
) -> Path:
    """Write a picture under the folder's next free number, also while other processes do the same; returns its path."""
    while True:
        path = next_path(folder, stem, kind)
        try:
            save_picture(picture, path, parameters, source, record)
        except FileExistsError:
            continue
        return path


def next_path(folder: Path, stem: str, kind: Kind = "png") -> Path:
    """`folder/00007-<stem>.png`, numbered one more than the highest number in the folder, which need not exist."""
    try:
        numbers = [int(found[1]) for name in os.listdir(folder) if (found := NUMBERED.fullmatch(name))]
    except FileNotFoundError:
        numbers = []
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder / f"{max(numbers, default=-1) + 1:05d}-{stem}{SUFFIXES[kind]}"


def save_png(picture: Image, path: Path, parameters: str = "", source: str = "") -> None:
    """Write a PNG whole or not at all, never over another file; see `save_picture`."""
    save_bytes(png_bytes(picture, parameters, source), path)


def save_picture(picture: Image, path: Path, parameters: str = "", source: str = "", record: str = "") -> None:
    """Write a picture in the format that the path's ending names, whole or not at all, never over another file.

    source: `DRAWN` or `COMPOSITE`; record: see above; "" says nothing. The folder is made if need be.
    Raises FileExistsError if the path is taken, FileError if it cannot be written.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(SUFFIXES.values())
        raise FileError(f"{path}: unknown ending; pictures are saved as {known}", f"{path}: 拡張子は {known} のどれかにしてください")
    try:
        data = picture_bytes(picture, kind, parameters, source, record)
    except ValueError as error:
        raise FileError(
            f"{path}: its parameters are too long for this format ({error}); save it as PNG",
            f"{path}: 生成情報が長すぎてこの形式には入りません。PNG で保存してください",
        ) from error
    save_bytes(data, path)


def save_bytes(data: bytes, path: Path) -> None:
    """Write a file whole or not at all, never over another one; its folder is made if need be. Raises as `save_picture`."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            rename_if_free(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.parent.is_dir():
            raise
        raise _unwritable(path, error) from error


def picture_bytes(picture: Image, kind: Kind, parameters: str = "", source: str = "", record: str = "") -> bytes:
    """A picture as the bytes of a file of that kind. A JPEG file has no room for a long record: it is left out, the parameters say enough.

    Raises ValueError if the format has no room for the parameters either.
    """
    if kind == "png":
        return png_bytes(picture, parameters, source, record)
    options: dict[str, object] = {"quality": JPEG_QUALITY, "subsampling": 0} if kind == "jpeg" else {"lossless": True}
    if parameters:
        options["exif"] = _exif(_mended(parameters))
    if source or record:
        xmp = _xmp(source, record).encode()
        options["xmp"] = _xmp(source).encode() if kind == "jpeg" and len(xmp) > XMP_ROOM else xmp
    buffer = BytesIO()
    picture.convert("RGB").save(buffer, kind.upper(), **options)
    return buffer.getvalue()


def png_bytes(picture: Image, parameters: str = "", source: str = "", record: str = "") -> bytes:
    """A picture as the bytes of a PNG file; `parameters` is the text other programs look for.

    It becomes a tEXt chunk if Latin-1 can hold it, else iTXt. Zero bytes and halves of surrogate pairs, which neither can hold,
    are left out and replaced by "?".
    """
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if parameters:
        info.add_text("parameters", _mended(parameters))
    if record:
        info.add_itxt(RECORD_PNG, _mended(record))
    if source:
        info.add_itxt(XMP_PNG, _xmp(source))
    buffer = BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _xmp(source: str, record: str = "") -> str:
    said = f"<Iptc4xmpExt:DigitalSourceType>{SOURCES}{source}</Iptc4xmpExt:DigitalSourceType>\n" if source else ""
    if record:
        said += f"<{RECORD_XMP}>{escape(_mended(record), quote=False)}</{RECORD_XMP}>\n"
    return XMP.format(said=said)


def _mended(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _exif(comment: str) -> bytes:
    """An EXIF block that holds one UserComment, in UTF-16, the first byte first, as AUTOMATIC1111's web UI writes it."""
    from PIL.Image import Exif

    exif = Exif()
    exif[EXIF] = {USER_COMMENT: UNICODE + comment.encode("utf-16-be")}
    return exif.tobytes()


class Said(NamedTuple):
    """What a picture's file says of it. parameters: how it was made; source: the last word of its DigitalSourceType; "" if unsaid."""

    picture: Image
    parameters: str
    source: str


def parameters(path: Path) -> str:
    """The text that says how a picture was made, "" if it has none. Raises FileError if it is no picture."""
    return read_picture(path).parameters


def read_picture(path: Path) -> Said:
    """A picture (RGB) and what its file says of it. Raises FileError if it is no picture."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.load()  # text may follow the pixels
            xmp = picture.info.get(XMP_PNG, picture.info.get("xmp", ""))
            found = SOURCE.search(xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp))
            text = str(picture.info.get("parameters", "")) or comment_text(picture.getexif().get_ifd(EXIF).get(USER_COMMENT, b""))
            return Said(picture.convert("RGB"), text, found[1] if found else "")
    except FileNotFoundError as error:
        raise FileError(f"{path}: no such file; check the path", f"{path}: ファイルがありません。パスを確かめてください") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FileError(f"{path}: not a picture that can be read, or damaged", f"{path}: 画像として読めないか、壊れています") from error


def comment_text(value: object) -> str:
    """The text of a UserComment, whose first eight bytes name its encoding. UTF-16 is found in both orders of bytes."""
    if not isinstance(value, bytes):
        return value if isinstance(value, str) else ""
    if value.startswith(UNICODE):
        texts = [value[len(UNICODE) :].decode(order, "replace") for order in ("utf-16-be", "utf-16-le")]
        return max(texts, key=lambda text: sum(character.isascii() for character in text)).rstrip("\0")
    return value.removeprefix(ASCII).removeprefix(UNDEFINED).decode("utf-8", "replace").rstrip("\0")  # some name no encoding


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


def rename_if_free(temporary: Path, path: Path) -> None:
    """Give a finished file its name, atomically. Raises FileExistsError, and leaves both as they are, if the name is taken."""
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
