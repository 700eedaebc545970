"""What other programs write, after their own formats, and the recipes that come of it."""

import json
from typing import Any

import pytest

from kakusan.memory.names import named
from kakusan.memory.reading import Memory, of_texts
from kakusan.messages import speak
from kakusan.samplers.table import SAMPLERS
from kakusan.schedules import SCHEDULES
from kakusan.tasks.recipe import Recipe

A1111 = """a cat, (dog:1.2)
on two lines
Negative prompt: blurry
and ugly
Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 123, Size: 512x768, Model hash: abcdef1234, Model: nice, \
Clip skip: 2, Lora hashes: "x: 1, y: 2", Version: v1.10.1"""


def recipe(**texts: str) -> Recipe:
    found = of_texts(texts).recipe
    assert found is not None
    return found


def noted(memory: Memory, *parts: str) -> bool:
    return all(any(part in note for note in memory.notes) for part in parts)


def test_automatic1111() -> None:
    memory = of_texts({"parameters": A1111})
    found = memory.recipe
    assert found
    assert (found.prompt, found.negative) == ("a cat, (dog:1.2)\non two lines", "blurry\nand ugly")
    assert (found.steps, found.sampler, found.schedule, found.scale, found.seed) == (30, "dpmpp_2m", "karras", 7.5, 123)
    assert (found.width, found.height, found.model, found.model_hash) == (512, 768, "nice", "abcdef1234")
    assert (found.wording.clip_skip, found.like.name) == (2, "a1111")
    assert (memory.program, memory.profile, memory.notes) == ("AUTOMATIC1111", "a1111", ())


@pytest.mark.parametrize(
    ("label", "sampler", "schedule"),
    [
        ("DPM++ 2M Karras", "dpmpp_2m", "karras"),
        ("DPM++ 2M SDE Exponential", "dpmpp_2m_sde", "exponential"),
        ("DPM++ SDE", "dpmpp_sde", "karras"),
        ("DPM2 a Karras", "dpm_2_ancestral", "karras"),
        ("Euler a", "euler_ancestral", "normal"),
        ("LMS Karras", "lms", "karras"),
        ("DPM++ 3M SDE", "dpmpp_3m_sde", "exponential"),
    ],
)
def test_labels_before_schedules_were_named_apart(label: str, sampler: str, schedule: str) -> None:
    found = recipe(parameters=f"a\nSteps: 5, Sampler: {label}, CFG scale: 7, Seed: 1, Size: 64x64, Version: v1.6.0")
    assert (found.sampler, found.schedule) == (sampler, schedule)


def test_two_passes_and_what_is_enlarged() -> None:
    text = A1111.replace("Clip skip: 2", "Denoising strength: 0.6, Hires upscale: 1.5, Hires steps: 12, Hires upscaler: 4x-UltraSharp")
    memory = of_texts({"parameters": text})
    assert memory.recipe
    assert (memory.recipe.large.hires, memory.recipe.strength) == ("pixels", 0.6)
    assert (memory.recipe.width, memory.recipe.height, memory.recipe.mode) == (768, 1152, "txt2img")
    assert noted(memory, "512x768", "UltraSharp", "Hires steps: 12")
    resized = text.replace("Hires upscale: 1.5", "Hires resize: 1024x1536").replace("4x-UltraSharp", "Latent (nearest)")
    assert (recipe(parameters=resized).width, recipe(parameters=resized).large.hires) == (1024, "latent")


def test_pictures_out_of_pictures() -> None:
    drawn = recipe(parameters=A1111.replace("Clip skip: 2", "Denoising strength: 0.4"))
    assert (drawn.mode, drawn.strength) == ("img2img", 0.4)
    painted = recipe(parameters=A1111.replace("Clip skip: 2", "Denoising strength: 0.4, Mask blur: 4, Inpaint area: Only masked"))
    assert (painted.mode, painted.area.blur, painted.area.only_masked) == ("inpaint", 4, True)


def test_what_is_missing_or_odd_is_told() -> None:
    memory = of_texts({"parameters": "a\nSteps: lots, Sampler: Magic, Seed: -1, Face restoration: GFPGAN, Mask mode: 3"}, (96, 64))
    assert memory.recipe
    assert (memory.recipe.steps, memory.recipe.sampler, memory.recipe.seed) == (20, "euler", 0)
    assert (memory.recipe.width, memory.recipe.height) == (96, 64)
    assert noted(memory, "Steps is 'lots'", "sampler 'Magic': drawn with euler", "Seed is '-1'", "CFG scale is not said", "GFPGAN cannot")


def test_a_last_line_of_few_settings_is_prompt_as_in_the_program() -> None:
    memory = of_texts({"parameters": "a cat\nSteps: 20, Sampler: Euler"})
    assert (memory.recipe, memory.program) == (None, "")
    assert noted(memory, "of no form")


def test_sizes_apart_and_nothing_but_settings() -> None:
    found = recipe(parameters="Steps: 5, Sampler: Euler, CFG scale: 7, Seed: 1, Size-1: 64, Size-2: 96")
    assert (found.prompt, found.width, found.height) == ("", 64, 96)


def test_old_versions_read_timelines_otherwise() -> None:
    text = "a [cat:dog:0.5]\nSteps: 5, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, Version: v1.{}.2"
    assert recipe(parameters=text.format(5)).wording.old_timelines
    assert not recipe(parameters=text.format(6)).wording.old_timelines
    assert not recipe(parameters=text.format(5).replace("[cat:dog:0.5]", "cat")).wording.old_timelines


@pytest.mark.parametrize(
    ("settings", "program", "profile"),
    [
        ("Version: f2.0.1v1.10.1-previous-665-gae278f79", "Forge", "a1111"),
        ("Version: neo", "Forge", "a1111"),
        ("App: SD.Next, Version: 1a2b3c4, Pipeline: StableDiffusionPipeline", "SD.Next", "diffusers"),
        ("Backend: Diffusers, Version: 0abc", "SD.Next", "diffusers"),
        ("Version: ComfyUI", "ComfyUI", "comfyui"),
        ("Version: Fooocus v2.5.5", "Fooocus", "comfyui"),
        ("Version: stable-diffusion.cpp", "stable-diffusion.cpp", "a1111"),
    ],
)
def test_programs_that_write_its_text(settings: str, program: str, profile: str) -> None:
    memory = of_texts({"parameters": f"a\nSteps: 5, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64, {settings}"})
    assert (memory.program, memory.profile) == (program, profile)
    assert memory.recipe
    assert memory.recipe.like.name == profile


def test_stable_diffusion_cpp() -> None:
    line = "Steps: 30, CFG scale: 5.000000, Guidance: 3.500000, Eta: 0.000000, Seed: 197583933, Size: 512x512, "
    line += "Model: v1-5-pruned-emaonly.safetensors, RNG: cuda, Sampler: dpm++2mv2 karras, Version: stable-diffusion.cpp"
    memory = of_texts({"parameters": f"A sunflower field\n{line}"})
    assert memory.recipe
    assert (memory.recipe.sampler, memory.recipe.schedule, memory.recipe.scale, memory.recipe.seed) == (
        "dpmpp_2m",
        "karras",
        5.0,
        197583933,
    )
    assert noted(memory, "dpm++2mv2", "Guidance: 3.5")


def test_invokeai() -> None:
    meta = {
        **{"generation_mode": "txt2img", "positive_prompt": "a cat+", "negative_prompt": "dog", "width": 512, "height": 640, "seed": 7},
        **{"rand_device": "cpu", "cfg_scale": 7.5, "cfg_rescale_multiplier": 0.5, "steps": 30, "scheduler": "dpmpp_2m_k", "clip_skip": 1},
        **{"model": {"key": "k", "hash": "blake3:12ab", "name": "sd-1.5", "base": "sd-1"}, "seamless_x": True, "seamless_y": True},
        **{"loras": [{"model": {"name": "ink"}, "weight": 0.6}], "app_version": "5.4.2", "controlnets": []},
    }
    memory = of_texts({"invokeai_metadata": json.dumps(meta)})
    found = memory.recipe
    assert found
    assert (found.prompt, found.negative, found.sampler, found.schedule) == ("a cat+ <lora:ink:0.6>", "dog", "dpmpp_2m", "karras")
    assert (found.width, found.height, found.seed, found.large.tileable, found.wording.clip_skip) == (512, 640, 7, "xy", 2)
    assert (found.wording.dialect, found.like.name, found.like.rng, found.model) == ("compel", "invokeai", "cpu", "sd-1.5")
    assert (memory.program, memory.profile) == ("InvokeAI", "invokeai")
    assert noted(memory, "rescaled guidance")
    assert recipe(invokeai_metadata=json.dumps(meta | {"scheduler": "euler"})).schedule == "linspace"
    assert recipe(invokeai_metadata=json.dumps(meta | {"scheduler": "ddim"})).schedule == "leading"
    image = recipe(invokeai_metadata=json.dumps(meta | {"generation_mode": "img2img", "strength": 0.3}))
    assert (image.mode, image.strength) == ("img2img", 0.3)


def test_older_invokeai() -> None:
    image = {
        **{"prompt": [{"prompt": "a cat [dog, mouse]", "weight": 1.0}], "steps": 50, "cfg_scale": 7.5, "height": 512, "width": 448},
        **{"seed": 42, "type": "txt2img", "sampler": "k_lms", "variations": [], "postprocessing": None},
    }
    memory = of_texts(
        {"sd-metadata": json.dumps({"app_version": "2.2.5", "model_weights": "sd-1.5", "model_hash": "cc6c", "image": image})}
    )
    assert memory.recipe
    assert (memory.recipe.prompt, memory.recipe.negative, memory.recipe.sampler, memory.recipe.width) == ("a cat", "dog, mouse", "lms", 448)
    assert memory.recipe.like.rng == "cuda"
    dream = recipe(Dream='"a cat [dog]" -s 50 -S 42 -W 512 -H 448 -C 7.5 -A k_euler_a')
    assert (dream.prompt, dream.negative, dream.seed, dream.steps, dream.sampler) == ("a cat", "dog", 42, 50, "euler_ancestral")
    assert (dream.width, dream.height, dream.scale) == (512, 448, 7.5)


def test_fooocus() -> None:
    meta = {
        **{"prompt": "cat", "full_prompt": ["cat, cinematic", "moody"], "full_negative_prompt": ["ugly"], "negative_prompt": ""},
        **{"resolution": "(896, 1152)", "guidance_scale": 4.0, "sharpness": 2.0, "steps": 30, "seed": "555", "clip_skip": 2},
        **{"sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras", "base_model": "jugger", "base_model_hash": "d91d35736d"},
        **{"loras": [["offset", 0.1, "4852686128"]], "version": "Fooocus v2.5.5", "vae": "Default (model)"},
    }
    memory = of_texts({"parameters": json.dumps(meta), "fooocus_scheme": "fooocus"})
    found = memory.recipe
    assert found
    assert (found.prompt, found.negative) == ("cat, cinematic, moody <lora:offset:0.1>", "ugly")
    assert (found.width, found.height, found.sampler, found.schedule, found.seed) == (896, 1152, "dpmpp_2m_sde", "karras", 555)
    assert (memory.program, found.model_hash, found.like.name) == ("Fooocus", "d91d35736d", "comfyui")
    assert noted(memory, "sharpness: 2")
    assert of_texts({"parameters": json.dumps(meta), "MakerNote": "fooocus"}).recipe == found


def test_novelai() -> None:
    comment = {"steps": 28, "sampler": "k_euler_ancestral", "seed": 3, "strength": 0.69, "scale": 11.0, "uc": "lowres", "sm": True}
    memory = of_texts({"Software": "NovelAI", "Description": "1girl", "Comment": json.dumps(comment)}, (512, 768))
    found = memory.recipe
    assert found
    assert (found.prompt, found.negative, found.steps, found.sampler, found.scale) == ("1girl", "lowres", 28, "euler_ancestral", 11.0)
    assert (found.width, found.height, found.wording.clip_skip, memory.program) == (512, 768, 2, "NovelAI")
    assert noted(memory, "sm cannot")


@pytest.mark.parametrize(
    "texts", [{}, {"Software": "Paint"}, {"prompt": "just words"}, {"prompt": "{}"}, {"workflow": "[]"}, {"Comment": "{}"}]
)
def test_pictures_that_tell_nothing(texts: dict[str, str]) -> None:
    memory = of_texts(texts)
    assert (memory.recipe, memory.program, memory.profile) == (None, "", "")
    assert memory.extra == texts


@pytest.mark.parametrize("profile", ["a1111", "comfyui", "invokeai", "diffusers", ""])
def test_names_are_always_ours(profile: str) -> None:
    lists: dict[str, Any] = {
        "samplers": "euler_cfg_pp heunpp2 dpm_2_ancestral dpm_fast dpmpp_2m_sde_heun_gpu ddpm ipndm_v deis res_multistep er_sde seeds_3 "
        "sa_solver uni_pc_bh2 ddim k_dpmpp_2s_ancestral kdpm_2_a_k dpmpp_3m_k tcd lcm dpm++2s_a ipndm euler_ge plms unknown",
        "schedules": "simple sgm_uniform karras exponential ddim_uniform beta normal linear_quadratic kl_optimal Automatic Uniform Turbo "
        "discrete ays gits smoothstep native",
    }
    for sampler in lists["samplers"].split():
        for schedule in ["", *lists["schedules"].split()]:
            found = named(sampler, schedule, profile)
            assert found.sampler in SAMPLERS
            assert found.schedule in SCHEDULES
    assert named("unknown", "", profile).notes
    assert named("euler_ancestral", "karras", profile) == ("euler_ancestral", "karras", [])


def test_notes_are_in_the_language_in_force() -> None:
    speak("ja")
    try:
        assert noted(of_texts({"parameters": A1111.replace("Clip skip: 2", "Face restoration: GFPGAN")}), "反映できません")
    finally:
        speak(None)
