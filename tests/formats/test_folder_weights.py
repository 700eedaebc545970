"""A folder's weights in whatever files they lie: safetensors and .bin, whole and in shards, plain and in a variant, old names and new."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import diffusers
import pytest
import safetensors.torch
import torch
from torch import Tensor

from formats.families import tiny_variant
from formats.test_folder import assert_same_weights
from kakusan.errors import FileError
from kakusan.formats.folder import read_component, read_folder, write_folder
from kakusan.formats.model import Model

STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_variant("")


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    write_folder(model, tmp_path / "tiny", torch.float32)
    return tmp_path / "tiny"


def taken(folder: Path, part: str) -> Tensors:
    """A part's tensors, whose file is then gone."""
    file = folder / part / f"{STEMS[part]}.safetensors"
    tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load_file(file).items()}
    file.unlink()
    return tensors


def as_safetensors(tensors: Tensors, file: Path) -> None:
    safetensors.torch.save_file(tensors, file)


def as_bin(tensors: Tensors, file: Path) -> None:
    torch.save(tensors, file)


def as_old_bin(tensors: Tensors, file: Path) -> None:
    torch.save(tensors, file, _use_new_zipfile_serialization=False)


def stem_of(part: str, kind: str) -> str:
    return "pytorch_model" if (part, kind) == ("text_encoder", "bin") else STEMS[part]


def whole(tensors: Tensors, folder: Path, part: str, save: Callable[[Tensors, Path], None], variant: str = "") -> None:
    kind = "safetensors" if save is as_safetensors else "bin"
    save(tensors, folder / part / f"{stem_of(part, kind)}{variant and '.' + variant}.{kind}")


def in_shards(
    tensors: Tensors, folder: Path, part: str, save: Callable[[Tensors, Path], None], variant: str = "", late: bool = False
) -> None:
    """late: the variant's name stands behind the count, as diffusers once had it."""
    kind = "safetensors" if save is as_safetensors else "bin"
    stem, mark, names = stem_of(part, kind), variant and f".{variant}", sorted(tensors)
    weight_map = {}
    for i, mine in enumerate((names[::2], names[1::2])):
        count = f"-0000{i + 1}-of-00002"
        file = f"{stem}{count}{mark}.{kind}" if late else f"{stem}{mark}{count}.{kind}"
        save({name: tensors[name] for name in mine}, folder / part / file)
        weight_map |= dict.fromkeys(mine, file)
    (folder / part / f"{stem}.{kind}.index{mark}.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))


@pytest.mark.parametrize("save", [as_safetensors, as_bin, as_old_bin])
@pytest.mark.parametrize("lay", [whole, in_shards])
def test_weights_of_every_kind_of_file(save: Callable[[Tensors, Path], None], lay: Callable[..., None], model: Model, folder: Path) -> None:
    for part in STEMS:
        lay(taken(folder, part), folder, part, save)
    again = read_folder(folder)
    for name in ("unet", "autoencoder", "text"):
        assert_same_weights(getattr(again, name), getattr(model, name), torch.float32)
    assert_same_weights(read_component(folder, "unet", dtype=torch.float16), model.unet, torch.float16)


@pytest.mark.parametrize("save", [as_safetensors, as_bin])
@pytest.mark.parametrize("lay", [whole, in_shards, lambda *args: in_shards(*args, late=True)])
def test_a_variant_is_taken_where_it_is_asked_for(
    save: Callable[[Tensors, Path], None], lay: Callable[..., None], model: Model, folder: Path
) -> None:
    for part in ("unet", "vae"):
        tensors = taken(folder, part)
        lay({name: tensor.half() for name, tensor in tensors.items()}, folder, part, save, "fp16")
        as_safetensors(tensors, folder / part / f"{STEMS[part]}.safetensors")
    for variant, dtype in ((None, torch.float32), ("fp16", torch.float16)):
        again = read_folder(folder, variant=variant)
        assert_same_weights(again.unet, model.unet, dtype)
        assert_same_weights(again.autoencoder, model.autoencoder, dtype)
        assert_same_weights(again.text, model.text, torch.float32)  # which has no variant
    for part in ("unet", "vae"):
        (folder / part / f"{STEMS[part]}.safetensors").unlink()
    assert_same_weights(read_folder(folder).unet, model.unet, torch.float16)  # there is nothing else


def test_a_variant_that_is_not_there(folder: Path) -> None:
    with pytest.raises(FileError, match="no weights of the variant 'ema'"):
        read_folder(folder, variant="ema")
    with pytest.raises(FileError, match="vae: no weights of the variant 'fp16'"):
        read_component(folder, "vae", variant="fp16")
    shutil.copy(folder / "unet" / "diffusion_pytorch_model.safetensors", folder / "unet" / "diffusion_pytorch_model.ema.safetensors")
    assert read_folder(folder, variant="ema").unet is not None


def test_files_as_diffusers_saves_variants_and_shards(model: Model, folder: Path, tmp_path: Path) -> None:
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    theirs.unet.half().save_pretrained(tmp_path / "unet", variant="fp16", max_shard_size="100KB")
    theirs.vae.save_pretrained(tmp_path / "vae", safe_serialization=False)
    theirs.text_encoder.half().save_pretrained(tmp_path / "text_encoder", variant="fp16", max_shard_size="20KB")
    assert len(list((tmp_path / "unet").glob("*.fp16-*-of-*.safetensors"))) > 1
    assert len(list((tmp_path / "text_encoder").glob("*-of-*.safetensors"))) > 1
    assert_same_weights(read_component(tmp_path, "unet", variant="fp16"), model.unet, torch.float16)
    assert_same_weights(read_component(tmp_path, "vae"), model.autoencoder, torch.float32)
    assert_same_weights(read_component(tmp_path, "text_encoder", variant="fp16"), model.text, torch.float16)


@pytest.mark.parametrize("conv", [True, False])
@pytest.mark.parametrize("save", [as_safetensors, as_bin])
def test_the_autoencoders_attention_of_older_days(conv: bool, save: Callable[[Tensors, Path], None], model: Model, folder: Path) -> None:
    """Its layers were called otherwise, and were linear in some files and 1x1 convolutions in others."""
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, tensor in taken(folder, "vae").items():
        for now, then in old.items():
            if f".{now}." in name:
                name = name.replace(f".{now}.", f".{then}.")
                tensor = tensor[:, :, None, None] if conv and tensor.dim() == 2 else tensor
        tensors[name] = tensor
    assert sum(".query." in name for name in tensors) == 4
    whole(tensors, folder, "vae", save)
    assert_same_weights(read_folder(folder).autoencoder, model.autoencoder, torch.float32)


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("prefix", ["text_model.", ""])
@pytest.mark.parametrize("save", [as_safetensors, as_bin])
def test_the_text_towers_names(ids: bool, prefix: str, save: Callable[[Tensors, Path], None], model: Model, folder: Path) -> None:
    tensors = {prefix + name.removeprefix("text_model."): tensor for name, tensor in taken(folder, "text_encoder").items()}
    if ids:
        tensors[f"{prefix}embeddings.position_ids"] = torch.arange(77)[None]
    whole(tensors, folder, "text_encoder", save)
    assert_same_weights(read_folder(folder).text, model.text, torch.float32)


def test_safetensors_go_before_bin(model: Model, folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"not read")
    assert_same_weights(read_folder(folder).unet, model.unet, torch.float32)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells memory maps by Linux's list of them")
@pytest.mark.parametrize("save", [as_safetensors, as_bin])
def test_weights_stay_in_their_files(save: Callable[[Tensors, Path], None], folder: Path) -> None:
    whole(taken(folder, "unet"), folder, "unet", save)
    unet = read_component(folder, "unet")
    maps = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, *_, file = line.split()
        if file.startswith(str(folder)):
            start, end = (int(at, 16) for at in place.split("-"))
            maps.append(range(start, end))
    assert all(any(tensor.data_ptr() in memory for memory in maps) for tensor in unet.state_dict().values())


class Opens:
    """What runs when a pickle is loaded carelessly."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.file), "w"))


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def replaced(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        whole(taken(folder, "unet"), folder, "unet", as_bin)
        change(folder / "unet" / "diffusion_pytorch_model.bin")

    return damage


def weights(change: Callable[[Tensors], Tensors]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        whole(change(taken(folder, "unet")), folder, "unet", as_bin)

    return damage


def sharded(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        in_shards(taken(folder, "unet"), folder, "unet", as_bin)
        change(folder / "unet")

    return damage


def index(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def damage(unet: Path) -> None:
        file = unet / "diffusion_pytorch_model.bin.index.json"
        file.write_text(json.dumps(change(json.loads(file.read_text())["weight_map"])))

    return sharded(damage)


SECOND = "diffusion_pytorch_model-00002-of-00002.bin"
DAMAGES = {
    "none at all": (replaced(Path.unlink), "unet/diffusion_pytorch_model.safetensors: the file is missing"),
    "a tensor less": (weights(lambda t: {k: v for k, v in t.items() if k != "conv_in.bias"}), "model.bin: conv_in.bias is missing"),
    "a tensor more": (weights(lambda t: {**t, "lora.up": torch.ones(1)}), "model.bin: lora.up is not a tensor of this model"),
    "another shape": (weights(lambda t: {**t, "conv_in.bias": torch.ones(3)}), r"model.bin: conv_in.bias has shape \[3\]"),
    "whole numbers": (weights(lambda t: {**t, "conv_in.bias": torch.ones(32).int()}), "model.bin: conv_in.bias holds int32"),
    "the same twice": (
        lambda f: whole(
            (t := taken(f, "text_encoder")) | {"final_layer_norm.bias": t["text_model.final_layer_norm.bias"].clone()},
            f,
            "text_encoder",
            as_bin,
        ),
        "final_layer_norm.bias is not a tensor of this model",
    ),
    "a web page": (replaced(lambda file: file.write_text("<html>")), "is a web page"),
    "cut short": (replaced(cut_short), "diffusion_pytorch_model.bin: "),
    "a shard missing": (sharded(lambda f: (f / SECOND).unlink()), f"{SECOND}: the file is missing"),
    "a shard cut": (sharded(lambda f: cut_short(f / SECOND)), f"{SECOND}: "),
    "an index of nothing": (index(lambda m: {}), r'bin.index.json: "weight_map" is missing or empty'),
    "an index elsewhere": (index(lambda m: {"weight_map": {"conv_in.bias": "../x.bin"}}), "conv_in.bias is in '../x.bin'"),
    "an index of numbers": (index(lambda m: {"weight_map": {"conv_in.bias": 3}}), "conv_in.bias is in 3"),
    "a promise too many": (index(lambda m: {"weight_map": {**m, "x": SECOND}}), f"{SECOND}: x is missing, though the index promises it"),
    "a tensor not listed": (
        index(lambda m: {"weight_map": {k: v for k, v in m.items() if k != "conv_in.bias"}}),
        "conv_in.bias is not in the index",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(damage: str, folder: Path) -> None:
    make, said = DAMAGES[damage]
    make(folder)
    with pytest.raises(FileError, match=said) as caught:
        read_folder(folder)
    assert str(folder) in caught.value.en
    assert str(folder) in caught.value.ja
    assert "\n" not in caught.value.en + caught.value.ja


def test_a_bin_that_would_run_something_is_refused(folder: Path, tmp_path: Path) -> None:
    torch.save({**taken(folder, "unet"), "more": Opens(tmp_path / "made")}, folder / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(FileError, match=r"diffusion_pytorch_model.bin: .*open"):
        read_folder(folder)
    assert not (tmp_path / "made").exists()
