"""What a picture remembers of how it was made: our own complete record, and what other programs write into their files.

`reading.remembered(path)` reads all of it; `record.Record` is what kakusan writes.
"""

from .reading import Memory, remembered

__all__ = ["Memory", "remembered"]
