"""Components under diffusers' and transformers' names: the same numbers, the same tensors' names, the same configuration."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from torch import Tensor, nn

from compat import tiny_folders as tiny
from kakusan.compat import diffusers as ours
from kakusan.errors import FileError, KakusanError
from kakusan.prompts.tokenizer import Tokenizer

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
TEXTS = ("a photograph of an astronaut riding a horse", "", "赤いりんご", "hello<|endoftext|> world!", "it's   a\ttest 🎉", "x " * 100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def vae(folder: Path) -> tuple[Any, Any]:
    return ours.AutoencoderKL.from_pretrained(folder, subfolder="vae"), diffusers.AutoencoderKL.from_pretrained(folder, subfolder="vae")


@pytest.fixture(scope="module")
def unet(folder: Path) -> tuple[Any, Any]:
    options = {"subfolder": "unet"}
    return ours.UNet2DConditionModel.from_pretrained(folder, **options), diffusers.UNet2DConditionModel.from_pretrained(folder, **options)


@pytest.fixture(scope="module")
def text(folder: Path) -> tuple[Any, Any]:
    options = {"subfolder": "text_encoder"}
    return ours.CLIPTextModel.from_pretrained(folder, **options), transformers.CLIPTextModel.from_pretrained(folder, **options)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    path = tmp_path_factory.mktemp("words")
    Tokenizer.clip().save(path)
    return ours.CLIPTokenizer.from_pretrained(path), transformers.CLIPTokenizer.from_pretrained(path)


def test_the_names_are_there_without_importing_torch() -> None:
    code = (
        "import sys, kakusan.compat.diffusers as d; assert 'AutoencoderKL' in dir(d); print('torch' in sys.modules, 'PIL' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False False\n"


def test_every_name_can_be_imported() -> None:
    for name in ours.__all__:
        assert isinstance(getattr(ours, name), type), name
    with pytest.raises(AttributeError, match="NoSuchPipeline"):
        _ = ours.NoSuchPipeline


# The autoencoder


def test_pictures_are_encoded_as_by_diffusers(vae: tuple[Any, Any]) -> None:
    picture = torch.rand(2, 3, 32, 24) * 2 - 1
    with torch.no_grad():
        mine, theirs = (one.encode(picture).latent_dist for one in vae)
        tuples = [one.encode(picture, return_dict=False)[0].mode() for one in vae]
    for name in ("mean", "logvar", "std", "var", "parameters"):
        torch.testing.assert_close(getattr(mine, name), getattr(theirs, name), **CLOSE)
    for ask in (lambda d: d.mode(), lambda d: d.kl(), lambda d: d.nll(d.mean + 0.3), lambda d: d.sample(torch.Generator().manual_seed(5))):
        torch.testing.assert_close(ask(mine), ask(theirs), **CLOSE)
    torch.testing.assert_close(tuples[0], tuples[1], **CLOSE)
    torch.testing.assert_close(mine.kl(ours.DiagonalGaussianDistribution(mine.parameters.flip(0))), _kl(mine), **CLOSE)


def _kl(one: Any) -> Tensor:
    normal = torch.distributions.Normal
    return torch.distributions.kl_divergence(normal(one.mean, one.std), normal(one.mean.flip(0), one.std.flip(0))).sum(dim=(1, 2, 3))


def test_latents_are_decoded_as_by_diffusers(vae: tuple[Any, Any]) -> None:
    latents = torch.randn(2, 4, 4, 3)
    with torch.no_grad():
        mine, theirs = (one.decode(latents) for one in vae)
        whole, again = (one(torch.tanh(torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)))).sample for one in vae)
    torch.testing.assert_close(mine.sample, theirs.sample, **CLOSE)
    torch.testing.assert_close(whole, again, **CLOSE)
    assert torch.equal(mine[0], mine.sample)
    assert torch.equal(vae[0].decode(latents, return_dict=False)[0], mine.sample)


def test_slices_change_nothing(vae: tuple[Any, Any]) -> None:
    latents = torch.randn(3, 4, 4, 4)
    with torch.no_grad():
        whole = vae[0].decode(latents).sample
        vae[0].enable_slicing()
        sliced = vae[0].decode(latents).sample
        vae[0].disable_slicing()
    torch.testing.assert_close(sliced, whole, **CLOSE)


# The U-Net


@pytest.mark.parametrize("timestep", [7, 7.5, torch.tensor(981), torch.tensor([1, 981])], ids=str)
def test_the_unet_predicts_as_diffusers_does(unet: tuple[Any, Any], timestep: Any) -> None:
    x, states = torch.randn(2, 4, 8, 12), torch.randn(2, 77, tiny.WIDTH)
    with torch.no_grad():
        mine, theirs = (one(x, timestep, encoder_hidden_states=states) for one in unet)
        assert torch.equal(unet[0](x, timestep, states, return_dict=False)[0], mine.sample)
    torch.testing.assert_close(mine.sample, theirs.sample, **CLOSE)


def test_gradients_flow_to_latents_and_weights(unet: tuple[Any, Any]) -> None:
    x, states = torch.randn(1, 4, 8, 8), torch.randn(1, 5, tiny.WIDTH)
    found = []
    for one in unet:
        one.requires_grad_(True)
        leaf = x.clone().requires_grad_(True)
        one(leaf, 500, states).sample.pow(2).sum().backward()
        weights = dict(one.named_parameters())
        found.append((leaf.grad, weights.get("conv_in.weight", weights.get("network.conv_in.weight")).grad))
        one.requires_grad_(False)
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_classes_are_noise_levels() -> None:
    mine = diffusers_to_ours(tiny.unet(7, num_class_embeds=20), ours.UNet2DConditionModel)
    theirs = tiny.unet(7, num_class_embeds=20)
    x, states = torch.randn(2, 7, 8, 8), torch.randn(2, 9, tiny.WIDTH)
    with torch.no_grad():
        for labels in (torch.tensor([3, 19]), torch.tensor([4, 4])):
            torch.testing.assert_close(
                mine(x, 10, states, class_labels=labels).sample, theirs(x, 10, states, class_labels=labels).sample, **CLOSE
            )
    with pytest.raises(KakusanError, match="class_labels"):
        mine(x, 10, states)


def diffusers_to_ours(network: nn.Module, kind: Any) -> Any:
    """Through the tensors' names alone."""
    import tempfile

    with tempfile.TemporaryDirectory() as path:
        network.save_pretrained(path)
        return kind.from_pretrained(path)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda u: u(torch.zeros(1, 5, 8, 8), 1, torch.zeros(1, 7, 24)), "1, 5, 8, 8"),
        (lambda u: u(torch.zeros(1, 4, 8, 8), 1, torch.zeros(1, 7, 25)), "1, 7, 25"),
        (lambda u: u(torch.zeros(2, 4, 8, 8), 1, torch.zeros(1, 7, 24)), "2 latents"),
        (lambda u: u(torch.zeros(1, 4, 8, 8), 1, torch.zeros(1, 7, 24), class_labels=torch.tensor([1])), "class_labels"),
        (lambda u: u(torch.zeros(1, 4, 8, 8), 1, torch.zeros(1, 7, 24), cross_attention_kwargs={"scale": 1}), "cross_attention_kwargs"),
    ],
)
def test_a_wrong_call_is_one_line(unet: tuple[Any, Any], call: Callable[[Any], Any], word: str) -> None:
    with pytest.raises(KakusanError, match=word) as error:
        call(unet[0])
    assert "\n" not in str(error.value)


# The text encoder


def test_text_states_are_those_of_transformers(text: tuple[Any, Any]) -> None:
    end = len(tiny.TOKENS) - 1
    ids = torch.randint(0, end - 1, (2, 9))
    ids[0, 4], ids[1, 8], ids[0, 6] = end, end, end
    with torch.no_grad():
        mine, theirs = (one(ids, output_hidden_states=True) for one in text)
        plain = text[0](ids)
    torch.testing.assert_close(mine.last_hidden_state, theirs.last_hidden_state, **CLOSE)
    torch.testing.assert_close(mine.pooler_output, theirs.pooler_output, **CLOSE)
    torch.testing.assert_close(mine.hidden_states, theirs.hidden_states, **CLOSE)
    assert torch.equal(plain[0], mine[0])
    assert torch.equal(plain[1], mine.pooler_output)
    assert plain.hidden_states is None
    assert len(plain) == 2
    assert mine[-1] is mine.hidden_states
    assert list(mine) == ["last_hidden_state", "pooler_output", "hidden_states"]
    assert len(text[0](ids, return_dict=False)) == 2


def test_masked_tokens_are_not_looked_at(text: tuple[Any, Any]) -> None:
    ids = torch.randint(0, 500, (2, 9))
    mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    with torch.no_grad():
        mine, theirs = (one(ids, attention_mask=mask).last_hidden_state for one in text)
    torch.testing.assert_close(mine, theirs, **CLOSE)


def test_a_text_encoder_out_of_a_whole_clip(tmp_path: Path) -> None:
    """The notebook takes it from openai/clip-vit-large-patch14, which holds both towers."""
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ids = {"vocab_size": 514, "eos_token_id": 513, "bos_token_id": 512, "pad_token_id": 513}
    config = transformers.CLIPConfig(text_config={**sizes, **ids}, vision_config={**sizes, "image_size": 16, "patch_size": 8})
    clip = tiny.lively(transformers.CLIPModel(config))
    clip.save_pretrained(tmp_path)
    mine, theirs = ours.CLIPTextModel.from_pretrained(tmp_path), transformers.CLIPTextModel.from_pretrained(tmp_path)
    tokens = torch.randint(0, 514, (1, 12))
    with torch.no_grad():
        torch.testing.assert_close(mine(tokens)[0], theirs(tokens)[0], **CLOSE)


# All of them


@pytest.mark.parametrize("name", ["vae", "unet", "text"])
def test_tensors_have_the_names_and_numbers_of_the_folder(name: str, request: pytest.FixtureRequest) -> None:
    mine, theirs = request.getfixturevalue(name)
    found = {key: value.clone() for key, value in mine.state_dict().items()}
    wanted = theirs.state_dict()
    named = {key if name != "text" or key.startswith("text_model.") else f"text_model.{key}": value for key, value in wanted.items()}
    named = {key: value for key, value in named.items() if not key.endswith("position_ids")}
    assert found.keys() == named.keys()
    for key, value in named.items():
        assert torch.equal(found[key], value), key
    changed = {key: value + 1 for key, value in found.items()}
    holder = nn.ModuleDict({"inside": mine})
    holder.load_state_dict({f"inside.{key}": value for key, value in changed.items()})
    assert all(torch.equal(value, changed[key.removeprefix("inside.")]) for key, value in holder.state_dict().items())
    assert mine.load_state_dict(found).missing_keys == []
    with pytest.raises(RuntimeError, match="Missing"):
        mine.load_state_dict({})


@pytest.mark.parametrize("name", ["vae", "unet"])
def test_the_configuration_says_what_diffusers_says(name: str, request: pytest.FixtureRequest) -> None:
    mine, theirs = request.getfixturevalue(name)
    wanted = {key: list(value) if isinstance(value, tuple) else value for key, value in theirs.config.items()}
    unsaid = {"_name_or_path", "_use_default_values", "_diffusers_version"}
    for key in mine.config.keys() & wanted.keys() - unsaid:
        if key not in ("only_cross_attention", "mid_block_only_cross_attention"):  # None and False are the same there
            assert mine.config[key] == wanted[key], key
    assert mine.config.block_out_channels == wanted["block_out_channels"]
    assert mine.in_channels == mine.config["in_channels"]
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = mine.config.no_such_thing
    with pytest.raises(KakusanError, match="from_config"):
        mine.config.in_channels = 5


@pytest.mark.parametrize("name", ["vae", "unet", "text"])
def test_written_components_open_in_diffusers_and_transformers(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    mine, theirs = request.getfixturevalue(name)
    mine.save_pretrained(tmp_path / "part")
    again = type(theirs).from_pretrained(tmp_path / "part")
    for key, value in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_dtype_and_device_are_told_and_moved(folder: Path) -> None:
    unet = ours.UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=torch.float16)
    assert (unet.dtype, unet.device) == (torch.float16, torch.device("cpu"))
    assert unet.to(torch.float32).dtype == torch.float32
    assert unet.half().dtype == torch.float16
    assert not unet.training
    assert ours.AutoencoderKL.from_pretrained(folder / "vae", torch_dtype="bfloat16").dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda path: ours.AutoencoderKL.from_pretrained(path / "nowhere"), "nowhere"),
        (lambda path: ours.AutoencoderKL.from_pretrained(path, subfolder="vea"), "vea"),
        (lambda path: ours.UNet2DConditionModel.from_pretrained(path, subfolder="vae"), "Autoencoder"),
        (lambda path: ours.UNet2DConditionModel.from_pretrained(path, subfolder="unet", torch_dtype="int8"), "torch_dtype"),
        (lambda path: ours.UNet2DConditionModel.from_pretrained(path, subfolder="unet", revison="fp16"), "revison"),
    ],
)
def test_what_cannot_be_read_is_one_line(folder: Path, call: Callable[[Path], Any], word: str) -> None:
    with pytest.raises(KakusanError, match=word) as error:
        call(folder)
    assert "\n" not in str(error.value)
    assert error.type in (FileError, KakusanError)


# The tokenizer


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "max_length", "max_length": 77, "truncation": True, "return_tensors": "pt"},
        {"padding": "max_length", "truncation": True, "return_tensors": "np"},
        {"padding": "longest", "return_tensors": "pt"},
        {"padding": True, "truncation": True, "max_length": 9},
        {"truncation": True, "max_length": 5, "add_special_tokens": True},
        {"padding": "max_length", "max_length": 12, "truncation": True},
    ],
    ids=str,
)
def test_token_ids_are_those_of_transformers(tokenizer: tuple[Any, Any], options: dict[str, Any]) -> None:
    for text in (*TEXTS, list(TEXTS)):
        mine, theirs = (one(text, **options) for one in tokenizer)
        for name in ("input_ids", "attention_mask"):
            found, wanted = getattr(mine, name), theirs[name]
            assert type(found) is type(wanted)
            listed = [x.tolist() if hasattr(x, "tolist") else x for x in (found, wanted)]
            assert listed[0] == listed[1]


def test_ids_become_text_again_as_in_transformers(tokenizer: tuple[Any, Any], tmp_path: Path) -> None:
    mine, theirs = tokenizer
    for text in TEXTS:
        ids = theirs(text).input_ids
        assert mine.encode(text) == ids
        assert mine.tokenize(text) == theirs.tokenize(text)
        for skip in (False, True):
            assert mine.decode(ids, skip_special_tokens=skip) == theirs.decode(ids, skip_special_tokens=skip)
        assert mine.batch_decode([ids[1:3], ids]) == theirs.batch_decode([ids[1:3], ids])
        assert mine.decode(torch.tensor(ids)) == theirs.decode(torch.tensor(ids))
    for name in (
        *("model_max_length", "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "vocab_size"),
        *("bos_token", "eos_token", "pad_token", "unk_token"),
    ):
        assert getattr(mine, name) == getattr(theirs, name), name
    assert (len(mine), mine.get_vocab()) == (len(theirs), theirs.get_vocab())
    assert mine.convert_tokens_to_ids("cat</w>") == theirs.convert_tokens_to_ids("cat</w>")
    mine.save_pretrained(tmp_path / "again")
    assert transformers.CLIPTokenizer.from_pretrained(tmp_path / "again")("a cat").input_ids == theirs("a cat").input_ids


def test_an_encoding_unpacks_and_moves(tokenizer: tuple[Any, Any], text: tuple[Any, Any]) -> None:
    encoding = tokenizer[0](["a", "b c"], padding=True, return_tensors="pt").to("cpu")
    assert set({**encoding}) == {"input_ids", "attention_mask"}
    assert encoding["input_ids"] is encoding.input_ids
    with pytest.raises(KakusanError, match="padding=True"):
        tokenizer[0](["a", "b c"], return_tensors="pt")
    with pytest.raises(KakusanError, match="int"):
        tokenizer[0](5)
    with pytest.raises(KakusanError, match="longest"):
        tokenizer[0]("a", padding="both")
