"""What stands in a prompt for AUTOMATIC1111's web UI and is no text: comments, and tags such as <lora:name:0.8>.

The facts are of its `modules/extra_networks.py`, `extra_networks_lora.py` and `processing_scripts/comments.py`, 1.10.
"""

import re
from itertools import count

from .prompt import Tag

TAG = re.compile(r"<(\w+):([^>]+)>")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
WEIGHED = ("lora", "lyco", "hypernet")
"""Kinds whose tags say strengths; others are taken out of the prompt as they are."""
COMMENT_LINE, COMMENT = re.compile(r"(^|\n)#[^\n]*(\n|$)"), re.compile(r"#[^\n]*(\n|$)")


def without_comments(text: str) -> str:
    """The text without what stands between a "#" and the end of its line."""
    return COMMENT.sub("\n", COMMENT_LINE.sub("\n", text))


def taken(text: str) -> tuple[str, tuple[Tag, ...]]:
    """The text without its tags, and the tags; one whose strengths are no numbers stays in the text."""
    tags: list[Tag] = []

    def found(match: re.Match[str]) -> str:
        tag = _tag(match[1], match[2].split(":"))
        if tag is None:
            return match[0]
        tags.append(tag)
        return ""

    end = text.rfind(">") + 1  # no tag ends behind it, and looking for one would take long
    return TAG.sub(found, text[:end]) + text[end:], tuple(tags)


def _tag(kind: str, words: list[str]) -> Tag | None:
    pairs = [word.split("=") for word in words]
    named = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    placed = [word for word, pair in zip(words, pairs, strict=True) if len(pair) != 2]
    name = placed[0] if placed else ""
    if kind not in WEIGHED:
        return Tag(kind, name, given=named | dict(zip(map(str, count(1)), placed[1:], strict=False)))
    for key, word in zip(("te", "unet", "dyn"), placed[1:], strict=False):
        named.setdefault(key, word)
    text = named.pop("te", "1")
    unet = named.pop("unet", text)
    if not (NUMBER.fullmatch(text.strip()) and NUMBER.fullmatch(unet.strip())):
        return None
    return Tag(kind, name, float(text), float(unet), named)
