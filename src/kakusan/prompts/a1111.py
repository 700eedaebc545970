"""Prompts in AUTOMATIC1111's grammar: comments, tags, AND with weights, stages, weights of words."""

import re
from functools import cache

from . import tags
from .attention import pieces
from .prompt import Part, Piece, Prompt, Stage
from .timelines import Steps, stages

AND = re.compile(r"\bAND\b")
WEIGHT = re.compile(r"\s*([-+]?(?:\d+\.?|\d*\.\d+))")


def read(text: str, steps: Steps, negative: bool, weights: bool = True) -> Prompt:
    """A prompt, or a negative one, in which "AND", a weight at the end and tags are text. weights: whether brackets are not text."""
    text = tags.without_comments(text)
    if negative:
        return Prompt((_part(text, 1.0, steps, weights),))
    text, found = tags.taken(text)
    return Prompt(tuple(_part(*_weighed(part), steps, weights) for part in AND.split(text)), found)


def _weighed(part: str) -> tuple[str, float]:
    """A part of a prompt without the weight that it may end in, ": 1.5", and that weight."""
    part = part.rstrip()
    words, colon, end = part.rpartition(":")
    if colon and (weight := WEIGHT.fullmatch(end)):
        return words.rstrip(), float(weight[1])
    return part, 1.0


def _part(text: str, weight: float, steps: Steps, weights: bool) -> Part:
    found = stages(text, steps)
    read_once = cache(pieces if weights else _literal)
    until = [*(end for end, _ in found[:-1]), None]
    return Part(tuple(Stage(read_once(words), end) for end, (_, words) in zip(until, found, strict=True)), weight)


def _literal(words: str) -> tuple[Piece, ...]:
    return (Piece(words),)
