"""ComfyUI's graphs: the default workflow, LoRAs, two passes, custom samplers, words that nodes put together, circles."""

import json
from typing import Any

import pytest

from kakusan.memory.reading import Memory, of_texts

Graph = dict[str, dict[str, Any]]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


def default() -> Graph:
    """The graph that ComfyUI starts with."""
    return {
        "3": node(
            *["KSampler"],
            **{"seed": 156680208700286, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1},
            **{"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]},
        ),
        "4": node("CheckpointLoaderSimple", ckpt_name="sd1\\v1-5-pruned-emaonly.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
        "6": node("CLIPTextEncode", text="beautiful scenery (bottle:1.2)", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="text, watermark", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    }


def read(graph: object) -> Memory:
    return of_texts({"prompt": json.dumps(graph)})


def test_the_default_graph() -> None:
    memory = read(default())
    found = memory.recipe
    assert found
    assert (found.prompt, found.negative) == ("beautiful scenery (bottle:1.2)", "text, watermark")
    assert (found.seed, found.steps, found.scale, found.sampler, found.schedule) == (156680208700286, 20, 8.0, "euler", "normal")
    assert (found.width, found.height, found.model, found.mode) == (512, 768, "v1-5-pruned-emaonly", "txt2img")
    assert (found.like.name, found.wording.dialect) == ("comfyui", "comfyui")
    assert (memory.program, memory.profile, memory.notes) == ("ComfyUI", "comfyui", ())


def test_loras_clip_skip_and_values_from_other_nodes() -> None:
    graph = default()
    graph["10"] = node("LoraLoader", model=["4", 0], clip=["4", 1], lora_name="a/ink.safetensors", strength_model=0.8, strength_clip=1.0)
    graph["11"] = node("LoraLoaderModelOnly", model=["10", 0], lora_name="line.pt", strength_model=0.5)
    graph["12"] = node("CLIPSetLastLayer", clip=["10", 1], stop_at_clip_layer=-2)
    graph["13"] = node("PrimitiveNode", value=99)
    graph["14"] = node("Reroute", **{"": ["13", 0]})
    graph["15"] = node("StringConcatenate", string_a="a cat", string_b=["16", 0], delimiter=" and ")
    graph["16"] = node("PrimitiveString", value="a dog")
    graph["3"]["inputs"] |= {"model": ["11", 0], "seed": ["14", 0]}
    graph["6"]["inputs"] |= {"clip": ["12", 0], "text": ["15", 0]}
    found = read(graph).recipe
    assert found
    assert found.prompt == "a cat and a dog <lora:ink:1:0.8> <lora:line:0:0.5>"
    assert (found.seed, found.wording.clip_skip) == (99, 2)


@pytest.mark.parametrize("by", ["latent", "pixels"])
def test_two_passes(by: str) -> None:
    graph = default()
    graph["20"] = node("KSampler", **{**graph["3"]["inputs"], "latent_image": ["21", 0], "denoise": 0.5})
    if by == "latent":
        graph["21"] = node("LatentUpscaleBy", samples=["3", 0], upscale_method="nearest-exact", scale_by=2)
    else:
        graph["21"] = node("VAEEncode", pixels=["22", 0], vae=["4", 2])
        graph["22"] = node("ImageScale", image=["23", 0], width=1024, height=1536, upscale_method="lanczos", crop="disabled")
        graph["23"] = node("VAEDecode", samples=["3", 0], vae=["4", 2])
    graph["8"]["inputs"]["samples"] = ["20", 0]
    memory = read(graph)
    assert memory.recipe
    assert (memory.recipe.large.hires, memory.recipe.strength, memory.recipe.steps) == (by, 0.5, 20)
    assert (memory.recipe.width, memory.recipe.height, memory.recipe.mode) == (1024, 1536, "txt2img")


def test_pictures_out_of_pictures_and_masks() -> None:
    graph = default()
    graph["5"] = node("VAEEncode", pixels=["30", 0], vae=["4", 2])
    graph["30"] = node("LoadImage", image="cat.png")
    graph["3"]["inputs"]["denoise"] = 0.4
    found = read(graph).recipe
    assert found
    assert (found.mode, found.strength, found.steps) == ("img2img", 0.4, 20)
    graph["5"] = node("VAEEncodeForInpaint", pixels=["30", 0], vae=["4", 2], mask=["30", 1], grow_mask_by=6)
    painted = read(graph).recipe
    assert painted
    assert painted.mode == "inpaint"


def test_custom_samplers() -> None:
    graph = default()
    graph["3"] = node(
        "SamplerCustomAdvanced", noise=["40", 0], guider=["41", 0], sampler=["42", 0], sigmas=["43", 0], latent_image=["5", 0]
    )
    graph["40"] = node("RandomNoise", noise_seed=5)
    graph["41"] = node("CFGGuider", model=["4", 0], positive=["6", 0], negative=["7", 0], cfg=3.5)
    graph["42"] = node("KSamplerSelect", sampler_name="dpmpp_2m_sde_gpu")
    graph["43"] = node("BasicScheduler", model=["4", 0], scheduler="karras", steps=12, denoise=1.0)
    found = read(graph).recipe
    assert found
    assert (found.seed, found.scale, found.sampler, found.schedule, found.steps) == (5, 3.5, "dpmpp_2m_sde", "karras", 12)
    assert found.prompt == "beautiful scenery (bottle:1.2)"
    graph["3"] = node("SamplerCustom", model=["4", 0], add_noise=True, noise_seed=6, cfg=2, positive=["6", 0], negative=["7", 0])
    graph["3"]["inputs"] |= {"sampler": ["42", 0], "sigmas": ["44", 0], "latent_image": ["5", 0]}
    graph["44"] = node("KarrasScheduler", steps=9, sigma_max=14.6, sigma_min=0.03, rho=7)
    other = read(graph).recipe
    assert other
    assert (other.seed, other.scale, other.schedule, other.steps) == (6, 2.0, "karras", 9)
    graph["3"] = node("KSamplerAdvanced", **{**default()["3"]["inputs"], "noise_seed": 8, "start_at_step": 0, "end_at_step": 10000})
    del graph["3"]["inputs"]["seed"]
    advanced = read(graph).recipe
    assert advanced
    assert (advanced.seed, advanced.mode) == (8, "txt2img")


def test_conditions_that_are_combined_averaged_or_cannot_be() -> None:
    graph = default()
    graph["50"] = node("CLIPTextEncode", text="a lake", clip=["4", 1])
    graph["51"] = node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["50", 0])
    graph["52"] = node("ControlNetApply", conditioning=["51", 0], strength=1.0)
    graph["3"]["inputs"]["positive"] = ["52", 0]
    memory = read(graph)
    assert memory.recipe
    assert memory.recipe.prompt == "beautiful scenery (bottle:1.2), a lake"
    assert any("ControlNetApply" in note for note in memory.notes)
    assert any("one prompt" in note for note in memory.notes)
    graph["51"] = node("ConditioningAverage", conditioning_to=["6", 0], conditioning_from=["50", 0], conditioning_to_strength=0.75)
    mixed = read(graph).recipe
    assert mixed
    assert (mixed.prompt, mixed.second, mixed.blend) == ("beautiful scenery (bottle:1.2)", "a lake", 0.25)


def test_the_editors_graph_where_there_is_no_other() -> None:
    def box(number: int, kind: str, values: list[Any], **links: int) -> dict[str, Any]:
        entries = [{"name": name, "type": "X", "link": link} for name, link in links.items()]
        return {"id": number, "type": kind, "mode": 0, "inputs": entries, "widgets_values": values}

    sampler = [7, "randomize", 25, 6.5, "dpmpp_2m", "karras", 1]
    nodes = [
        box(3, "KSampler", sampler, model=1, positive=4, negative=6, latent_image=2),
        box(4, "CheckpointLoaderSimple", ["m.ckpt"]),
        box(5, "EmptyLatentImage", [640, 512, 1]),
        box(6, "CLIPTextEncode", ["a cat"], clip=3),
        box(7, "CLIPTextEncode", ["a dog"], clip=5),
        box(8, "VAEDecode", [], samples=7),
        box(9, "SaveImage", ["x"], images=9),
    ]
    links = [
        [1, 4, 0, 3, 0],
        [2, 5, 0, 3, 3],
        [3, 4, 1, 6, 0],
        [4, 6, 0, 3, 1],
        [5, 4, 1, 7, 0],
        [6, 7, 0, 3, 2],
        [7, 3, 0, 8, 0],
        [9, 8, 0, 9, 0],
    ]
    memory = of_texts({"workflow": json.dumps({"nodes": nodes, "links": links})})
    found = memory.recipe
    assert found
    assert (found.prompt, found.negative, found.seed, found.steps, found.scale) == ("a cat", "a dog", 7, 25, 6.5)
    assert (found.sampler, found.schedule, found.width, found.height, found.model) == ("dpmpp_2m", "karras", 640, 512, "m")
    assert any("editor" in note for note in memory.notes)


def test_a_batch_has_one_seed() -> None:
    graph = default()
    graph["5"]["inputs"]["batch_size"] = 4
    memory = read(graph)
    assert memory.recipe
    assert (memory.recipe.like.of, memory.recipe.like.place) == (4, 0)
    assert any("batch of 4" in note for note in memory.notes)


@pytest.mark.parametrize("name", ["model", "positive", "latent_image", "seed"])
def test_circles_end(name: str) -> None:
    graph = default()
    graph["3"]["inputs"][name] = ["3", 0]
    graph["6"]["inputs"]["clip"] = ["12", 0]
    graph["12"] = node("Reroute", clip=["12", 0])
    assert read(graph).program == "ComfyUI"


@pytest.mark.parametrize(
    "graph", [{"1": None}, {"1": {"class_type": "KSampler"}}, {"1": {"class_type": 5, "inputs": []}}, {"a": {"inputs": {}}}]
)
def test_what_is_no_graph(graph: object) -> None:
    assert read(graph).recipe is None
