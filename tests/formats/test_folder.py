"""Model folders: what we write we read, bit for bit; diffusers opens ours and we open its; any damage is one line that names it."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import safetensors.torch
import torch
from torch import nn

from formats.tiny import tiny_model
from kakusan.errors import FileError
from kakusan.formats.folder import read_folder, write_folder
from kakusan.formats.model import Model
from kakusan.schedules import NoiseSchedule
from models.peers import assert_equal

NETWORKS = ("unet", "autoencoder", "text", "image")
SHARD = 30_000


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    write_folder(model, tmp_path / "tiny")
    return tmp_path / "tiny"


def assert_same_weights(ours: nn.Module | None, theirs: nn.Module | None, dtype: torch.dtype) -> None:
    assert ours is not None
    assert theirs is not None
    found, wanted = ours.state_dict(), theirs.state_dict()
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor.to(dtype)), name
        assert found[name].dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("shard", [10**9, SHARD])
def test_what_is_written_is_read_bit_for_bit(model: Model, dtype: torch.dtype, shard: int, tmp_path: Path) -> None:
    write_folder(model, tmp_path / "deep" / "tiny", dtype, shard)
    again = read_folder(tmp_path / "deep" / "tiny")
    for name in NETWORKS:
        assert_same_weights(getattr(again, name), getattr(model, name), dtype)
        assert getattr(again, name).config == getattr(model, name).config
    assert (again.schedule, again.settings, again.card, again.name) == (model.schedule, model.settings, model.card, "tiny")
    assert again.tokenizer.padded("赤い りんご, a red apple!") == model.tokenizer.padded("赤い りんご, a red apple!")
    write_folder(again, tmp_path / "again", dtype, shard)
    files = sorted(file.relative_to(tmp_path / "again") for file in (tmp_path / "again").rglob("*") if file.is_file())
    assert len([file for file in files if file.parts[0] == "unet"]) > (2 if shard == SHARD else 1)
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "deep" / "tiny" / file).read_bytes(), file


def test_shards_keep_within_their_size(model: Model, tmp_path: Path) -> None:
    write_folder(model, tmp_path / "tiny", max_shard_bytes=SHARD)
    shards = sorted((tmp_path / "tiny" / "unet").glob("*.safetensors"))
    largest = max(tensor.nbytes // 2 for tensor in model.unet.state_dict().values())  # in half precision; alone in its shard
    assert shards[0].name == f"diffusion_pytorch_model-00001-of-{len(shards):05}.safetensors"
    assert all(shard.stat().st_size < max(SHARD, largest) + 20_000 for shard in shards)
    index = json.loads((tmp_path / "tiny" / "unet" / "diffusion_pytorch_model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {shard.name for shard in shards}


def test_dtype_and_parts_are_as_asked(folder: Path, model: Model) -> None:
    half = model.unet.state_dict()["conv_in.weight"].half()
    assert torch.equal(read_folder(folder, dtype=torch.float32).unet.conv_in.weight, half.float())
    some = read_folder(folder, parts=["text", "image"])
    assert not some.text.norm.weight.is_meta
    assert some.unet.conv_in.weight.is_meta
    assert some.unet.conv_in.weight.shape == half.shape
    with pytest.raises(ValueError, match="unet has a shape and no weights"):
        write_folder(some, folder.parent / "other")
    with pytest.raises(ValueError, match="'vae'"):
        read_folder(folder, parts=["vae"])


def test_a_model_need_not_have_an_image_tower(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="beside the image tower"):
        write_folder(replace(model, image=None), tmp_path / "tiny")
    assert not list(tmp_path.iterdir())
    plain = tiny_model(towers=False)
    write_folder(replace(plain, card="", settings={}), tmp_path / "tiny")
    assert {file.name for file in (tmp_path / "tiny").iterdir()} == {
        *("model_index.json", "unet", "vae", "text_encoder", "tokenizer", "scheduler")
    }
    again = read_folder(tmp_path / "tiny")
    assert (again.image, again.card, again.settings, again.text.config.projection) == (None, "", {}, None)


@pytest.mark.parametrize(
    "schedule", [NoiseSchedule(), NoiseSchedule(prediction="v_prediction", zero_terminal_snr=True, spacing="trailing")]
)
@torch.inference_mode()
def test_diffusers_opens_our_folder_and_computes_the_same(model: Model, schedule: NoiseSchedule, tmp_path: Path) -> None:
    write_folder(replace(model, schedule=schedule), tmp_path / "tiny", max_shard_bytes=SHARD)
    ours = read_folder(tmp_path / "tiny", dtype=torch.float32)
    theirs = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "tiny", dtype=torch.float32, local_files_only=True)
    assert type(theirs) is diffusers.StableDiffusionPipeline
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([10, 900])
    prompts = ["a red apple", "赤い りんご 2つ!"]
    ids = torch.tensor([ours.tokenizer.padded(prompt) for prompt in prompts])
    assert ids.tolist() == theirs.tokenizer(prompts, padding="max_length", max_length=77, truncation=True).input_ids
    context = ours.text(ids)
    assert_equal(context, theirs.text_encoder(ids).last_hidden_state)
    assert_equal(ours.unet(x, t, context), theirs.unet(x, t, context).sample)
    assert_equal(ours.autoencoder.decode(x), theirs.vae.decode(x).sample)
    assert theirs.vae.config.scaling_factor == ours.autoencoder.config.scale
    assert theirs.vae_scale_factor == ours.autoencoder.factor
    assert theirs.unet.config.sample_size == ours.unet.config.sample_size
    assert theirs.scheduler.config.prediction_type == schedule.prediction
    assert theirs.scheduler.alphas_cumprod.tolist() == pytest.approx(schedule.alphas_cumprod(), rel=1e-4, abs=1e-6)


def test_we_open_what_diffusers_saves(folder: Path, model: Model, tmp_path: Path) -> None:
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = read_folder(tmp_path / "theirs", dtype=torch.float16)
    for name in ("unet", "autoencoder"):
        assert_same_weights(getattr(ours, name), getattr(model, name), torch.float16)
        assert getattr(ours, name).config == getattr(model, name).config
    assert ours.text.config == replace(model.text.config, projection=None)
    assert ours.schedule == model.schedule


def test_folders_of_older_days_are_read(folder: Path, model: Model) -> None:
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def aged(name: str) -> str:
        for new in old:
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old[new]}.")
        return name

    rewrite(folder / "vae" / "diffusion_pytorch_model.safetensors", lambda tensors: {aged(k): v for k, v in tensors.items()})
    ids = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    rewrite(folder / "text_encoder" / "model.safetensors", lambda tensors: tensors | ids)
    again = read_folder(folder)
    assert_same_weights(again.autoencoder, model.autoencoder, torch.float16)
    rewrite(folder / "text_encoder" / "model.safetensors", lambda tensors: {k.removeprefix("text_model."): v for k, v in tensors.items()})
    assert_same_weights(read_folder(folder).text, again.text, torch.float16)


def test_features_of_texts_and_pictures_survive(folder: Path, model: Model) -> None:
    again = read_folder(folder, dtype=torch.float32)
    assert again.image is not None
    assert model.image is not None
    ids, pixels = torch.tensor([model.tokenizer.padded("a cat")]), torch.randn(1, 3, 16, 16)
    assert_equal(again.text.embed(ids), model.text.embed(ids), relative=1e-2)  # half precision
    assert_equal(again.image(pixels), model.image(pixels), relative=1e-2)


def test_nothing_is_written_over_and_nothing_is_left_half_written(folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(FileError, match="already there"):
        write_folder(model, folder)
    (folder.parent / "letters.txt").write_text("dear")
    with pytest.raises(FileError, match="already there"):
        write_folder(model, folder.parent, replace=True)  # no model folder
    with pytest.raises(FileError, match="cannot be written"):
        write_folder(model, folder.parent / "letters.txt" / "tiny")
    write_folder(replace(model, card="new"), folder, replace=True)
    assert read_folder(folder).card == "new"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kakusan.formats.safetensors.save_file", full)
    for name in ("tiny", "other"):
        with pytest.raises(FileError, match="No space left on device"):
            write_folder(model, folder.parent / name, replace=True)
    assert read_folder(folder).card == "new"
    assert sorted({*folder.parent.rglob("*")} - {folder.parent / "letters.txt"}) == before


def rewrite(file: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load_file(file).items()}
    file.unlink()
    safetensors.torch.save_file(change(tensors), file)


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def setting(name: str, key: str, value: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(settings | {key: value}))

    return damage


def cut(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def dropped(name: str, key: str) -> Callable[[Path], None]:
    return lambda folder: rewrite(folder / name, lambda tensors: {k: v for k, v in tensors.items() if k != key})


UNET, VAE = "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"
TEXT, IMAGE = "text_encoder/model.safetensors", "image_encoder/model.safetensors"
DAMAGES = {
    "no index": (without("model_index.json"), "not a model folder"),
    "broken index": (cut("model_index.json"), "model_index.json: not valid JSON"),
    "another pipeline": (setting("model_index.json", "_class_name", "StableDiffusionXLPipeline"), '"_class_name" is "StableDiffusionXL'),
    "another U-Net": (setting("model_index.json", "unet", ["diffusers", "UNet2DModel"]), 'model_index.json: "unet" is'),
    "a second text encoder": (setting("model_index.json", "text_encoder_2", ["transformers", "CLIPTextModel"]), '"text_encoder_2"'),
    "no unet config": (without("unet/config.json"), "unet/config.json: cannot be read"),
    "no vae config": (without("vae/config.json"), "vae/config.json: cannot be read"),
    "no text config": (without("text_encoder/config.json"), "text_encoder/config.json: cannot be read"),
    "no schedule": (without("scheduler/scheduler_config.json"), "scheduler_config.json: cannot be read"),
    "no unet weights": (without(UNET), f"{UNET}: the file is missing"),
    "no vae weights": (without(VAE), f"{VAE}: the file is missing"),
    "no text weights": (without(TEXT), f"{TEXT}: the file is missing"),
    "no image weights": (without(IMAGE), f"{IMAGE}: the file is missing"),
    "no image config": (without("image_encoder/config.json"), "image_encoder/config.json: cannot be read"),
    "no vocabulary": (without("tokenizer/vocab.json"), "tokenizer"),
    "no merges": (without("tokenizer/merges.txt"), "tokenizer"),
    "broken vocabulary": (cut("tokenizer/vocab.json"), "vocab.json"),
    "cut unet": (cut(UNET), f"{UNET}: damaged or cut short"),
    "cut vae": (cut(VAE), f"{VAE}: damaged or cut short"),
    "cut text": (cut(TEXT), f"{TEXT}: damaged or cut short"),
    "cut projection": (cut("image_encoder/text_projection.safetensors"), "text_projection.safetensors: damaged"),
    "a weight less": (dropped(UNET, "mid_block.attentions.0.norm.weight"), "mid_block.attentions.0.norm.weight is missing"),
    "a bias less": (dropped(TEXT, "text_model.final_layer_norm.bias"), "text_model.final_layer_norm.bias is missing"),
    "projection of another name": (dropped("image_encoder/text_projection.safetensors", "text_projection.weight"), "is missing"),
    "wider context": (setting("unet/config.json", "cross_attention_dim", 99), "has shape"),
    "more levels": (setting("vae/config.json", "layers_per_block", 3), "is missing"),
    "fewer layers": (setting("text_encoder/config.json", "num_hidden_layers", 1), "is not a tensor of this model"),
    "more words than ids": (setting("text_encoder/config.json", "vocab_size", 600), "token_embedding.weight has shape"),
    "absurd width": (setting("text_encoder/config.json", "hidden_size", 3 * 2**60), "text_encoder/config.json"),
    "settings that are none": (lambda folder: (folder / "kakusan.json").write_text("[]"), "kakusan.json: not a JSON object"),
    "card that is no text": (lambda folder: (folder / "README.md").write_bytes(b"\xff\xfe"), "README.md: cannot be read as text"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(damage: str, folder: Path) -> None:
    make, said = DAMAGES[damage]
    make(folder)
    with pytest.raises(FileError) as caught:
        read_folder(folder)
    assert said in caught.value.en
    assert str(folder) in caught.value.en
    assert str(folder) in caught.value.ja
    assert "\n" not in caught.value.en + caught.value.ja


@pytest.mark.parametrize("path", ["nowhere", "tiny/model_index.json", "tiny/unet"])
def test_what_is_no_model_folder(path: str, folder: Path) -> None:
    with pytest.raises(FileError, match="not a model folder"):
        read_folder(folder.parent / path)


def test_parts_have_to_go_together(model: Model, folder: Path) -> None:
    for parts, said in (
        ({"unet": tiny_model(context=40).unet}, '"cross_attention_dim" is 40, but with this text_encoder it has to be 24'),
        ({"unet": tiny_model(channels_in=8).unet}, '"in_channels" is 8, but with this vae it has to be 4 / 9 / 5 / 7'),
        ({"text": tiny_model(vocab=513).text}, "514 tokens, but text_encoder knows 513"),
    ):
        write_folder(replace(model, **parts), folder, replace=True)
        with pytest.raises(FileError, match=said):
            read_folder(folder)
