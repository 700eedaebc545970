"""kakusan.formats.convert: names in, names out; compared with torch and read back by the safetensors library."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from formats.memory import Memory
from kakusan.errors import FileError, KakusanError
from kakusan.formats.convert import converted
from kakusan.formats.ema import ema
from kakusan.formats.stream import write_source

WEIGHTS = ("model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.time_embed.0.bias")

AUTOENCODER = {"encoder.conv_in.weight": (4, 3, 3, 3), "decoder.conv_out.bias": (3,), "quant_conv.bias": (8,)}


def checkpoint(averages: str = "full") -> dict[str, Tensor]:
    """Something of every kind that real files hold."""
    torch.manual_seed(0)
    tensors = {
        "betas": torch.rand(1000),
        "low_scale_model.alphas_cumprod": torch.rand(1000),
        "model.diffusion_model.input_blocks.0.0.weight": torch.randn(8, 4, 3, 3),
        "model.diffusion_model.time_embed.0.bias": torch.randn(8),
        "first_stage_model.encoder.conv_in.weight": torch.randn(4, 3, 3, 3),
        "first_stage_model.decoder.conv_out.bias": torch.randn(3),
        "first_stage_model.quant_conv.bias": torch.randn(8),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
        "somebody.elses.addition": torch.randn(3, dtype=torch.float64),
    }
    if averages != "none":
        tensors |= {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(470000, dtype=torch.int32)}
    if averages == "full":
        tensors |= {f"model_ema.{name.removeprefix('model.').replace('.', '')}": tensors[name] * 0.9 for name in WEIGHTS}
    return tensors


def rewritten(path: Path, tensors: dict[str, Tensor], **choices: object) -> dict[str, Tensor]:
    write_source(converted(Memory(tensors, {"global_step": "470000"}), **choices), path / "out")  # type: ignore[arg-type]
    return load_file(path / "out")


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def test_nothing_asked_for_is_the_identity(tmp_path: Path) -> None:
    assert_same(rewritten(tmp_path, checkpoint()), checkpoint())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtype_is_that_of_the_weights_alone(tmp_path: Path, dtype: torch.dtype) -> None:
    as_they_were = ("betas", "low_scale_model.alphas_cumprod", "model_ema.decay", "model_ema.num_updates")
    wanted = {name: t if name in as_they_were or not t.is_floating_point() else t.to(dtype) for name, t in checkpoint().items()}
    assert_same(rewritten(tmp_path, checkpoint(), dtype=dtype), wanted)


@pytest.mark.parametrize("averages", ["none", "leftovers", "full"])
def test_choice_of_averaged_weights(tmp_path: Path, averages: str) -> None:
    tensors = checkpoint(averages)
    assert ema(tensors) == averages
    raw = {name: t for name, t in tensors.items() if not name.startswith("model_ema.")}
    assert_same(rewritten(tmp_path, tensors, use_ema=False), raw)
    (tmp_path / "out").unlink()
    scale = 0.9 if averages == "full" else 1
    assert_same(rewritten(tmp_path, tensors, use_ema=True), {n: t * scale if n in WEIGHTS else t for n, t in raw.items()})


def test_an_average_that_is_missing_or_of_another_shape_is_named() -> None:
    tensors = checkpoint()
    name = "model_ema.diffusion_modeltime_embed0bias"
    tensors[name] = torch.zeros(3)
    with pytest.raises(FileError, match=rf"memory: {name} has shape \[3\] instead of \[8\]"):
        converted(Memory(tensors), use_ema=True)
    del tensors[name]
    with pytest.raises(FileError, match=f"memory: {name} is missing"):
        converted(Memory(tensors), use_ema=True)


@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
def test_another_autoencoder(tmp_path: Path, prefix: str) -> None:
    other = {name: torch.randn(shape).half() for name, shape in AUTOENCODER.items()}
    extra = {"loss.logvar": torch.zeros(1), "model_ema.decay": torch.zeros(())}
    vae = Memory({f"{prefix}{name}": t for name, t in other.items()} | extra, file="vae.pt")
    found = rewritten(tmp_path, checkpoint(), vae=vae)
    assert_same(found, checkpoint() | {f"first_stage_model.{name}": t for name, t in other.items()})


def test_an_autoencoder_that_does_not_fit_is_refused() -> None:
    fitting = {name: torch.randn(shape) for name, shape in AUTOENCODER.items()}
    with pytest.raises(FileError, match=r"vae\.pt: quant_conv\.bias is missing"):
        converted(Memory(checkpoint()), vae=Memory({n: t for n, t in fitting.items() if "quant" not in n}, file="vae.pt"))
    with pytest.raises(FileError, match=r"vae\.pt: quant_conv\.bias has shape \[9\] instead of \[8\]"):
        converted(Memory(checkpoint()), vae=Memory(fitting | {"quant_conv.bias": torch.zeros(9)}, file="vae.pt"))
    with pytest.raises(KakusanError, match="has no autoencoder to replace"):
        converted(Memory({"model.x": torch.zeros(2)}), vae=Memory(fitting))


def test_a_weight_too_large_for_fp16_is_refused_not_made_infinite(tmp_path: Path) -> None:
    tensors = {"model.x": torch.tensor([1.0, -70000.0])}
    with pytest.raises(FileError, match=r"memory: model\.x has 70000, too much for fp16; use bf16"):
        rewritten(tmp_path, tensors, dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []
    assert rewritten(tmp_path, tensors, dtype=torch.bfloat16)["model.x"][1] == -70144.0
    infinite = {"model.x": torch.tensor([torch.inf])}
    (tmp_path / "out").unlink()
    assert rewritten(tmp_path, infinite, dtype=torch.float16)["model.x"].isinf()
