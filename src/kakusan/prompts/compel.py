"""Prompts in Compel's grammar, InvokeAI's."""

from .prompt import Prompt, literal


def read(text: str) -> Prompt:
    """A prompt."""
    return literal(text)
