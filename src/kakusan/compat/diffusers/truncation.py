"""Saying which words of a prompt the text encoder has no room for."""

import logging

from ...messages import tr
from .tokenizer import CLIPTokenizer

log = logging.getLogger("kakusan")


def say_what_is_cut(tokenizer: CLIPTokenizer, texts: list[str], length: int) -> None:
    """A warning with the words beyond `length` tokens, start and end counted."""
    for text in texts:
        ids = tokenizer(text).input_ids
        if len(ids) > length:
            rest = tokenizer.decode(ids[length - 1 : -1])
            log.warning(
                tr(f"the text encoder reads {length} tokens; left out: {rest}", f"読めるのは {length} トークンまでです。省いた部分: {rest}")
            )
