"""Kinds of single files, told apart by names, shapes, metadata, and where these do not tell by one evaluation."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from formats.originals import CLIP, FAMILIES, UNET, tensors, tiny_shapes, true_shapes
from formats.stored import Names
from kakusan.errors import FileError, KakusanError
from kakusan.formats.detect import detect
from kakusan.formats.files import open_file
from kakusan.formats.keys import SINGLE, renamed
from kakusan.formats.keys_unet import rows
from kakusan.formats.probe import probed
from kakusan.formats.single import read_single, write_single
from kakusan.models.unet import UNet, UNetConfig

SD2 = true_shapes(FAMILIES["sd2 base"])


@pytest.mark.parametrize(
    ("metadata", "marks", "prediction", "size"),
    [
        ({}, [], None, 64),
        ({"global_step": "875000"}, [], "epsilon", 64),
        ({"global_step": "110000"}, [], None, 64),
        ({"modelspec.prediction_type": "v"}, [], "v_prediction", 96),
        ({"modelspec.prediction_type": "epsilon"}, [], "epsilon", 64),
        ({"modelspec.architecture": "stable-diffusion-v2-768-v"}, [], "v_prediction", 96),
        ({"modelspec.architecture": "stable-diffusion-v2-512"}, [], "epsilon", 64),
        ({"modelspec.prediction_type": "epsilon"}, ["v_pred"], "v_prediction", 96),
    ],
)
def test_what_says_noise_or_v(metadata: dict[str, str], marks: list[str], prediction: str | None, size: int) -> None:
    found = detect(Names(SD2 | dict.fromkeys(marks, (0,)), metadata))
    assert found.prediction == prediction
    assert found.schedule.prediction == (prediction or "epsilon")
    assert bool(found.reason[0]) == bool(found.reason[1]) == (prediction is not None)
    assert found.unet is not None
    assert found.unet.sample_size == size


def test_marks_of_zero_terminal_snr_are_heeded() -> None:
    found = detect(Names(true_shapes(FAMILIES["sd1"]) | {"v_pred": (0,), "ztsnr": (0,)}))
    assert found.schedule.prediction == "v_prediction"
    assert found.schedule.zero_terminal_snr


def test_sizes_that_leave_the_heads_open_ask_for_the_yaml() -> None:
    with pytest.raises(FileError, match=r"names.safetensors: model.diffusion_model: 32 channels do not divide .*; give its original .yaml"):
        detect(Names(tiny_shapes(FAMILIES["sd2 base"])))
    shapes = true_shapes(FAMILIES["sd1"])
    narrow = {name: tuple(60 if size == 768 and name.startswith(CLIP) else size for size in shape) for name, shape in shapes.items()}
    with pytest.raises(FileError, match=r"cond_stage_model.transformer: width 60 does not divide .*; give its original .yaml"):
        detect(Names(narrow))
    groups = {name: tuple(48 if size == 320 else size for size in shape) for name, shape in shapes.items()}
    with pytest.raises(FileError, match=r"not all multiples of norm_groups 32; give its original .yaml"):
        detect(Names(groups))


def test_another_number_of_levels_and_blocks_is_read_off() -> None:
    kept = {name: shape for name, shape in tiny_shapes(FAMILIES["sd1"]).items() if not name.startswith(UNET)}
    config = UNetConfig(channels=(32, 96), blocks=1, attention=(False, True), context_width=64, heads=8)
    with torch.device("meta"):
        state = UNet(config).state_dict()
    names = renamed(state, rows(config), SINGLE)
    found = detect(Names(kept | {UNET + names[ours]: tuple(tensor.shape) for ours, tensor in state.items()}))
    assert found.unet == config


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["double_blocks.0.img_attn.qkv.weight"], "belongs to Flux"),
        (["model.diffusion_model.joint_blocks.0.x"], "belongs to Stable Diffusion 3"),
        (["control_model.input_blocks.0.0.weight"], "belongs to ControlNet"),
        (["lora_unet_down_blocks_0.lora_up.weight"], "belongs to LoRA"),
        (["something.else"], "no model of Stable Diffusion 1 or 2"),
        ([], "no model of Stable Diffusion 1 or 2"),
        (["encoder.down.0.block.0.conv1.weight", "decoder.conv_out.weight"], r"encoder.conv_in.weight is missing"),
        (["model.diffusion_model.input_blocks.0.0.weight"], r"input_blocks.1.0.out_layers.3.weight is missing"),
    ],
)
def test_what_is_something_else_is_said_in_one_line(names: list[str], message: str) -> None:
    with pytest.raises(FileError, match=message) as caught:
        detect(Names(dict.fromkeys(names, (1,))))
    assert "\n" not in str(caught.value)


class Given(UNet):
    """A U-Net that answers with its input times a number, plus a bit of its own."""

    def __init__(self, share: float, own: float = 0.3):
        super().__init__(UNetConfig(channels=(32,), blocks=1, attention=(False,), context_width=8))
        self.share, self.own = share, own

    def forward(self, x: Tensor, t: Tensor, context: Tensor, label: Tensor | None = None) -> Tensor:
        assert t.tolist() == [999]
        return self.share * x + self.own * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("network", "prediction"),
    [
        (Given(1.0), "epsilon"),  # noise given back
        (Given(0.068, own=0.6), "v_prediction"),  # alpha x noise - sigma x picture, as v is there
        (Given(-0.1, own=0.4), "v_prediction"),
        (Given(0.0, own=0.0), None),
        (Given(0.4, own=0.8), None),
    ],
)
def test_one_evaluation_tells_noise_from_v(network: UNet, prediction: str | None) -> None:
    found, en, ja = probed(network, torch.zeros(77, 8), 1000)
    assert found == prediction
    assert en
    assert ja


def returning_its_input() -> UNet:
    """A U-Net whose weights are all 0 but for a way through first convolution, last skip, norm and last convolution."""
    torch.manual_seed(0)
    network = UNet(SMALL_SD2)
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        network.norm_out.weight.fill_(1.0)
        for i in range(4):  # twice with opposite signs, so that SiLU, x sigmoid(x), takes away what it adds: the difference is x
            for place, sign in ((i, 1.0), (i + 4, -1.0)):
                network.conv_in.weight[place, i, 1, 1] = sign
                network.up[-1].res[-1].skip.weight[place, 64 + place] = 1.0
                network.conv_out.weight[i, place, 1, 1] = sign
    return network


SMALL_SD2 = UNetConfig(channels=(64, 64), blocks=1, attention=(True, False), context_width=64, heads=(1, 1), linear_projection=True)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_file_that_does_not_tell_is_tried_out_and_says_why(kind: str, tmp_path: Path) -> None:
    network = returning_its_input() if kind == "epsilon" else UNet(SMALL_SD2)
    names = renamed(network.state_dict(), rows(SMALL_SD2), SINGLE)
    rest = {name: t for name, t in tensors(FAMILIES["sd2 base"]).items() if not name.startswith(UNET)}
    save_file(rest | {UNET + names[ours]: t for ours, t in network.state_dict().items()}, tmp_path / "m.safetensors")
    model = read_single(tmp_path / "m.safetensors")
    assert model.schedule.prediction == kind
    assert model.unet.config.sample_size == {"epsilon": 64, "v_prediction": 96}[kind]
    assert model.notes[-1].startswith(f"predicts {kind}: at t = 999 its output has a correlation of ")
    assert {p.dtype for p in model.unet.parameters()} == {torch.float32}
    told = read_single(tmp_path / "m.safetensors", prediction="v" if kind == "epsilon" else "epsilon")
    assert told.schedule.prediction != kind
    assert not told.notes
    write_single(model, tmp_path / "out.safetensors")
    assert read_single(tmp_path / "out.safetensors").schedule.prediction == kind  # its metadata says
    with pytest.raises(KakusanError, match="prediction is 'noise'; it must be one of epsilon"):
        read_single(tmp_path / "m.safetensors", prediction="noise")


def test_any_file_is_opened_by_what_is_in_it(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "m.ckpt")  # a wrong name
    torch.save({"state_dict": {"a": torch.ones(2)}}, tmp_path / "m.safetensors")
    for name in ("m.ckpt", "m.safetensors"):
        source = open_file(tmp_path / name)
        assert torch.equal(source.read("a"), torch.ones(2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\n  <html>", "is a web page"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(40), "7-Zip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "Git LFS"),
        (b"GGUF" + bytes(40), "GGUF"),
        (b"\x1f\x8b" + bytes(40), "gzip"),
        (b"hello, this is some text and no model at all", "is neither a safetensors file nor one that torch saved"),
        ((40).to_bytes(8, "little") + b'{"a":', "damaged or cut short"),
    ],
)
def test_what_is_no_model_is_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.ckpt").write_bytes(content)
    with pytest.raises(FileError, match=message) as caught:
        open_file(tmp_path / "m.ckpt")
    assert str(caught.value).startswith(f"{tmp_path}/m.ckpt: ")
    assert "\n" not in str(caught.value)


def test_a_folder_and_nothing_at_all_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a folder"):
        open_file(tmp_path)
    with pytest.raises(FileError, match="is not there"):
        open_file(tmp_path / "nothing.ckpt")
