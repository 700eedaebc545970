"""What goes wrong, as the user is told: one line that says what, where, and what to do, in both languages."""

from .messages import tr


class KakusanError(ValueError):
    """A request that cannot be carried out as it was made: `raise KakusanError("steps is 0; ...", "steps が 0 です。...")`."""

    exit_code = 2

    def __init__(self, en: str, ja: str):
        super().__init__(en, ja)
        self.en, self.ja = en, ja

    def __str__(self) -> str:
        return tr(self.en, self.ja)


class FileError(KakusanError):
    """A file or folder that cannot be read or written, or does not hold what it should."""

    exit_code = 3
