"""What a command line needs of a reference script: it is made ready first, then draws step by step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...images import DRAWN

if TYPE_CHECKING:
    from ...pipeline import Step
    from ...safety.afterwards import Afterwards


@dataclass(frozen=True)
class Ready:
    """A run that only has to be driven. columns: of the grid; notes: what to tell the user before.

    after: what is done to every picture before it is saved; source: what its file says of where it comes from.
    """

    pictures: int
    columns: int
    notes: list[str]
    steps: "Iterator[Step]"
    after: "Afterwards"
    source: str = DRAWN
