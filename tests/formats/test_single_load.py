"""`kakusan.load` with single files: found, opened in the dtype they are stored in, and drawing what a folder of them draws."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import kakusan
from formats.originals import FAMILIES, FIRST, UNET, config, tensors, write_config
from kakusan.errors import FileError, KakusanError
from kakusan.formats.folder import write_folder
from kakusan.formats.precision import lent, wakened
from kakusan.formats.single import read_single
from peers import same


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SD1 file in full and in half precision, as a torch file, as a folder; and one file of each kind that draws not by words."""
    path = tmp_path_factory.mktemp("models")
    state = tensors(FAMILIES["sd1"])
    save_file(state, path / "full.safetensors")
    save_file({name: t.half() if "_model" in name and t.dim() else t for name, t in state.items()}, path / "half.safetensors")
    lightning = {"epoch": 9, "global_step": 470000, "pytorch-lightning_version": "1.4.2", "state_dict": state, "lr_schedulers": []}
    torch.save(lightning, path / "full.ckpt")
    torch.save(lightning, path / "old.ckpt", _use_new_zipfile_serialization=False)
    for name in ("sd1", "sd1 inpainting", "sd2 depth", "x4"):
        write_config(config(FAMILIES[name]), path / f"{name}.yaml")
    write_folder(read_single(path / "full.safetensors", config=path / "sd1.yaml"), path / "folder", dtype=torch.float32)
    return path


DRAWN = {"seed": 4, "steps": 3, "width": 64, "height": 64}


def draw(path: Path, **options: Any) -> Any:
    return kakusan.load(path, device="cpu", **options)("a red apple", **DRAWN).images[0]


def test_the_same_picture_from_every_form_of_the_same_weights(folder: Path) -> None:
    picture = draw(folder / "folder")
    for name in ("full.safetensors", "full.ckpt", "old.ckpt"):
        assert same(draw(folder / name), picture)[0] <= 1, name  # where weights lie in memory may change a last bit
    assert same(draw(folder / "full.safetensors", config=folder / "sd1.yaml"), picture)[0] <= 1


def test_half_precision_is_computed_with_in_full_a_layer_at_a_time(folder: Path) -> None:
    pipe = kakusan.load(folder / "half.safetensors", device=None)
    unet, text, autoencoder = pipe.model.unet, pipe.model.text, pipe.model.autoencoder
    assert pipe.dtype == torch.float32
    assert {p.dtype for p in text.parameters()} == {p.dtype for p in autoencoder.parameters()} == {torch.float16}
    assert unet.conv_out.weight.dtype == torch.float16
    picture = pipe("a red apple", **DRAWN).images[0]
    assert {p.dtype for p in unet.parameters()} == {torch.float32}
    assert {p.dtype for p in text.parameters()} == {p.dtype for p in autoencoder.parameters()} == {torch.float16}
    assert same(picture, draw(folder / "half.safetensors", dtype=torch.float32))[0] <= 1
    ids = torch.tensor([pipe.model.tokenizer.padded("a red apple")])
    assert text(ids).dtype == torch.float32  # whoever calls it


def test_layers_that_are_lent_come_back_even_from_a_failure(folder: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)).half()
    handles = lent(network, torch.float32)
    x = torch.ones(1, 3)
    assert network(x).dtype == torch.float32
    with pytest.raises(RuntimeError):
        network(torch.ones(1, 4))
    assert {p.dtype for p in network.parameters()} == {torch.float16}
    for handle in handles:
        handle.remove()
    assert network(x.half()).dtype == torch.float16
    wakened(network, torch.float32)
    assert [p.dtype for p in network.parameters()] == [torch.float32] * 2 + [torch.float16] * 2
    with torch.inference_mode():
        network(x)
    assert not any(p.is_inference() for p in network.parameters())
    network(x).sum().backward()
    assert network[0].weight.grad is not None


def test_what_is_written_to_weights_in_memory_stays_out_of_the_file(folder: Path) -> None:
    pipe = kakusan.load(folder / "full.safetensors", device="cpu")
    with torch.no_grad():
        pipe.model.unet.conv_out.weight.fill_(7.0)
    assert not (load_file(folder / "full.safetensors")[f"{UNET}out.2.weight"] == 7.0).any()


@pytest.mark.parametrize(
    ("name", "variant", "needs"),
    [("sd1 inpainting", "inpainting", "a picture and a mask"), ("sd2 depth", "depth", "a picture"), ("x4", "upscaling", "a small picture")],
)
def test_models_that_need_more_than_words_open_and_say_so(name: str, variant: str, needs: str, folder: Path, tmp_path: Path) -> None:
    save_file(tensors(FAMILIES[name]), tmp_path / "m.safetensors")
    pipe = kakusan.load(tmp_path / "m.safetensors", folder / f"{name}.yaml", torch.float32, "cpu")
    assert pipe.model.variant == variant
    with torch.inference_mode():
        assert pipe.model.autoencoder.decode(torch.zeros(1, 4, 4, 4)).isfinite().all()
    with pytest.raises(KakusanError, match=needs):
        pipe("a red apple")


def test_another_autoencoder_for_a_file_and_for_a_folder(folder: Path, tmp_path: Path) -> None:
    state = {key.removeprefix(FIRST): t for key, t in tensors(FAMILIES["sd1"], seed=5).items() if key.startswith(FIRST)}
    save_file(state, tmp_path / "vae.safetensors")
    for path in (folder / "full.safetensors", folder / "folder"):
        pipe = kakusan.load(path, device="cpu", vae=tmp_path / "vae.safetensors")
        assert torch.equal(pipe.model.autoencoder.unmoments.weight, state["post_quant_conv.weight"])


def test_what_is_not_there_or_does_not_fit_is_one_line(folder: Path) -> None:
    with pytest.raises(FileError, match=r"nothing.ckpt: no such file or folder"):
        kakusan.load("nothing.ckpt")
    with pytest.raises(FileError, match=r"models/nothing.safetensors: no such file or folder"):
        kakusan.load("models/nothing.safetensors")
    with pytest.raises(KakusanError, match=r"folder: config is for single files, not for folders"):
        kakusan.load(folder / "folder", config=folder / "sd1.yaml")
    with pytest.raises(FileError, match=r"gone.yaml: cannot be read"):
        kakusan.load(folder / "full.safetensors", config=folder / "gone.yaml", device="cpu")
    assert kakusan.load(folder / "folder", device="cpu", prediction="v").model.schedule.prediction == "v_prediction"


def test_a_config_of_the_same_name_beside_the_file_is_taken_unasked(tmp_path: Path) -> None:
    save_file(tensors(FAMILIES["sd1"]), tmp_path / "model.safetensors")
    beside = config(FAMILIES["sd1"])
    beside["model"]["params"]["parameterization"] = "v"
    write_config(beside, tmp_path / "model.yaml")
    assert kakusan.load(tmp_path / "model.safetensors", device="cpu").model.schedule.prediction == "v_prediction"
