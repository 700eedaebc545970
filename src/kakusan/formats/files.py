"""A file of tensors, opened by what is in it: its name says nothing."""

from pathlib import Path
from typing import NoReturn

from ..errors import FileError
from .safetensors import SafetensorsFile
from .source import Source

ZIP = b"PK\x03\x04"
PICKLE = b"\x80"  # the files of torch before 1.6 are a row of pickles
OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive, which no program of this kind writes", "7-Zip の書庫です。モデルの形式ではありません"),
    (b"Rar!", "a RAR archive; unpack it first", "RAR の書庫です。先に展開してください"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first", "gzip で圧縮されています。先に展開してください"),
    (
        b"version https://git-lfs",
        "only the pointer to a file that Git LFS keeps elsewhere; fetch it with `git lfs pull`",
        "Git LFS のポインターだけで、中身がありません。`git lfs pull` で取得してください",
    ),
    (b"GGUF", "a GGUF file; give the model as safetensors or ckpt", "GGUF ファイルです。safetensors か ckpt を使ってください"),
    (b"PK\x05\x06", "an empty zip archive", "空の zip です"),
    (b"\x89PNG", "a picture", "画像です"),
    (b"\xff\xd8\xff", "a picture", "画像です"),
)
LONGEST = 1 << 27  # of a header that a file of another kind could pass for; the library's own limit is lower


def open_file(path: str | Path) -> Source:
    """The tensors of a safetensors file or of a file that torch saved (.ckpt, .pt, .bin, .pth), none of them read.

    Raises FileError, in one line, on anything else: a web page, an archive, an empty file, a folder, nothing at all.
    """
    path = Path(path)
    start = _start(path)
    if _is_safetensors(path, start):  # first: its length may begin like a pickle
        return SafetensorsFile(path)
    if start.startswith((ZIP, PICKLE)):
        from .ckpt import CkptFile

        return CkptFile(path)
    for magic, en, ja in OTHERS:
        if start.startswith(magic):
            _refuse(path, f"is {en}", f"は{ja}")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        _refuse(path, "is a web page, not a model; download it again", "はモデルではなく Web ページです。もう一度ダウンロードしてください")
    _refuse(path, "is neither a safetensors file nor one that torch saved", "は safetensors でも torch の保存ファイルでもありません")


def _start(path: Path) -> bytes:
    """The first bytes of a file that has some."""
    if path.is_dir():
        _refuse(path, "is a folder, not a file", "はファイルではなくフォルダーです")
    try:
        with path.open("rb") as file:
            start = file.read(256)
    except FileNotFoundError:
        _refuse(path, "is not there", "がありません")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        _refuse(path, f"cannot be read ({reason})", f"を読み込めません ({reason})")
    if not start:
        _refuse(path, "is empty; download it again", "は空です。もう一度ダウンロードしてください")
    return start


def _is_safetensors(path: Path, start: bytes) -> bool:
    """Whether it begins like one, or at least is called one: then the library says what is wrong with it."""
    text = start[8:].lstrip(b" ")
    return text.startswith(b"{") or (path.suffix == ".safetensors" and int.from_bytes(start[:8], "little") < LONGEST)


def _refuse(path: Path, en: str, ja: str) -> NoReturn:
    raise FileError(f"{path}: {en}", f"{path}: {ja}")
