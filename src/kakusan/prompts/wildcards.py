r"""Prompts that leave something to chance: {red|green|blue}, {2$$cat|dog|fish}, and __colour__ for a line of a file colour.txt.

Chance is the seed: the same seed, the same words, whatever Python or machine. Both nest. Braces without a bar, and names when there is
no folder, are text; so are \{ and \}. The way of writing is that of the Dynamic Prompts extension.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ..errors import FileError, KakusanError

TOKEN = re.compile(r"\\[{}]|[{}|\[\]]|__\w[\w\-./]*?__")
COUNT = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?\$\$(?:([^$|{}\[\]]*)\$\$)?")
MOST = 1_000_000
"""Characters that a prompt may grow to."""


class Wildcards:
    """The files of a folder, by name: `Wildcards(folder)("a __colour__ {cat|dog}", seed)`. Without a folder names are text.

    A file has a choice a line; empty lines, and lines that begin with "#", are none. Files of folders within are "animals/cats".
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        if folder is not None and not folder.is_dir():
            raise FileError(f"{folder}: no such folder; it should hold .txt files", f"{folder}: フォルダーがありません")
        self._lines = cache(self._read)
        self._sound: set[str] = set()

    def __call__(self, text: str, seed: int, stream: str = "") -> str:
        """The prompt that the seed makes of a text. stream: another one is other chance with the same seed.

        Raises KakusanError on names without a file, on files that name each other in a circle, and on a prompt that grows without end.
        """
        self._check(text)
        chance, made, length = _Chance(seed, stream), list[str](), 0
        page = _Page(text)
        todo = [(page, 0, len(text))]  # stretches, the next one last
        while todo:
            page, start, end = todo.pop()
            place = page.next(start, end)
            made.append(page.text[start:place])
            length += place - start
            if length > MOST:
                raise KakusanError(
                    f"wildcards make this prompt longer than {MOST} characters; name fewer of them in one line",
                    f"ワイルドカードでプロンプトが {MOST} 文字を超えます。1 行に書く数を減らしてください",
                )
            if place == end:
                continue
            token = page.tokens[place]
            if token == "{" and place in page.choices:
                choice = page.choices[place]
                todo.append((page, choice.parts[-1][1] + 1, end))
                todo += reversed(_chosen(page, choice, chance))
            elif token.startswith("__") and self.folder is not None:
                line = chance.of(self._lines(token[2:-2]))
                todo += [(page, place + len(token), end), (_Page(line), 0, len(line))]
            else:
                made.append(token[1:] if token.startswith("\\") else token)
                todo.append((page, place + len(token), end))
        return "".join(made)

    def _check(self, text: str) -> None:
        """Raises KakusanError if a name has no file, or leads back to itself."""
        if self.folder is None:
            return
        ways: list[tuple[str, list[str]]] = [("", self._names([text]))]  # a name, and those in its file that are not checked yet
        while ways:
            name, left = ways[-1]
            if not left:
                self._sound.add(name)
                ways.pop()
                continue
            following = left.pop()
            way = [name for name, _ in ways]
            if following in way:
                circle = " -> ".join([*way[way.index(following) :], following])
                raise KakusanError(
                    f"wildcards go round in a circle: {circle}; take one of them out",
                    f"ワイルドカードが循環しています: {circle}。どれかを外してください",
                )
            if following not in self._sound:
                ways.append((following, self._names(self._lines(following))))
        self._sound.discard("")

    def _names(self, texts: Sequence[str]) -> list[str]:
        return [token[2:-2] for text in texts for token in TOKEN.findall(text) if token.startswith("__")]

    def _read(self, name: str) -> list[str]:
        if ".." in name.split("/"):
            raise KakusanError(
                f"__{name}__ leads out of {self.folder}; name a file in it",
                f"__{name}__ は {self.folder} の外です。中のファイルにしてください",
            )
        file = Path(self.folder or ".") / f"{name}.txt"
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise FileError(
                f"{file}: the file of __{name}__ cannot be read ({reason})", f"{file}: __{name}__ のファイルを読めません ({reason})"
            ) from error
        said = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not said:
            raise FileError(f"{file}: no line to choose from", f"{file}: 選べる行がありません")
        return said


class _Chance:
    """Numbers that a seed gives, one after the other."""

    def __init__(self, seed: int, stream: str):
        self.name, self.drawn = f"{seed} {stream}", 0

    def below(self, count: int) -> int:
        self.drawn += 1
        digest = sha256(f"{self.name} {self.drawn}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % count

    def of(self, lines: list[str]) -> str:
        return lines[self.below(len(lines))]


class _Choice(NamedTuple):
    """Braces that give a choice. parts: the stretches to choose from; so many of them, with `between` between them."""

    parts: list[tuple[int, int]]
    least: int = 1
    most: int = 1
    between: str = ", "


class _Page:
    """A text, where its tokens are, and which braces give a choice."""

    def __init__(self, text: str):
        self.text = text
        self.tokens = {match.start(): match[0] for match in TOKEN.finditer(text)}
        self.places = sorted(self.tokens)
        self.choices: dict[int, _Choice] = {}
        opened: list[list[int]] = []  # braces and square brackets, each with the places of its bars
        for place, token in self.tokens.items():
            if token in ("{", "["):
                opened.append([place])
            elif token == "|" and opened:
                opened[-1].append(place)
            elif token == "]" and opened and self.text[opened[-1][0]] == "[":
                opened.pop()
            elif token == "}":
                while opened and self.text[opened[-1][0]] == "[":
                    opened.pop()
                if opened:
                    self._close(opened.pop(), place)

    def next(self, start: int, end: int) -> int:
        """The first place from `start` on that is not just text, or `end`."""
        i = bisect_left(self.places, start)
        return min(self.places[i], end) if i < len(self.places) else end

    def _close(self, opened: list[int], place: int) -> None:
        count = COUNT.match(self.text, opened[0] + 1)
        parts = [(first + 1, last) for first, last in pairwise([*opened, place])]
        if count:
            least, most = int(count[1]), int(count[2] or count[1])
            parts[0] = (count.end(), parts[0][1])
            self.choices[opened[0]] = _Choice(parts, min(least, most), max(least, most), ", " if count[3] is None else count[3])
        elif len(parts) > 1:
            self.choices[opened[0]] = _Choice(parts)


def _chosen(page: _Page, choice: _Choice, chance: _Chance) -> list[tuple[_Page, int, int]]:
    """What a choice comes to: some of its parts, none twice, in an order of chance."""
    count = min(choice.least + chance.below(choice.most - choice.least + 1), len(choice.parts))
    left, made = list(choice.parts), list[tuple[_Page, int, int]]()
    between = _Page(choice.between)
    for i in range(count):
        at = i + chance.below(len(left) - i)
        left[i], left[at] = left[at], left[i]
        made += [(between, 0, len(choice.between))] * bool(i) + [(page, *left[i])]
    return made
