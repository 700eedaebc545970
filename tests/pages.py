"""What a page of documentation holds: its blocks of code, the commands in its text, its links."""

import re
from pathlib import Path
from urllib.parse import unquote

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
TEXT = re.compile(r'"[^"\n]*"')


def blocks(page: Path, language: str | None = None) -> list[str]:
    """Its fenced blocks, of one language or all."""
    return [code for kind, code in FENCE.findall(page.read_text(encoding="utf-8")) if language in (None, kind)]


def inline(page: Path) -> list[str]:
    """What stands between backquotes in its text."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text(encoding="utf-8")))


def dead_links(page: Path) -> list[str]:
    """Links to files that are not there, or to headings that no page has."""
    links = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8")))
    return [link for link in links if "://" not in link and not _leads_somewhere(page, link)]


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, heading = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not heading or unquote(heading) in _headings(target))


def _headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def same_code(english: str, japanese: str) -> bool:
    """Whether two blocks are one but for comments and for texts that are Japanese in the second."""
    one, two = (re.sub(r" *#.*", "", block) for block in (english, japanese))
    texts = zip(TEXT.findall(one), TEXT.findall(two), strict=False)
    return TEXT.sub('""', one) == TEXT.sub('""', two) and all(a == b or not b.isascii() for a, b in texts)
