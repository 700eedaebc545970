"""The tables of this package: tab-separated text, a line a row; lines with # are remarks."""

from importlib.resources import files


def rows(name: str, columns: int) -> list[list[str]]:
    """The rows of `tables/name.tsv`, each with that many cells, empty ones where a line ends early."""
    text = (files(__package__) / "tables" / f"{name}.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return [(line + [""] * columns)[:columns] for line in lines]


def pairs(name: str) -> dict[str, str]:
    """A table of two columns."""
    return {cells[0]: cells[1] for cells in rows(name, 2)}
