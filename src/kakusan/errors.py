"""What goes wrong, as the user is told: one line that says what, where, and what to do."""


class KakusanError(ValueError):
    """A request that cannot be carried out as it was made; the message is one line for the user."""

    exit_code = 2


class FileError(KakusanError):
    """A file or folder that cannot be read or written, or does not hold what it should."""

    exit_code = 3
