"""Prompts of which every combination is drawn: "a cat|with a hat|at night" is four prompts, as in AUTOMATIC1111's prompt matrix."""

import re

from ..errors import KakusanError

MOST_PARTS = 10
TOKEN = re.compile(r"\\.|[{}\[\]()|]", re.S)


def combinations(text: str) -> list[str]:
    """The first part alone, and with every choice of the others. Bars inside brackets are not meant.

    Raises KakusanError if there are more than `MOST_PARTS`.
    """
    first, *others = _parts(text)
    if len(others) > MOST_PARTS:
        raise KakusanError(
            f"{len(others)} parts behind | make {2 ** min(len(others), 60)} prompts; at most {MOST_PARTS} parts can be combined",
            f"| の後に {len(others)} 個あります。組み合わせられるのは {MOST_PARTS} 個までです",
        )
    tails = [part.strip().strip(",").strip() for part in others]
    chosen = ([tail for i, tail in enumerate(tails) if number >> i & 1] for number in range(2 ** len(tails)))
    return [", ".join([first.strip(), *some]) for some in chosen]


def _parts(text: str) -> list[str]:
    depth, bars = 0, [-1]
    for match in TOKEN.finditer(text):
        if match[0] in "{[(":
            depth += 1
        elif match[0] in "}])":
            depth = max(0, depth - 1)
        elif match[0] == "|" and not depth:
            bars.append(match.start())
    return [text[start + 1 : end] for start, end in zip(bars, [*bars[1:], len(text)], strict=True)]
