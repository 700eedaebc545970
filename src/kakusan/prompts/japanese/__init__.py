"""Japanese prompts for models that know only English."""

from .translation import Piece as Piece
from .translation import Translation as Translation
from .translation import translate as translate
