"""AUTOMATIC1111's line of settings taken apart, in time that grows with its length and no faster."""

import json

from ..tasks.recipe import SETTING


def settings_of(line: str) -> dict[str, str]:
    """Keys and values, values in quotation marks taken out of them."""
    return {key.strip(): unquoted(value.strip()) for key, value in SETTING.findall(line)}


def unquoted(value: str) -> str:
    """A value as it was before it was written as JSON."""
    if not (len(value) > 1 and value.startswith('"') and value.endswith('"')):
        return value
    try:
        text = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return text if isinstance(text, str) else value
