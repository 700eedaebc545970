"""Every text for the user, in English and Japanese: both are written side by side where the text is used.

The language is chosen by `speak`, else by the environment (`LC_ALL`, `LC_MESSAGES`, `LANG`).
"""

import os

LANGUAGES = ("en", "ja")

_chosen: str | None = None


def speak(language: str | None) -> None:
    """Choose "en" or "ja" for this process; None returns to the environment's language. Raises ValueError on another name."""
    global _chosen
    if language is not None and language not in LANGUAGES:
        raise ValueError(f"language {language!r} is not one of {', '.join(LANGUAGES)}")
    _chosen = language


def language() -> str:
    """The language in force: "en" or "ja"."""
    if _chosen is not None:
        return _chosen
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "ja" if value.lower().startswith("ja") else "en"
    return "en"


def tr(en: str, ja: str) -> str:
    """The one of two texts that is in the language in force."""
    return ja if language() == "ja" else en
