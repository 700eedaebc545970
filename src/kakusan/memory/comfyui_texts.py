"""The words of a ComfyUI graph: conditions followed to their texts, joined where they are combined."""

import re
from typing import TYPE_CHECKING

from ..messages import tr
from .json_texts import inner, real, said, whole

if TYPE_CHECKING:
    from .comfyui import Graph

DEEPEST = 40
"""So many nodes stand one behind the other."""
PASSING = ("conditioning", "positive", "conditioning_1", "")
TEXTS = ("text", "text_g", "prompt", "string", "clip_l", "t5xxl")


class Texts:
    """Reads conditions. clip_skip: the layer that texts were read at, 0 if not said; ignored: what was done to them, told."""

    def __init__(self, graph: "Graph"):
        self.graph, self.clip_skip, self.ignored = graph, 0, list[str]()

    def read(self, link: object, settings: dict[str, str], depth: int = 0) -> str:
        """The words of a condition. settings: gets a second prompt, where two are mixed."""
        node = self.graph.at(link)
        if node is None or depth > DEEPEST:
            return ""
        kind, inputs = str(node.get("class_type")), inner(node, "inputs")
        if name := next((name for name in TEXTS if name in inputs), None):
            self._clip(inputs.get("clip"))
            return said(self.graph.value(node, name)) or self._joined(inputs[name], depth)
        if kind == "ConditioningZeroOut":
            return ""
        if kind == "ConditioningAverage":
            second = self.read(inputs.get("conditioning_from"), {}, depth + 1)
            settings |= {"Second prompt": second, "Blend": repr(1 - real(self.graph.value(node, "conditioning_to_strength"), 1.0))}
            return self.read(inputs.get("conditioning_to"), {}, depth + 1)
        if kind in ("ConditioningCombine", "ConditioningConcat"):
            names = ("conditioning_1", "conditioning_2") if kind == "ConditioningCombine" else ("conditioning_to", "conditioning_from")
            parts = [self.read(inputs.get(name), settings, depth + 1) for name in names]
            self._ignore("joined conditions: drawn as one prompt", "結合された条件は 1 つのプロンプトとして描きます")
            return ", ".join(part for part in parts if part)
        if re.match(r"Conditioning|ControlNet|unCLIP|Gligen|GLIGEN", kind):
            self._ignore(f"{kind[:60]} cannot be honoured", f"{kind[:60]} は反映できません")
        return next((self.read(inputs[name], settings, depth + 1) for name in PASSING if name in inputs), "")

    def _joined(self, link: object, depth: int) -> str:
        """Texts that nodes put together before they are read as a prompt."""
        node = self.graph.at(link)
        if node is None or depth > DEEPEST:
            return ""
        inputs = inner(node, "inputs")
        names = [name for name in inputs if re.fullmatch(r"(text|string|prompt)_?\w{0,9}", name)]
        parts = [said(self.graph.value(node, name)) or self._joined(inputs[name], depth + 1) for name in sorted(names)[:20]]
        delimiter = said(inputs.get("delimiter")) or ", "
        return delimiter.join(part for part in parts if part)

    def _clip(self, link: object) -> None:
        """Which layer texts are read at."""
        while (node := self.graph.at(link)) is not None:
            if "stop_at_clip_layer" in inner(node, "inputs"):
                self.clip_skip = self.clip_skip or -whole(self.graph.value(node, "stop_at_clip_layer"), -1)
                return
            link = inner(node, "inputs").get("clip")

    def _ignore(self, en: str, ja: str) -> None:
        text = tr(en, ja)
        if text not in self.ignored and len(self.ignored) < 20:
            self.ignored.append(text)
