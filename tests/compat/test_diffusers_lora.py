"""LoRAs under diffusers' names draw diffusers' pictures, with PEFT there."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from compat import tiny_folders as tiny
from formats.adapters import dotted, kohya, pairs
from kakusan.compat import diffusers as ours
from kakusan.errors import FileError, KakusanError
from kakusan.formats.folder import read_folder
from kakusan.formats.lora import read_lora
from kakusan.formats.lora_write import write_lora

diffusers.utils.logging.set_verbosity_error()
pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="diffusers needs peft for LoRAs"),
    pytest.mark.filterwarnings("ignore:Already found a `peft_config`"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and two LoRAs beside it in every spelling."""
    folder = tiny.folder(tmp_path_factory.mktemp("model") / "tiny")
    model, loras = read_folder(folder), folder / "loras"
    loras.mkdir()
    one, two = pairs(model, seed=1), pairs(model, 3, seed=2, text=False)
    save_file(kohya(model, one), loras / "kohya.safetensors")
    save_file(dotted(model, one, ".lora_A.weight", ".lora_B.weight"), loras / "peft.safetensors")
    save_file(dotted(model, two, ".lora.down.weight", ".lora.up.weight"), loras / "two.safetensors")
    lora = read_lora(loras / "kohya.safetensors", model)
    write_lora(lora, loras / "ours.safetensors", model, style="diffusers")
    write_lora(lora, loras / "ours_kohya.safetensors", model)
    return folder


def both(folder: Path) -> tuple[Any, Any]:
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    theirs.set_progress_bar_config(disable=True)
    return ours.StableDiffusionPipeline.from_pretrained(folder), theirs


def drawn(pipe: Any, **options: Any) -> np.ndarray:
    generator = torch.Generator().manual_seed(7)
    image = pipe("a photograph of an astronaut", num_inference_steps=3, generator=generator, **options).images[0]
    return np.asarray(image).astype(int)


def load(pipe: Any, *names: str) -> None:
    """Of the folder the pipeline is from."""
    for name in names:
        pipe.load_lora_weights(pipe.loras, weight_name=f"{name}.safetensors", adapter_name=name)


WAYS: dict[str, Callable[[Any], Any]] = {
    "kohya's names": lambda p: load(p, "kohya"),
    "PEFT's names": lambda p: load(p, "peft"),
    "old names": lambda p: load(p, "two"),
    "what we write for diffusers": lambda p: load(p, "ours"),
    "what we write for kohya": lambda p: load(p, "ours_kohya"),
    "the latest of two": lambda p: load(p, "kohya", "two"),
    "two at once": lambda p: (load(p, "kohya", "two"), p.set_adapters(["kohya", "two"], [0.7, -0.4])),
    "weights for components": lambda p: (load(p, "kohya"), p.set_adapters("kohya", {"unet": 0.5, "text_encoder": 0.1})),
    "disabled": lambda p: (load(p, "kohya"), p.disable_lora()),
    "enabled": lambda p: (load(p, "kohya"), p.disable_lora(), p.enable_lora()),
    "fused": lambda p: (load(p, "kohya"), p.fuse_lora(lora_scale=0.6)),
    "fused at a weight": lambda p: (load(p, "kohya", "two"), p.set_adapters(["kohya", "two"], [0.7, 0.2]), p.fuse_lora()),
    "one of two fused": lambda p: (load(p, "kohya", "two"), p.fuse_lora(adapter_names=["kohya"])),
    "the U-Net fused": lambda p: (load(p, "two"), p.fuse_lora(components=["unet"])),
    "fused and unloaded": lambda p: (load(p, "kohya"), p.fuse_lora(), p.unload_lora_weights()),
    "unfused": lambda p: (load(p, "kohya"), p.fuse_lora(), p.unfuse_lora()),
    "unloaded": lambda p: (load(p, "kohya", "two"), p.unload_lora_weights()),
    "deleted": lambda p: (load(p, "kohya", "two"), p.set_adapters(["kohya", "two"]), p.delete_adapters("two")),
}


@pytest.mark.parametrize("way", WAYS)
def test_pictures_equal_diffusers(way: str, folder: Path) -> None:
    mine, theirs = both(folder)
    for pipe in (mine, theirs):
        pipe.loras = folder / "loras"
        WAYS[way](pipe)
    assert mine.get_active_adapters() == theirs.get_active_adapters()
    assert mine.get_list_adapters() == {name: found for name, found in theirs.get_list_adapters().items() if found}
    assert (mine.num_fused_loras, mine.fused_loras) == (theirs.num_fused_loras, set(theirs.fused_loras))
    wanted = drawn(theirs)
    assert np.abs(drawn(mine) - wanted).max() <= 1
    assert wanted.std() > 5
    plain = drawn(ours.StableDiffusionPipeline.from_pretrained(folder))
    assert (np.abs(wanted - plain).max() > 3) == (way not in ("disabled", "unloaded"))


def test_a_scale_for_one_call(folder: Path) -> None:
    mine, theirs = both(folder)
    for pipe in (mine, theirs):
        pipe.loras = folder / "loras"
        load(pipe, "kohya")
    for options in ({"cross_attention_kwargs": {"scale": 0.4}}, {}, {"cross_attention_kwargs": {"scale": 0}}):
        assert np.abs(drawn(mine, **options) - drawn(theirs, **options)).max() <= 1
    assert np.abs(drawn(mine, cross_attention_kwargs={"scale": 0.4}) - drawn(mine)).max() > 3
    with pytest.raises(KakusanError, match="only a number for 'scale'"):
        drawn(mine, cross_attention_kwargs={"gligen": {}})


def test_weights_come_back_bit_for_bit(folder: Path) -> None:
    pipe = ours.StableDiffusionPipeline.from_pretrained(folder)
    before = {name: tensor.clone() for name, tensor in pipe.unet.state_dict().items()}
    pipe.load_lora_weights(folder / "loras/kohya.safetensors")
    assert pipe.get_active_adapters() == ["default_0"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in pipe.unet.state_dict().items())
    pipe.fuse_lora()
    pipe.unfuse_lora()
    assert all(torch.equal(tensor, before[name]) for name, tensor in pipe.unet.state_dict().items())


def test_tensors_in_memory_and_another_pipeline_of_the_same_components(folder: Path) -> None:
    pipe = ours.StableDiffusionPipeline.from_pretrained(folder)
    pipe.load_lora_weights(kohya(read_folder(folder), pairs(read_folder(folder), seed=1)), adapter_name="mine")
    other = ours.StableDiffusionImg2ImgPipeline.from_pipe(pipe)
    assert other.get_active_adapters() == ["mine"]
    again = ours.StableDiffusionPipeline.from_pipe(other)
    assert np.array_equal(drawn(again), drawn(pipe))


def test_what_cannot_be_is_one_line(folder: Path) -> None:
    pipe = ours.StableDiffusionPipeline.from_pretrained(folder)
    pipe.load_lora_weights(folder / "loras", weight_name="kohya.safetensors", adapter_name="a")
    for call, told in (
        (lambda: pipe.set_adapters("b"), "no adapter 'b'; there are: a"),
        (lambda: pipe.set_adapters(["a"], [1.0, 2.0]), "1 adapters but 2 weights"),
        (lambda: pipe.set_adapters("a", {"unet": {"down": 0.5}}), "adapter weight"),
        (lambda: pipe.fuse_lora(components=["vae"]), "not 'vae'"),
        (lambda: pipe.load_lora_weights(folder / "loras/two.safetensors", adapter_name="a"), "is there already"),
    ):
        with pytest.raises(KakusanError, match=told) as caught:
            call()
        assert "\n" not in str(caught.value)
    for path in (folder / "loras", folder / "loras/none.safetensors", folder / "unet"):
        with pytest.raises(FileError) as caught:
            pipe.load_lora_weights(path)
        assert "\n" not in str(caught.value)
