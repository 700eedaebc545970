"""What a picture takes from files beside the model: LoRAs and learnt words; what a recipe says of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import KakusanError
from ..messages import tr
from ..prompts import read

if TYPE_CHECKING:
    from ..formats.embedding import Embeddings
    from ..formats.loras import Loras
    from .conditions import Adapters
    from .recipe import Recipe

KINDS = ("lora", "lyco")
"""Of tags in prompts; the second is what LoRAs of other forms were asked for by, once."""
NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
TAG = re.compile(rf"<lora:([^<>:]+):({NUMBER})(?::({NUMBER}))?>")
HASH = re.compile(r"\s*([^:,]+):\s*(\w+)\s*(?:,|$)")
STRONGEST = 100.0


@dataclass(frozen=True)
class Use:
    """One LoRA, and how strongly it is meant in the U-Net and in the text tower. Raises KakusanError on strengths beyond any sense."""

    name: str
    unet: float = 1.0
    text: float = 1.0

    def __post_init__(self) -> None:
        for strength in (self.unet, self.text):
            if not abs(strength) <= STRONGEST:
                raise KakusanError(
                    f"LoRA {self.name}: its strength is {strength}; it must be from -{STRONGEST:g} to {STRONGEST:g}",
                    f"LoRA {self.name} の強さが {strength} です。-{STRONGEST:g} から {STRONGEST:g} の間にしてください",
                )


@dataclass(frozen=True)
class Learnt:
    """loras: those that are asked for beside the prompt's tags. hashes: of every LoRA the picture was drawn with, by its name.

    words: the hashes of learnt words in the prompts, by name.
    """

    loras: tuple[Use, ...] = ()
    hashes: tuple[tuple[str, str], ...] = ()
    words: tuple[tuple[str, str], ...] = ()

    def settings(self) -> dict[str, str]:
        """As lines of a recipe; hashes as AUTOMATIC1111's web UI writes them, LoRAs as the tags they would be in a prompt."""
        tags = (f"<lora:{one.name}:{one.text!r}{'' if one.text == one.unet else f':{one.unet!r}'}>" for one in self.loras)
        said = {"Loras": " ".join(tags), "Lora hashes": _listed(self.hashes), "TI hashes": _listed(self.words)}
        return {key: text for key, text in said.items() if text}

    @classmethod
    def of_settings(cls, settings: Mapping[str, str]) -> "Learnt":
        """What `settings` said; what cannot be is left out."""
        tags = ((name, float(text), float(unet or text)) for name, text, unet in TAG.findall(settings.get("Loras", "")))
        loras = tuple(Use(name, unet, text) for name, text, unet in tags if max(abs(text), abs(unet)) <= STRONGEST)
        hashes, words = (tuple(HASH.findall(settings.get(key, ""))) for key in ("Lora hashes", "TI hashes"))
        return cls(loras, hashes, words)


NOTHING = Learnt()


def asked(loras: Mapping[str, float | Sequence[float]] | None) -> Learnt | None:
    """What is asked for: strengths by name, one for both or (U-Net, text tower); None if nothing is said about it.

    Raises KakusanError on what is no strength.
    """
    if loras is None:
        return None
    uses = []
    for name, given in loras.items():
        both = (given, given) if isinstance(given, int | float) else tuple(given)
        if len(both) != 2 or not all(isinstance(one, int | float) for one in both):
            raise KakusanError(
                f"LoRA {name}: its strength is {given!r}; give a number, or one for the U-Net and one for the text tower",
                f"LoRA {name} の強さが {given!r} です。数 1 つか、U-Net 用とテキスト用の 2 つを渡してください",
            )
        uses.append(Use(name, float(both[0]), float(both[1])))
    return Learnt(tuple(uses))


def uses(recipe: "Recipe") -> list[Use]:
    """Every LoRA of a picture: of its prompt's tags, and those asked for beside."""
    tags = read(recipe.prompt, recipe.wording.dialect, recipe.steps).loras
    return [*(Use(tag.name, tag.unet, tag.text) for tag in tags if tag.kind in KINDS), *recipe.learnt.loras]


def settled(recipe: "Recipe", loras: "Loras", words: "Embeddings") -> "Recipe":
    """The recipe with the hashes of all it takes from files, which are loaded now if they are not yet.

    A hash that a recipe brought along and its file has not is told of in `loras.notes`. Raises KakusanError on names that are not
    there, FileError on files that cannot be used.
    """
    found = {use.name: loras.find(use.name) for use in uses(recipe)}
    for name, said in recipe.learnt.hashes:
        own = found[name].hash if name in found else said
        if said and own and not (own.startswith(said) or said.startswith(own)):
            loras.notes.append(
                tr(
                    f"LoRA {name} is another file ({own}) than the one the picture was drawn with ({said})",
                    f"LoRA {name} は元の絵で使われたもの ({said}) と別のファイルです ({own})",
                )
            )
    hashes = tuple((name, one.hash) for name, one in found.items() if one.hash)
    read_words = tuple((one.name, one.hash) for one in words.used(*_texts(recipe)) if one.hash)
    if (hashes, read_words) == (recipe.learnt.hashes, recipe.learnt.words):
        return recipe
    return replace(recipe, learnt=replace(recipe.learnt, hashes=hashes, words=read_words))


def scales(recipe: "Recipe", loras: "Loras") -> "Adapters":
    """How much of each LoRA the networks take for this picture."""
    from .conditions import Adapters

    made = loras.scales((use.name, use.unet, use.text) for use in uses(recipe))
    return Adapters() if made is None else Adapters(made.text, made.unet)


def _texts(recipe: "Recipe") -> tuple[str, str, str]:
    return recipe.prompt, recipe.negative, recipe.second


def _listed(hashes: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name.replace(':', '').replace(',', '')}: {value}" for name, value in hashes)
