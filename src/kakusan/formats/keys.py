"""Tables of tensor names: what each format calls the weights of one network."""

from collections.abc import Iterable, Sequence

Row = tuple[str, str, str]
"""One layer (or one lone tensor) as kakusan, the original single file and the folder layout of diffusers call it."""

OURS, SINGLE, FOLDER = range(3)


def under(rows: Iterable[Row], ours: str, single: str, folder: str) -> list[Row]:
    """`rows`, each name put under the place its format keeps that block."""
    return [(f"{ours}.{a}", f"{single}.{b}", f"{folder}.{c}") for a, b, c in rows]


def renamed(names: Iterable[str], rows: Sequence[Row], column: int) -> dict[str, str]:
    """What the format in `column` calls each of our tensors: a row's name, with or without `.weight` or `.bias` after it.

    Raises KeyError if the table forgets a tensor.
    """
    table = {row[OURS]: row[column] for row in rows}
    theirs = {}
    for name in names:
        layer, _, leaf = name.rpartition(".")
        theirs[name] = table[name] if name in table else f"{table[layer]}.{leaf}"
    return theirs
