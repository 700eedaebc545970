"""A file in memory by map, whose pages are let go with the tensors that were made of them."""

import mmap
import stat
import weakref
from pathlib import Path

from ..errors import FileError

PAGE = mmap.PAGESIZE


class MappedFile:
    """One map of a whole file, writable in memory only. A map for each tensor would keep as many files open.

    Raises FileError if there is no such file, it cannot be read, or it is empty or a folder, a pipe, a device.
    """

    def __init__(self, file: Path):
        self.file = file
        self._views: weakref.WeakValueDictionary[tuple[int, int], memoryview] = weakref.WeakValueDictionary()
        try:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):  # to open a pipe could take for ever
                raise FileError(f"{file}: not an ordinary file", f"{file}: 通常のファイルではありません")
            if not status.st_size:
                raise FileError(f"{file}: empty", f"{file}: 空のファイルです")
            with file.open("rb") as stream:
                self.data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        except OSError as error:
            raise FileError(f"{file}: cannot be read ({error.strerror})", f"{file}: 読み込めません ({error.strerror})") from error

    def stretch(self, start: int, size: int) -> memoryview:
        """The bytes from `start` on, the same view as long as anything holds it; then the pages that only it covers leave memory."""
        view = self._views.get((start, size))
        if view is None:
            with memoryview(self.data) as everything:
                view = self._views[start, size] = everything[start : start + size]
            weakref.finalize(view, _let_go, self.data, start, size).atexit = False
        return view


def _let_go(data: mmap.mmap, start: int, size: int) -> None:
    first = -(-start // PAGE) * PAGE
    length = (start + size) // PAGE * PAGE - first
    if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
        data.madvise(mmap.MADV_DONTNEED, first, length)
