"""ComfyUI's graph, walked from the picture back to the noise: stock nodes, and unknown ones as far as they pass something on.

`prompt` is the graph that ran: {id: {class_type, inputs: {name: value or [id, output]}}}; `workflow` is the editor's, which
`comfyui_workflow` turns into the same. Source: ComfyUI `nodes.py`, `comfy_extras/nodes_custom_sampler.py`. A graph may hold circles
and a hundred thousand nodes: every step is counted.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from ..messages import tr
from .comfyui_texts import Texts
from .json_texts import Table, inner, real, said, whole
from .told import Told

MOST_STEPS = 20_000
SAVERS = ("SaveImage", "PreviewImage", "SaveAnimatedWEBP", "SaveImageWebsocket", "Image Save", "SaveAnimatedPNG")
SAMPLERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
PICTURE_INPUTS = ("images", "image", "samples", "pixels", "latent_image", "latent", "input", "value", "any", "")
"""Inputs by which a picture comes into a node, the likeliest first."""
SPEAKING = {
    "ControlNetApply": ("ControlNet", "ControlNet"),
    "ControlNetApplyAdvanced": ("ControlNet", "ControlNet"),
    "ModelSamplingDiscrete": ("another reading of the model's noise", "モデルのノイズの読み替え"),
    "FreeU": ("FreeU", "FreeU"),
    "FreeU_V2": ("FreeU", "FreeU"),
    "HypernetworkLoader": ("a hypernetwork", "ハイパーネットワーク"),
    "RescaleCFG": ("rescaled guidance", "ガイダンスのリスケール"),
}
"""Nodes on the model's way that change the picture and that no recipe holds."""


@dataclass
class Pass:
    """One sampler of the chain, the last one first. before: the node that its latent came from, and what was done on the way."""

    node: Table
    strength: float
    steps: int
    enlarged: str = ""  # how the picture was made larger before this pass: "latent" or "pixels"
    size: tuple[int, int] = (0, 0)  # to what size; (0, 0) if not told
    factor: float = 1.0
    began: str = ""  # what it began with, if not with another pass: "empty" or "picture"
    masked: bool = False
    batch: int = 1


@dataclass
class Graph:
    """The nodes, and how many more steps may be taken through them."""

    nodes: Table
    left: int = MOST_STEPS
    notes: list[str] = field(default_factory=list)

    def at(self, link: object) -> Table | None:
        """The node that a link leads to; None where it leads nowhere, or after too many steps."""
        self.left -= 1
        if self.left < 0 or not (isinstance(link, list) and link and isinstance(link[0], str | int)):
            return None
        node = self.nodes.get(str(link[0]))
        return node if isinstance(node, dict) and isinstance(node.get("inputs"), dict) else None

    def value(self, node: Table, name: str) -> Any:
        """What an input is, through nodes that only hand a value on: primitives and reroutes."""
        found = inner(node, "inputs").get(name)
        while (further := self.at(found)) is not None:
            inputs = inner(further, "inputs")
            names = ("value", "text", "string", "int", "float", "number", "seed", "noise_seed", "Value", "any", "")
            found = next((inputs[one] for one in names if one in inputs), None)
        return None if isinstance(found, list | dict) else found

    def note(self, en: str, ja: str) -> None:
        """Tell something once."""
        text = tr(en, ja)
        if text not in self.notes and len(self.notes) < 20:
            self.notes.append(text)


def read_graph(nodes: Table, notes: list[str] | None = None) -> Told | None:
    """What a graph in the form that ran tells; None if no picture is sampled in it."""
    graph = Graph(nodes, notes=list(notes or []))
    passes = _passes(graph)
    if not passes:
        return None
    told = Told("ComfyUI", "comfyui", notes=graph.notes)
    first = passes[-1]
    texts = Texts(graph)
    guider = graph.at(inner(first.node, "inputs").get("guider")) or first.node
    told.prompt = texts.read(_condition(guider, "positive"), told.settings)
    told.negative = texts.read(_condition(guider, "negative"), {})
    _model(graph, _condition(guider, "model"), told, texts)
    _sampling(graph, first, guider, told.settings)
    _chained(graph, passes, told.settings)
    if texts.clip_skip:
        told.settings["Clip skip"] = str(texts.clip_skip)
    if graph.left < 0:
        graph.note("the graph is endless, or too large to walk", "グラフが循環しているか大きすぎます")
    return told


def _condition(node: Table, name: str) -> object:
    inputs = inner(node, "inputs")
    return inputs.get(name, inputs.get("conditioning") if name == "positive" else None)


def _passes(graph: Graph) -> list[Pass]:
    """The samplers from the picture back, the last one first."""
    nodes = [node for node in graph.nodes.values() if isinstance(node, dict)]
    ends = [node for kind in SAVERS for node in nodes if node.get("class_type") == kind]
    for end in [*ends, *(node for node in nodes if node.get("class_type") in SAMPLERS)]:
        passes: list[Pass] = []
        place: Table | None = end if isinstance(end.get("inputs"), dict) else None
        while place is not None:
            place = _step(graph, place, passes)
        if passes:
            return passes
        if graph.left < 0:
            break
    return []


def _step(graph: Graph, node: Table, passes: list[Pass]) -> Table | None:
    """From one node to the one that its picture comes from."""
    kind, inputs = str(node.get("class_type")), inner(node, "inputs")
    if kind in SAMPLERS:
        passes.append(Pass(node, *_effort(graph, node)))
        return graph.at(inputs.get("latent_image"))
    if not passes:
        return _onward(graph, inputs)
    last = passes[-1]
    width, height = whole(graph.value(node, "width")), whole(graph.value(node, "height"))
    if kind.startswith("Empty") and width:
        last.began, last.size = "empty", (width, height)
        if (batch := whole(graph.value(node, "batch_size"), 1)) > 1:
            last.batch = batch
            graph.note(f"one of a batch of {batch}: the first one is drawn", f"{batch} 枚のバッチの 1 枚です。最初の 1 枚を描きます")
        return None
    if kind.startswith("LoadImage") and kind != "LoadImageMask":
        last.began = "picture"
        return None
    if kind in ("SetLatentNoiseMask", "VAEEncodeForInpaint", "InpaintModelConditioning"):
        last.masked = True
    elif "Upscale" in kind or "Scale" in kind:
        last.enlarged = "latent" if kind.startswith("Latent") else "pixels"
        last.size = (width, height) if width and height else last.size
        last.factor *= real(graph.value(node, "scale_by"), 1.0)
        if kind == "ImageUpscaleWithModel":
            graph.note("enlarged by a model: here with Lanczos", "モデルによる拡大の代わりに Lanczos を使います")
    return _onward(graph, inputs)


def _onward(graph: Graph, inputs: Table) -> Table | None:
    for name in PICTURE_INPUTS:
        if name in inputs and (node := graph.at(inputs[name])) is not None:
            return node
    return None


def _effort(graph: Graph, node: Table) -> tuple[float, int]:
    """Strength and steps of a sampler."""
    inputs = inner(node, "inputs")
    levels = graph.at(inputs.get("sigmas"))
    for _ in range(8):  # what cuts levels in two, turns them round, ...
        if levels is None or "steps" in inner(levels, "inputs"):
            break
        graph.note("levels that are split or changed", "分割・変更されたノイズ水準")
        levels = graph.at(inner(levels, "inputs").get("sigmas"))
    source = levels or node
    steps = max(1, whole(graph.value(source, "steps"), 20))
    if node.get("class_type") == "KSamplerAdvanced":
        start, end = whole(graph.value(node, "start_at_step")), whole(graph.value(node, "end_at_step"), 10000)
        if end < steps or str(graph.value(node, "return_with_leftover_noise")) == "enable":
            graph.note("steps that end early", "途中で終わるステップ")
        return 1 - min(start, steps - 1) / steps, steps
    strength = real(graph.value(source, "denoise"), 1.0)
    return strength if 0 < strength < 1 else 1.0, steps


def _sampling(graph: Graph, first: Pass, guider: Table, settings: dict[str, str]) -> None:
    inputs = inner(first.node, "inputs")
    levels, chosen, noise = (graph.at(inputs.get(name)) or first.node for name in ("sigmas", "sampler", "noise"))
    for _ in range(8):
        if "steps" in inner(levels, "inputs") or (further := graph.at(inner(levels, "inputs").get("sigmas"))) is None:
            break
        levels = further
    seed = graph.value(noise, "noise_seed") if graph.value(noise, "noise_seed") is not None else graph.value(noise, "seed")
    kind = re.fullmatch(r"(Karras|Exponential|Polyexponential|AlignYourSteps|SDTurbo|Beta)\w*Scheduler", str(levels.get("class_type")))
    schedule = graph.value(levels, "scheduler") or (kind[1].replace("AlignYourSteps", "ays").replace("SDTurbo", "turbo") if kind else "")
    name = graph.value(chosen, "sampler_name") or re.sub(r"^Sampler(?!Custom)", "", str(chosen.get("class_type")))
    found = {"Sampler": said(name), "Schedule type": said(schedule), "Seed": said(seed), "CFG scale": said(graph.value(guider, "cfg"))}
    settings |= {key: value for key, value in found.items() if value}
    if guider.get("class_type") == "BasicGuider":
        settings["CFG scale"] = "1"


def _chained(graph: Graph, passes: list[Pass], settings: dict[str, str]) -> None:
    """Steps, size, and what more than one pass means."""
    first, last = passes[-1], passes[0]
    settings["Steps"] = str(first.steps)
    if first.batch > 1:
        settings |= {"Batch size": str(first.batch), "Batch pos": "0"}
    if first.began == "picture" or (first.began != "empty" and first.strength < 1):
        settings |= {"Mode": "inpaint" if first.masked else "img2img", "Denoising strength": repr(first.strength)}
    size = first.size
    for later in reversed(passes[:-1]):
        grown = tuple(round(side * later.factor) for side in size)
        size = later.size if later.size != (0, 0) else (grown[0], grown[1])
    if size != (0, 0):
        settings["Size"] = f"{size[0]}x{size[1]}"
    if len(passes) > 1:
        settings |= {"Two passes": last.enlarged or "latent", "Denoising strength": repr(last.strength)}
        drawn = f"{first.size[0]}x{first.size[1]}"
        graph.note(f"first pass of {drawn}: drawn in the model's own size", f"1 回目の {drawn} はモデル本来の大きさで描きます")
        if len(passes) > 2 or last.steps != first.steps or not last.enlarged:
            graph.note(
                f"{len(passes)} passes of their own steps: drawn as two", f"ステップの異なる {len(passes)} 回の描画を 2 回で描きます"
            )


def _model(graph: Graph, link: object, told: Told, texts: Texts) -> None:
    """From the sampler's model back to its file, and the LoRAs on the way."""
    loras: list[str] = []
    while (node := graph.at(link)) is not None:
        kind, inputs = str(node.get("class_type")), inner(node, "inputs")
        if kind in SPEAKING:
            what = SPEAKING[kind]
            graph.note(f"{what[0]} cannot be honoured", f"{what[1]}は反映できません")
        if "lora_name" in inputs:
            loras.append(_lora(graph, node))
        name = next((said(graph.value(node, key)) for key in ("ckpt_name", "unet_name", "model_name") if key in inputs), "")
        if name:
            told.settings["Model"] = re.split(r"[\\/]", name)[-1].rsplit(".", 1)[0]
            break
        link = inputs.get("model", inputs.get(""))
    told.prompt += "".join(f" {lora}" for lora in reversed(loras))
    if texts.ignored:
        graph.notes.extend(texts.ignored)


def _lora(graph: Graph, node: Table) -> str:
    """A LoRA as a prompt's tag: the words' part first, as AUTOMATIC1111 has it."""
    name = re.sub(r"[<>:]", "_", re.split(r"[\\/]", said(graph.value(node, "lora_name")))[-1].rsplit(".", 1)[0])
    unet = real(graph.value(node, "strength_model"), 1.0)
    te = real(graph.value(node, "strength_clip"), 0.0) if "strength_clip" in inner(node, "inputs") else 0.0
    return f"<lora:{name}:{te:g}>" if te == unet else f"<lora:{name}:{te:g}:{unet:g}>"
