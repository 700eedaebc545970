"""The terms that a model comes under, told once before it is first used."""

import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import KakusanError
from ..messages import tr
from .hashes import cache_file


@dataclass(frozen=True)
class Terms:
    """A licence by its name, and whether the hub asks for consent to it before it hands out the files."""

    repo: str
    licence: str
    gated: bool = False

    @property
    def binding(self) -> bool:
        """Whether whoever uses the model has to know of them: OpenRAIL licences forbid uses, gated models may."""
        return self.gated or "openrail" in self.licence.lower().replace("-", "").replace("_", "")

    def __str__(self) -> str:
        licence = self.licence or tr("terms of its own", "独自の条件")
        return tr(
            f"{self.repo} comes under {licence}: whoever uses it agrees to these terms and to the uses they forbid; see its README.md",
            f"{self.repo} のライセンスは {licence} です。使用すると、禁止用途を含むこの条件に同意したことになります (README.md を参照)",
        )


Agree = Callable[[Terms], bool]


def show_once(terms: Terms, agree: Agree | None = None) -> None:
    """Tell binding terms that were not told before, on stderr, or by `agree`. Raises KakusanError if that says no."""
    if not terms.binding or _told().get(terms.repo) == terms.licence:
        return
    if agree is None:
        print(terms, file=sys.stderr, flush=True)
    elif not agree(terms):
        raise KakusanError(f"{terms.repo}: not used without consent to its terms", f"{terms.repo}: 条件に同意されなかったため使用しません")
    _remember(terms)


def licence_in(card: Path) -> str:
    """The licence that a model card names in the block of settings at its top; empty if it names none."""
    with suppress(OSError, UnicodeDecodeError):
        block = re.match(r"---\n(.*?)\n---", card.read_text(encoding="utf-8"), re.DOTALL)
        found = re.search(r"^license:\s*[\"']?([^\"'\n]+)", block[1], re.MULTILINE) if block else None
        return found[1].strip() if found else ""
    return ""


def _told() -> dict[str, str]:
    with suppress(OSError, ValueError):
        told = json.loads(_file().read_text(encoding="utf-8"))
        return told if isinstance(told, dict) else {}
    return {}


def _remember(terms: Terms) -> None:
    """Where it cannot be noted, it is told again next time."""
    with suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        part = _file().with_suffix(".part")
        part.write_text(json.dumps({**_told(), terms.repo: terms.licence}, indent=1), encoding="utf-8")
        part.replace(_file())


def _file() -> Path:
    return cache_file().with_name("licences.json")
