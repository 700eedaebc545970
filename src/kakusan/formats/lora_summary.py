"""What can be told of a LoRA or a learnt word without a model, and without reading a number of it."""

from collections import Counter
from dataclasses import dataclass

from . import embedding
from .lora import CROSS, FAMILIES
from .lora_names import role
from .source import FLOATS, Source

SPELLINGS = (("lora_unet_", "kohya"), ("lora_te", "kohya"), (".lora_A.", "PEFT"), ("hada_", "kohya"), ("lokr_", "kohya"))


@dataclass(frozen=True)
class LoraSummary:
    """family: "Stable Diffusion 1" and so on, "" if no layer tells. names: whose they are. form: LoRA, LoHa, LoKr, full; and DoRA.

    ranks: with how many layers have them, the most frequent first. layers: by network.
    """

    family: str
    names: str
    form: str
    ranks: dict[int, int]
    layers: dict[str, int]


def lora_summary(source: Source) -> LoraSummary | None:
    """Of an open file; None if none of its tensors has a name of a LoRA's."""
    roles = {name: found for name in source.tensors if (found := role(name))}
    if not roles:
        return None
    layers = Counter("text" if _is_text(stem) else "unet" for stem in dict.fromkeys(stem for stem, _ in roles.values()))
    low = (source.tensors[name].shape for name, (_, word) in roles.items() if word in ("down", "hada_w1_b"))
    ranks = Counter(shape[0] for shape in low if len(shape) >= 2)
    words = {word for _, word in roles.values()}
    forms = (("LoHa", "hada_w1_a"), ("LoKr", "lokr_w1"), ("LoKr", "lokr_w1_a"), ("full", "diff"), ("LoRA", "down"))
    form = next((form for form, word in forms if word in words), "LoRA") + (", DoRA" if words & {"dora", "magnitude"} else "")
    names = next((whose for part, whose in SPELLINGS if any(part in name for name in roles)), "diffusers")
    return LoraSummary(_family(source, roles), names, form, dict(ranks.most_common()), dict(layers))


def embedding_summary(source: Source) -> tuple[int, int, str] | None:
    """Vectors, width and family ("" if unknown) of a learnt word; None if the file holds anything else."""
    found = [(name.removeprefix("string_to_param."), one.shape) for name, one in source.tensors.items() if one.dtype in FLOATS]
    if len(found) != 1 or len(found[0][1]) not in (1, 2) or 0 in found[0][1]:
        return None
    name, shape = found[0]
    count, family = (shape[0] if len(shape) == 2 else 1), embedding.FAMILIES.get(shape[-1], "")
    known = count <= embedding.MOST_VECTORS and (family or name in embedding.PLACEHOLDERS)
    return (count, shape[-1], family) if known else None


def _is_text(stem: str) -> bool:
    return stem.startswith("lora_te") or "text_model" in stem or stem.startswith("text_encoder")


def _family(source: Source, roles: dict[str, tuple[str, str]]) -> str:
    for name, (stem, word) in roles.items():
        shape = source.tensors[name].shape
        if word in ("down", "hada_w1_b") and CROSS.search(stem) and len(shape) >= 2 and shape[1] in FAMILIES:
            return FAMILIES[shape[1]]
    return ""
