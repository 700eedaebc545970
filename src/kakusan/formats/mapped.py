"""A file in memory by map, whose pages are let go with the tensors that were made of them."""

import mmap
import os
import stat
import weakref
from pathlib import Path

from ..errors import FileError

PAGE = mmap.PAGESIZE
CAN_LET_GO = hasattr(mmap, "MADV_DONTNEED") and hasattr(os, "pread")


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
            self._opened = _Opened(file)
            self.data = mmap.mmap(self._opened.descriptor, 0, access=mmap.ACCESS_COPY)
        except OSError as error:
            raise FileError(f"{file}: cannot be read ({error.strerror})", f"{file}: 読み込めません ({error.strerror})") from error

    def stretch(self, start: int, size: int) -> memoryview:
        """The bytes from `start` on: the same view as long as anything holds it, then its pages leave memory.

        What is written to it is seen by all who hold it, and gone when they let go. Stretches that overlap in part may be in use
        at the same time only if none is written to.
        """
        view = self._views.get((start, size))
        if view is None:
            with memoryview(self.data) as everything:
                view = self._views[start, size] = everything[start : start + size]
            if CAN_LET_GO:
                weakref.finalize(view, _let_go, self._opened, self.data, start, start + size).atexit = False
        return view


class _Opened:
    """A file open for reading until nobody needs it any more."""

    def __init__(self, file: Path):
        self.descriptor = os.open(str(file), os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


def _let_go(opened: _Opened, data: mmap.mmap, start: int, end: int) -> None:
    """Drop the pages of a stretch; in those at its edges, which others use too, undo what was written."""
    first, last = -(-start // PAGE) * PAGE, end // PAGE * PAGE
    if first < last:
        data.madvise(mmap.MADV_DONTNEED, first, last - first)
    for a, b in ((start, first), (last, end)) if first <= last else ((start, end),):
        stored = os.pread(opened.descriptor, b - a, a)
        if data[a:b] != stored and len(stored) == b - a:
            data[a:b] = stored
