"""Prompts: what they say (`read`), and the tokens of it."""

from . import a1111, comfyui, compel
from .prompt import Dialect, Prompt, literal
from .timelines import Steps


def read(
    text: str,
    dialect: Dialect,
    steps: int,
    *,
    hires_steps: int | None = None,
    old_timelines: bool = False,
    negative: bool = False,
    weights: bool = True,
) -> Prompt:
    """What a prompt says. Nothing is an error: what no rule fits is text.

    steps: the evaluations that stages are counted in, of the first pass where there are two; hires_steps: those of the second, when
    the prompt is read for that. old_timelines: stages as AUTOMATIC1111's web UI before 1.6 counted them. negative: of a negative
    prompt; there AUTOMATIC1111 knows neither AND nor tags. weights: whether brackets are anything but text; where they are not,
    neither is BREAK.
    """
    if dialect == "plain" or (dialect != "a1111" and not weights):
        return literal(text)
    if dialect == "comfyui":
        return comfyui.read(text)
    if dialect == "compel":
        return compel.read(text)
    if hires_steps is None or old_timelines:
        return a1111.read(text, Steps(steps, old=old_timelines), negative, weights)
    return a1111.read(text, Steps(hires_steps, before=steps, second=True), negative, weights)
