"""ComfyUI's editor's graph, put into the form that ran, as far as stock nodes go: it is read where there is no other.

{nodes: [{id, type, mode, inputs: [{name, link}], widgets_values}], links: [[link, from, output, to, input, type]]}.
"""

from typing import Any

from .json_texts import Table

WIDGETS: dict[str, tuple[str, ...]] = {
    "KSampler": ("seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        *("add_noise", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler"),
        *("start_at_step", "end_at_step", "return_with_leftover_noise"),
    ),
    "SamplerCustom": ("add_noise", "noise_seed", "", "cfg"),
    "RandomNoise": ("noise_seed", ""),
    "CFGGuider": ("cfg",),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "KarrasScheduler": ("steps", "sigma_max", "sigma_min", "rho"),
    "CLIPTextEncode": ("text",),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "LatentUpscale": ("upscale_method", "width", "height", "crop"),
    "LatentUpscaleBy": ("upscale_method", "scale_by"),
    "ImageScale": ("upscale_method", "width", "height", "crop"),
    "ImageScaleBy": ("upscale_method", "scale_by"),
    "ConditioningAverage": ("conditioning_to_strength",),
    "LoadImage": ("image",),
    "PrimitiveNode": ("value",),
}
"""Which value is which, in the order of the editor's boxes; "" belongs to the editor alone."""
MOST_NODES = 20_000


def as_ran(workflow: Table) -> Table:
    """The nodes of an editor's graph in the form that ran; switched-off nodes are left out."""
    links: dict[Any, list[Any]] = {}
    for link in _list(workflow.get("links"))[:MOST_NODES]:
        if isinstance(link, list) and len(link) > 2 and _key(link[0]) and _key(link[1]):
            links[link[0]] = [str(link[1]), link[2]]
    nodes: dict[str, Any] = {}
    for node in _list(workflow.get("nodes"))[:MOST_NODES]:
        if isinstance(node, dict) and _key(node.get("id")) and node.get("mode") not in (2, 4):
            kind = node.get("type")
            nodes[str(node["id"])] = {"class_type": kind, "inputs": _widgets(str(kind), node.get("widgets_values")) | _linked(node, links)}
    return nodes


def _widgets(kind: str, values: object) -> dict[str, Any]:
    if isinstance(values, dict):
        return {key: value for key, value in values.items() if isinstance(value, str | int | float)}
    named = zip(WIDGETS.get(kind, ()), _list(values), strict=False)
    return {name: value for name, value in named if name and isinstance(value, str | int | float)}


def _linked(node: Table, links: dict[Any, list[Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in _list(node.get("inputs"))[:1000]:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and _key(entry.get("link")) and entry["link"] in links:
            found[entry["name"]] = links[entry["link"]]
    return found


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _key(value: object) -> bool:
    return isinstance(value, int | str)
