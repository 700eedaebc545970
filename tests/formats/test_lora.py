"""LoRAs in everybody's names, and hostile ones."""

import contextlib
import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from formats.adapters import dotted, kohya, layer, pairs
from formats.tiny import tiny_model
from kakusan.errors import FileError
from kakusan.formats.hashes import content_hash
from kakusan.formats.lora import Held, Lora, read_lora
from kakusan.formats.lora_names import Names, Place, written
from kakusan.formats.lora_write import Style, write_lora
from kakusan.formats.model import Model
from kakusan.formats.safetensors import SafetensorsFile
from kakusan.models.clip_text import ClipText, ClipTextConfig
from kakusan.models.lora import Term
from kakusan.models.unet import UNet, UNetConfig


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def deltas(model: Model, lora: Lora) -> dict[Place, Tensor]:
    return {place: term.delta(layer(model, place).weight.detach()) for place, term in lora.terms.items()}


def assert_adds(model: Model, lora: Lora, made: dict[Place, tuple[Tensor, Tensor]], scale: float) -> None:
    found = deltas(model, lora)
    assert found.keys() == made.keys()
    for place, (down, up) in made.items():
        wanted = scale * (up.flatten(1) @ down.flatten(1)).view(layer(model, place).weight.shape)
        torch.testing.assert_close(found[place], wanted, rtol=1e-5, atol=1e-7)


PEFT = (".lora_A.weight", ".lora_B.weight")
SPELLINGS: dict[str, tuple[Callable[[Model, Any], dict[str, Tensor]], float]] = {
    "kohya": (kohya, 0.5),
    "kohya with te1": (lambda m, p: {k.replace("lora_te_", "lora_te1_"): v for k, v in kohya(m, p).items()}, 0.5),
    "diffusers": (lambda m, p: dotted(m, p, ".lora.down.weight", ".lora.up.weight"), 1.0),
    "diffusers' linear layers": (lambda m, p: dotted(m, p, ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"), 1.0),
    "PEFT in diffusers": (lambda m, p: dotted(m, p, *PEFT), 1.0),
    "PEFT": (
        lambda m, p: {k.replace("unet.", "").replace("text_encoder.", ""): v for k, v in dotted(m, p, *PEFT, "base_model.model.").items()},
        1.0,
    ),
    "PEFT in memory": (lambda m, p: dotted(m, p, ".lora_A.default.weight", ".lora_B.default.weight", "base_model.model."), 1.0),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_read(name: str, model: Model, tmp_path: Path) -> None:
    spelling, scale = SPELLINGS[name]
    made = pairs(model)
    save_file({k: v.contiguous() for k, v in spelling(model, made).items()}, tmp_path / "a.safetensors")
    lora = read_lora(tmp_path / "a.safetensors", model)
    assert_adds(model, lora, made, scale)
    assert lora.unmatched == ()


@pytest.mark.parametrize("wrapped", [False, True])
def test_torch_files_are_read_as_data(wrapped: bool, model: Model, tmp_path: Path) -> None:
    made = pairs(model)
    tensors = kohya(model, made)
    torch.save({"state_dict": tensors} if wrapped else tensors, tmp_path / "a.pt")
    assert_adds(model, read_lora(tmp_path / "a.pt", model), made, 0.5)


def test_the_first_loras_of_diffusers(model: Model, tmp_path: Path) -> None:
    """Before version 0.17: attention processors, no prefix for the U-Net."""
    made = {p: v for p, v in pairs(model, text=False).items() if ".attn1." in p.layer or ".attn2." in p.layer}
    tensors = {}
    for place, (down, up) in made.items():
        block, _, name = written(model, place).removesuffix(".0").rpartition(".")
        tensors |= {f"{block}.processor.{name}_lora.down.weight": down, f"{block}.processor.{name}_lora.up.weight": up}
    text = Place("text", "layers.0.attn.to_q")
    made[text] = pairs(model)[text]
    stem = "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora"
    tensors |= {f"{stem}.down.weight": made[text][0], f"{stem}.up.weight": made[text][1]}
    torch.save(tensors, tmp_path / "pytorch_lora_weights.bin")
    assert_adds(model, read_lora(tmp_path, model), made, 1.0)


def test_alphas_that_are_said_beside_the_tensors(model: Model, tmp_path: Path) -> None:
    made = pairs(model)
    tensors = dotted(model, made, *PEFT)
    said = {"unet.lora_alpha": 8, "unet.r": 4, "text_encoder.lora_alpha": 8, "text_encoder.use_rslora": False}
    save_file(tensors, tmp_path / "a.safetensors", {"format": "pt", "lora_adapter_metadata": json.dumps(said)})
    assert_adds(model, read_lora(tmp_path / "a.safetensors", model), made, 2.0)
    folder = tmp_path / "peft"
    folder.mkdir()
    unet = {k.replace("unet.", "base_model.model."): v for k, v in tensors.items() if k.startswith("unet.")}
    save_file(unet, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8, "r": 4, "use_rslora": True}))
    assert_adds(model, read_lora(folder, model), {p: v for p, v in made.items() if p.network == "unet"}, 4.0)  # 8 / sqrt 4


def test_convolutions_with_a_core(model: Model, tmp_path: Path) -> None:
    """LoCon with lora_mid: up after a 3x3 convolution after down."""
    place = Place("unet", "down.0.res.0.conv1")
    weight = layer(model, place).weight
    o, i = weight.shape[:2]
    torch.manual_seed(0)
    down, mid, up = torch.randn(4, i, 1, 1), torch.randn(4, 4, 3, 3), torch.randn(o, 4, 1, 1)
    stem = "lora_unet_" + written(model, place).replace(".", "_")
    tensors = {f"{stem}.lora_down.weight": down, f"{stem}.lora_mid.weight": mid, f"{stem}.lora_up.weight": up}
    save_file(tensors | {f"{stem}.alpha": torch.tensor(2.0)}, tmp_path / "a.safetensors")
    x = torch.randn(1, i, 6, 6)
    conv = torch.nn.functional.conv2d
    wanted = 0.5 * conv(conv(conv(x, down), mid, padding=1), up)
    found = deltas(model, read_lora(tmp_path / "a.safetensors", model))[place]
    torch.testing.assert_close(conv(x, found, padding=1), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["loha", "loha core", "lokr", "lokr whole", "diff"])
def test_forms_of_lycoris(form: str, model: Model, tmp_path: Path) -> None:
    place = Place("unet", "down.0.res.0.conv1" if form == "loha core" else "down.0.attn.0.block.attn2.to_out")
    weight = layer(model, place).weight
    o, i = weight.shape[:2]
    torch.manual_seed(0)
    r = torch.randn
    made: dict[str, Tensor]
    match form:
        case "loha":
            made = {"hada_w1_a": r(o, 4), "hada_w1_b": r(4, i), "hada_w2_a": r(o, 4), "hada_w2_b": r(4, i)}
            wanted = (made["hada_w1_a"] @ made["hada_w1_b"]) * (made["hada_w2_a"] @ made["hada_w2_b"]) / 2
        case "loha core":
            made = {f"hada_{name}": r(4, size) for name, size in (("w1_a", o), ("w1_b", i), ("w2_a", o), ("w2_b", i))}
            made |= {"hada_t1": r(4, 4, 3, 3), "hada_t2": r(4, 4, 3, 3)}
            sides = [torch.einsum("abhw,bi,ao->oihw", made[f"hada_t{n}"], made[f"hada_w{n}_b"], made[f"hada_w{n}_a"]) for n in "12"]
            wanted = sides[0] * sides[1] / 2
        case "lokr":
            made = {"lokr_w1": r(4, 4), "lokr_w2_a": r(o // 4, 4), "lokr_w2_b": r(4, i // 4)}
            wanted = torch.kron(made["lokr_w1"], made["lokr_w2_a"] @ made["lokr_w2_b"]) / 2
        case "lokr whole":
            made = {"lokr_w1": r(4, 2), "lokr_w2": r(o // 4, i // 2)}
            wanted = torch.kron(made["lokr_w1"], made["lokr_w2"])
        case _:
            made = {"diff": r(o, i)}
            wanted = made["diff"]
    stem = "lora_unet_" + written(model, place).replace(".", "_")
    tensors = {f"{stem}.{name}": tensor for name, tensor in made.items()}
    save_file(tensors | ({} if form == "diff" else {f"{stem}.alpha": torch.tensor(2.0)}), tmp_path / "a.safetensors")
    torch.testing.assert_close(deltas(model, read_lora(tmp_path / "a.safetensors", model))[place], wanted)


@pytest.mark.parametrize("axis", [0, 1])
def test_dora_brings_the_changed_weight_to_its_norms(axis: int, model: Model, tmp_path: Path) -> None:
    """Of the outputs, as in the paper; older LyCORIS has norms of the inputs."""
    place = Place("unet", "down.0.res.0.conv1")
    down, up = pairs(model)[place]
    weight = layer(model, place).weight.detach()
    norms = torch.rand(weight.shape[axis]) + 0.5
    stem = "lora_unet_" + written(model, place).replace(".", "_")
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    tensors = {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.dora_scale": norms.view(shape)}
    save_file(tensors, tmp_path / "a.safetensors")
    changed = weight + deltas(model, read_lora(tmp_path / "a.safetensors", model))[place]
    torch.testing.assert_close(changed.transpose(0, axis).flatten(1).norm(dim=1), norms)


@pytest.mark.parametrize("style", ["kohya", "diffusers"])
def test_what_is_written_is_read(style: Style, model: Model, tmp_path: Path) -> None:
    made = pairs(model)
    terms = {place: Term(down, up.flatten(1), 3.0, torch.rand(len(up)) + 1) for place, (down, up) in made.items()}
    unet, text = ({p.layer: t for p, t in terms.items() if p.network == network} for network in ("unet", "text"))
    write_lora(Lora(unet, text), tmp_path / "mine.safetensors", model, style=style)
    back = read_lora(tmp_path / "mine.safetensors", model)
    assert back.unmatched == ()
    assert back.terms.keys() == terms.keys()
    for place, term in terms.items():
        other = back.terms[place]
        assert torch.equal(other.down, term.down)
        assert torch.equal(other.up, term.up)
        assert torch.equal(other.magnitude, term.magnitude)
        assert other.alpha == 3.0
    write_lora(back, tmp_path / "again.safetensors", model, style=style, name="mine")
    first, second = (SafetensorsFile(tmp_path / f"{stem}.safetensors") for stem in ("mine", "again"))
    assert (first.tensors, first.metadata) == (second.tensors, second.metadata)
    assert all(torch.equal(first.read(name), second.read(name)) for name in first.tensors)


def test_metadata_as_kohya_writes_it(model: Model, tmp_path: Path) -> None:
    lora = Lora(
        {"mid.attn.proj_in": Term(torch.randn(4, 64, 1, 1), torch.randn(64, 4), 2.0), "up.0.res.0.time": Term(torch.randn(64, 128))}, {}
    )
    write_lora(lora, tmp_path / "mine.safetensors", model, name="My LoRA")
    said = SafetensorsFile(tmp_path / "mine.safetensors").metadata
    assert {key: said[key] for key in ("ss_output_name", "ss_network_dim", "ss_network_alpha")} == {
        "ss_output_name": "My LoRA",
        "ss_network_dim": "4",
        "ss_network_alpha": "2.0",
    }
    assert said["sshs_model_hash"][:12] == content_hash(tmp_path / "mine.safetensors")
    assert read_lora(tmp_path / "mine.safetensors", model).unet["up.0.res.0.time"].up is None


def test_names_of_sd1_as_released() -> None:
    with torch.device("meta"):
        model = Model(UNet(UNetConfig()), None, ClipText(ClipTextConfig()), None, None)  # type: ignore[arg-type]
    names = Names(model)
    trained = [name for name in names.known if re.fullmatch("lora_(unet_(down|mid|up)_.*_transformer_blocks_0_(attn|ff).*|te_.*)", name)]
    assert len(trained) == 16 * 10 + 12 * 6  # attentions of the U-Net and layers of the text tower, as kohya's programs train them
    for name, place in {
        "lora_unet_down_blocks_2_attentions_1_transformer_blocks_0_ff_net_0_proj": ("unet", "down.2.attn.1.block.ff_in"),
        "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q": ("unet", "down.0.attn.0.block.attn1.to_q"),
        "lora_te_text_model_encoder_layers_11_mlp_fc2": ("text", "layers.11.ff_out"),
        "lora_unet_mid_block_attentions_0_proj_in": ("unet", "mid.attn.proj_in"),
        "lora_unet_down_blocks_0_downsamplers_0_conv": ("unet", "down.0.shrink"),
    }.items():
        assert names.place(name) == place


def one(model: Model) -> dict[str, Tensor]:
    return kohya(model, pairs(model))


def first(tensors: dict[str, Tensor], end: str, word: str = "attn1_to_q") -> str:
    return next(name for name in tensors if name.endswith(end) and word in name)


def change(end: str, tensor: Callable[[Tensor], Tensor], word: str = "attn1_to_q") -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda t: t | {first(t, end, word): tensor(t[first(t, end, word)])}


HOSTILE: dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = {
    "NaN": (change("lora_up.weight", lambda t: t * torch.nan), "attn1_to_q.lora_up.weight holds NaN or infinity"),
    "infinity": (change("alpha", lambda t: t / 0), "attn1_to_q.alpha holds NaN or infinity"),
    "rank": (change("lora_down.weight", lambda t: torch.zeros(2000, t.shape[1])), "is of rank 2000; at most 32"),
    "width": (change("lora_down.weight", lambda t: torch.zeros(4, 31)), r"has shape \[4, 31\] instead of \[4, 32\]"),
    "height": (change("lora_up.weight", lambda t: torch.zeros(31, 4)), r"has shape \[31, 4\] instead of \[32, 4\]"),
    "scalar": (change("lora_down.weight", lambda t: torch.tensor(1.0)), "is of rank 0"),
    "nothing": (change("lora_down.weight", lambda t: torch.zeros(0, 32)), "NaN or infinity, or nothing"),
    "alpha": (change("alpha", lambda t: torch.zeros(3)), r"has shape \[3\]; an alpha is one number"),
    "integers": (change("lora_up.weight", lambda t: torch.zeros(32, 4, dtype=torch.int32)), "holds int32 numbers"),
    "half": (lambda t: {k: v for k, v in t.items() if k != first(t, "lora_up.weight")}, "lacks its counterpart"),
    "SD1": (
        change("lora_down.weight", lambda t: torch.zeros(4, 768), "attn2_to_k"),
        "a LoRA for Stable Diffusion 1 .*; this model is a model",
    ),
    "SD2": (change("lora_down.weight", lambda t: torch.zeros(4, 1024), "attn2_to_k"), "a LoRA for Stable Diffusion 2 "),
    "SDXL": (change("lora_down.weight", lambda t: torch.zeros(4, 2048), "attn2_to_k"), "a LoRA for Stable Diffusion XL "),
    "strangers": (lambda t: t | {f"lora_unet_x{i}.lora_up.weight": torch.ones(1) for i in range(9)}, "9 of 51 tensors fit no layer"),
    "checkpoint": (lambda t: {"model.diffusion_model.out.2.bias": torch.zeros(4)}, "not a LoRA; none of its 1 tensors"),
    "empty": (lambda t: {}, "not a LoRA"),
    "control": (lambda t: {"x\n\x1b[31m": torch.zeros(1)}, "not a LoRA"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_line(name: str, model: Model, tmp_path: Path) -> None:
    spoil, told = HOSTILE[name]
    save_file(spoil(one(model)), tmp_path / "a.safetensors")
    with pytest.raises(FileError, match=told) as caught:
        read_lora(tmp_path / "a.safetensors", model)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


def test_a_few_strangers_are_named(model: Model, tmp_path: Path) -> None:
    save_file(one(model) | {"lora_unet_x.lora_up.weight": torch.ones(1)}, tmp_path / "a.safetensors")
    assert read_lora(tmp_path / "a.safetensors", model).unmatched == ("lora_unet_x.lora_up.weight",)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_files_cut_anywhere_are_refused_in_one_line(ending: str, model: Model, tmp_path: Path) -> None:
    file = tmp_path / f"a.{ending}"
    if ending == "pt":
        torch.save(one(model), file)
    else:
        save_file(one(model), file)
    whole = file.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(FileError) as caught:
            read_lora(file, model)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_mutated_files_are_read_or_refused(ending: str, model: Model, tmp_path: Path) -> None:
    file, draw = tmp_path / f"a.{ending}", random.Random(0)
    if ending == "pt":
        torch.save(one(model), file)
    else:
        save_file(one(model), file)
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little") if ending == "safetensors" else len(whole)
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(header)] = draw.randrange(256)
        file.write_bytes(changed)
        with contextlib.suppress(FileError):
            read_lora(file, model)


def test_products_larger_than_the_layer_are_not_made(model: Model) -> None:
    stem, long = "lora_unet_down_blocks_0_resnets_0_conv1", 1 << 20
    for tensors in (
        {f"hada_w{i}_{x}": torch.rand((long, 1) if x == "a" else (1, long)) for i in "12" for x in "ab"},
        {f"hada_{t}": torch.rand((1, 1, 3, 3) if t[0] == "t" else (1, long)) for t in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
        {"lokr_w1": torch.rand(1, 1), "lokr_w2_a": torch.rand(long, 1), "lokr_w2_b": torch.rand(1, long)},
    ):
        with pytest.raises(FileError, match="do not fit together"):
            read_lora(Held({f"{stem}.{name}": tensor for name, tensor in tensors.items()}), model)


def test_shapes_of_every_kind_are_refused(model: Model) -> None:
    """Each tensor of each form with each of many shapes: never anything but a FileError."""
    stem = "lora_unet_down_blocks_0_resnets_0_conv1"
    forms = (
        ("lora_down.weight", "lora_up.weight", "alpha"),
        ("lora_down.weight", "lora_mid.weight", "lora_up.weight"),
        ("lora_down.weight", "lora_up.weight", "dora_scale"),
        ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"),
        ("lokr_w1", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
        ("lokr_w1_a", "lokr_w1_b", "lokr_w2", "alpha"),
        ("diff", "dora_scale"),
    )
    draw = random.Random(0)
    for _ in range(400):
        form = draw.choice(forms)
        sizes = [[draw.choice((0, 1, 2, 4, 32, 288)) for _ in range(draw.randint(0, 5))] for _ in form]
        tensors = {
            f"{stem}.{name}": torch.rand(size[:2] if math.prod(size) > 1e6 else size) for name, size in zip(form, sizes, strict=True)
        }
        with contextlib.suppress(FileError):
            read_lora(Held(tensors), model)
