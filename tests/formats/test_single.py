"""Tiny original files of every family against diffusers' own converters, and out again with nothing lost."""

import dataclasses
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from diffusers.loaders import single_file_utils as theirs
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from formats.originals import CLIP, FAMILIES, FIRST, OPEN_CLIP, UNET, Family, averaged_tensors, config, tensors, write_config
from kakusan.errors import FileError, KakusanError
from kakusan.formats.export import Exported
from kakusan.formats.folder import read_folder, write_folder
from kakusan.formats.model import Model
from kakusan.formats.single import read_single, read_vae, write_single
from kakusan.models.dpt import Dpt, DptConfig
from kakusan.schedules import NoiseSchedule
from models.peers import assert_equal


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny file of each family, with its .yaml."""
    path = tmp_path_factory.mktemp("originals")
    for name, family in FAMILIES.items():
        save_file(tensors(family), path / f"{name}.safetensors")
        write_config(config(family), path / f"{name}.yaml")
    return path


def opened(folder: Path, name: str, **options: Any) -> Model:
    return read_single(folder / f"{name}.safetensors", config=folder / f"{name}.yaml", **options)


def peer_unet(state: dict[str, Tensor], family: Family) -> nn.Module:
    settings = theirs.create_unet_diffusers_config_from_ldm(config(family), state)
    x4 = {"num_class_embeds": 1000, "only_cross_attention": [True, True, True, False]} if family.structure == "x4" else {}
    network = diffusers.UNet2DConditionModel.from_config({**settings, **x4})
    weights = theirs.convert_ldm_unet_checkpoint(dict(state), settings)
    if x4:
        weights["class_embedding.weight"] = state[f"{UNET}label_emb.weight"]  # its converter forgets these labels
    network.load_state_dict(weights)
    return network.eval()


def peer_autoencoder(state: dict[str, Tensor], family: Family) -> nn.Module:
    settings = theirs.create_vae_diffusers_config_from_ldm(config(family), state)
    network = diffusers.AutoencoderKL.from_config(settings)
    network.load_state_dict(theirs.convert_ldm_vae_checkpoint(dict(state), settings))
    return network.eval()


def peer_text(state: dict[str, Tensor], family: Family) -> nn.Module:
    shape = {"vocab_size": 49408, "hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 1, "num_hidden_layers": 2}
    act = "gelu" if family.open_clip else "quick_gelu"
    network = transformers.CLIPTextModel(transformers.CLIPTextConfig(**shape, hidden_act=act)).eval()
    if family.open_clip:
        used = {name: tensor for name, tensor in state.items() if ".resblocks.2." not in name}  # the last layer
        weights = theirs.convert_open_clip_checkpoint(network, used)
    else:
        weights = theirs.convert_ldm_clip_checkpoint(state)
    known = network.state_dict()
    weights = {key if key in known else key.removeprefix("text_model."): tensor for key, tensor in weights.items()}
    missing, _ = network.load_state_dict({key: tensor for key, tensor in weights.items() if key in known}, strict=False)
    assert not [name for name in missing if not name.endswith("position_ids")]
    return network


@pytest.mark.parametrize("name", FAMILIES)
@torch.inference_mode()
def test_every_network_gives_what_diffusers_gives(folder: Path, name: str) -> None:
    family, model, state = FAMILIES[name], opened(folder, name), tensors(FAMILIES[name])
    torch.manual_seed(1)
    ids = torch.tensor([model.tokenizer.padded("a red apple"), model.tokenizer.padded("")])
    context = model.text(ids)
    assert_equal(context, peer_text(state, family)(ids).last_hidden_state)
    x, t = torch.randn(2, family.channels, 16, 16), torch.tensor([7, 981])
    label = torch.tensor([20, 350]) if family.structure == "x4" else None
    assert_equal(model.unet(x, t, context, label), peer_unet(state, family)(x, t, context, class_labels=label).sample)
    autoencoder = peer_autoencoder(state, family)
    image, latent = torch.rand(1, 3, 32, 48) * 2 - 1, torch.randn(1, 4, 8, 6)
    moments = autoencoder.encode(image).latent_dist
    mean, logvar = model.autoencoder.encode(image)
    assert_equal(mean, moments.mean)
    assert_equal(logvar, moments.logvar)
    assert_equal(model.autoencoder.decode(latent), autoencoder.decode(latent).sample)
    assert model.autoencoder.config.scale == autoencoder.config.scaling_factor


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_written_is_read_again(folder: Path, tmp_path: Path, name: str) -> None:
    model = opened(folder, name)
    write_single(model, tmp_path / "out.safetensors")
    again = read_single(tmp_path / "out.safetensors")  # no .yaml: what it said is in the metadata
    for one, two in ((model.unet, again.unet), (model.autoencoder, again.autoencoder), (model.text, again.text)):
        assert one.config == two.config
        assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert (again.schedule, again.low_noise, again.settings) == (model.schedule, model.low_noise, model.settings)
    assert again.tokenizer.padded("a!") == model.tokenizer.padded("a!")
    assert (again.family, again.variant) == (model.family, model.variant)
    assert model.family == {"sd1": "sd1", "sd2.1": "sd2", "x4": "sd_x4"}[FAMILIES[name].structure]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_file_written_has_every_tensor_of_the_original(folder: Path, name: str) -> None:
    written = Exported(opened(folder, name), Path("out.safetensors"))
    wanted, found = tensors(FAMILIES[name]), {key: written.read(key) for key in written.tensors}
    assert {key: (t.shape, t.dtype) for key, t in found.items()} == {key: (t.shape, t.dtype) for key, t in wanted.items()}
    unused = (f"{OPEN_CLIP}transformer.resblocks.2.", f"{OPEN_CLIP}text_projection", f"{OPEN_CLIP}logit_scale", "model_ema.")
    for key, tensor in wanted.items():
        if not key.startswith(unused):
            torch.testing.assert_close(found[key], tensor, rtol=2e-6, atol=2e-6 if "log" in key else 1e-7, msg=key)


def test_the_layer_that_openclip_has_more_changes_nothing(folder: Path, tmp_path: Path) -> None:
    model = opened(folder, "sd2 base")
    write_single(model, tmp_path / "out.safetensors")
    settings = config(FAMILIES["sd2 base"])
    settings["model"]["params"]["cond_stage_config"]["params"]["layer"] = "last"
    all_layers = read_single(tmp_path / "out.safetensors", config=write_config(settings, tmp_path / "last.yaml"))
    assert all_layers.text.config.layers == model.text.config.layers + 1
    ids = torch.tensor([model.tokenizer.padded("a red apple")])
    torch.testing.assert_close(all_layers.text(ids), model.text(ids))


def test_a_folder_written_from_a_single_file_opens_and_back(folder: Path, tmp_path: Path) -> None:
    model = opened(folder, "sd1")
    write_folder(model, tmp_path / "folder", dtype=torch.float32)
    from_folder = read_folder(tmp_path / "folder")
    for one, two in ((model.unet, from_folder.unet), (model.autoencoder, from_folder.autoencoder), (model.text, from_folder.text)):
        assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_half_precision_is_kept_and_tables_are_not_halved(folder: Path, tmp_path: Path) -> None:
    write_single(opened(folder, "sd1"), tmp_path / "half.safetensors", torch.float16)
    stored = load_file(tmp_path / "half.safetensors")
    assert stored[f"{UNET}out.2.weight"].dtype == stored[f"{FIRST}quant_conv.bias"].dtype == torch.float16
    assert stored["betas"].dtype == torch.float32
    assert stored[f"{CLIP}text_model.embeddings.position_ids"].dtype == torch.int64
    half = read_single(tmp_path / "half.safetensors")
    assert {p.dtype for p in half.unet.parameters()} == {torch.float16}
    full = read_single(tmp_path / "half.safetensors", dtype=torch.float32)
    assert {p.dtype for network in (full.unet, full.text, full.autoencoder) for p in network.parameters()} == {torch.float32}
    assert torch.equal(full.unet.conv_out.weight, stored[f"{UNET}out.2.weight"].float())


def test_weights_of_parts_that_are_not_wanted_are_not_read(folder: Path) -> None:
    model = read_single(folder / "sd1.safetensors", parts=["text"])
    assert next(model.unet.parameters()).is_meta
    assert not next(model.text.parameters()).is_meta


class TestAverages:
    """Averaged weights in each of the forms there are."""

    def test_a_full_file_gives_its_raw_weights_unless_asked(self, tmp_path: Path) -> None:
        state = averaged_tensors(tensors(FAMILIES["sd1"]), factor=0.5)
        save_file(state, tmp_path / "full.safetensors")
        raw, said = read_single(tmp_path / "full.safetensors"), state[f"{UNET}out.2.weight"]
        assert torch.equal(raw.unet.conv_out.weight, said)
        assert "raw weights are used" in raw.notes[0]
        average = read_single(tmp_path / "full.safetensors", use_ema=True)
        assert torch.equal(average.unet.conv_out.weight, said * 0.5)
        assert torch.equal(average.autoencoder.unmoments.weight, state[f"{FIRST}post_quant_conv.weight"])
        assert "EMA" in average.notes[0]

    def test_the_yaml_may_want_them(self, tmp_path: Path) -> None:
        save_file(averaged_tensors(tensors(FAMILIES["sd1"])), tmp_path / "full.safetensors")
        settings = config(FAMILIES["sd1"])
        settings["model"]["params"]["use_ema"] = True
        file = write_config(settings, tmp_path / "ema.yaml")
        said = tensors(FAMILIES["sd1"])[f"{UNET}out.2.weight"]
        assert torch.equal(read_single(tmp_path / "full.safetensors", config=file).unet.conv_out.weight, said * 0.5)
        assert torch.equal(read_single(tmp_path / "full.safetensors", config=file, use_ema=False).unet.conv_out.weight, said)

    def test_what_is_missing_of_them_is_named(self, tmp_path: Path) -> None:
        state = averaged_tensors(tensors(FAMILIES["sd1"]))
        del state["model_ema.diffusion_modelout2bias"]
        save_file(state, tmp_path / "cut.safetensors")
        with pytest.raises(FileError, match=r"cut.safetensors: model_ema.diffusion_modelout2bias is missing"):
            read_single(tmp_path / "cut.safetensors", use_ema=True)
        assert read_single(tmp_path / "cut.safetensors").unet is not None

    @pytest.mark.parametrize("leftovers", [True, False])
    def test_pruned_files_hold_them_under_plain_names(self, tmp_path: Path, leftovers: bool) -> None:
        state = {key: t for key, t in tensors(FAMILIES["sd1"]).items() if leftovers or not key.startswith("model_ema.")}
        save_file(state, tmp_path / "pruned.safetensors")
        model = read_single(tmp_path / "pruned.safetensors", use_ema=True)
        assert torch.equal(model.unet.conv_out.weight, state[f"{UNET}out.2.weight"])
        assert len(model.notes) == 1


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """An autoencoder's tensors."""
    return {key: t for key, t in tensors(FAMILIES["sd1"], seed=5).items() if key.startswith(FIRST)}


class TestAutoencoders:
    """Autoencoders in files of their own, under every name they come by."""

    def forms(self, state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        bare = {key.removeprefix(FIRST): tensor for key, tensor in state.items()}
        settings = theirs.create_vae_diffusers_config_from_ldm(config(FAMILIES["sd1"]), state)
        modern = theirs.convert_ldm_vae_checkpoint(dict(state), settings)
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        former = {}
        for key, tensor in modern.items():
            for new, name in old.items():
                key = key.replace(f"attentions.0.{new}.", f"attentions.0.{name}.")
            former[key] = tensor
        junk = {"loss.logvar": torch.zeros(()), "loss.discriminator.main.0.weight": torch.ones(2, 2), "model_ema.decay": torch.ones(())}
        return {"in place": state, "bare": bare, "after training": bare | junk, "diffusers": modern, "old diffusers": former}

    @pytest.mark.parametrize("form", ["in place", "bare", "after training", "diffusers", "old diffusers"])
    def test_each_form_is_the_same_autoencoder(self, state: dict[str, Tensor], tmp_path: Path, form: str) -> None:
        save_file({key: t.contiguous() for key, t in self.forms(state)[form].items()}, tmp_path / "v.safetensors")
        network = read_vae(tmp_path / "v.safetensors")
        assert torch.equal(network.unmoments.weight, state[f"{FIRST}post_quant_conv.weight"])
        assert torch.equal(network.encoder.mid.attn.to_out.weight, state[f"{FIRST}encoder.mid.attn_1.proj_out.weight"].flatten(1))
        assert network.config.scale == 0.18215

    def test_it_takes_the_place_of_the_models_own(self, state: dict[str, Tensor], folder: Path, tmp_path: Path) -> None:
        torch.save({"state_dict": {key.removeprefix(FIRST): t for key, t in state.items()}}, tmp_path / "v.vae.pt")
        model = read_single(folder / "sd1.safetensors", vae=tmp_path / "v.vae.pt")
        assert torch.equal(model.autoencoder.unmoments.weight, state[f"{FIRST}post_quant_conv.weight"])

    def test_a_model_without_one_needs_it(self, state: dict[str, Tensor], tmp_path: Path) -> None:
        rest = {key: t for key, t in tensors(FAMILIES["sd1"]).items() if not key.startswith(FIRST)}
        save_file(rest, tmp_path / "rest.safetensors")
        save_file(state, tmp_path / "v.safetensors")
        with pytest.raises(FileError, match=r"rest.safetensors: first_stage_model.* is missing: the file holds no autoencoder"):
            read_single(tmp_path / "rest.safetensors")
        assert read_single(tmp_path / "rest.safetensors", vae=tmp_path / "v.safetensors").autoencoder.factor == 8

    def test_a_folder_of_one_is_read_too(self, folder: Path, tmp_path: Path) -> None:
        model = opened(folder, "sd1")
        write_folder(model, tmp_path / "folder", dtype=torch.float32)
        for path in (tmp_path / "folder", tmp_path / "folder" / "vae"):
            assert torch.equal(read_vae(path).unmoments.weight, model.autoencoder.unmoments.weight)


def test_the_depth_network_comes_along(folder: Path, tmp_path: Path) -> None:
    small = DptConfig(64, 32, (128, 256, 512), (1, 2, 1), width=64, heads=1, feedforward=96, fusion=32, head=8)
    model = dataclasses.replace(opened(folder, "sd2 depth"), depth=Dpt(small))
    write_single(model, tmp_path / "depth.safetensors")
    again = read_single(tmp_path / "depth.safetensors", config=folder / "sd2 depth.yaml")
    assert isinstance(again.depth, Dpt)
    assert isinstance(model.depth, Dpt)
    assert again.depth.config == small
    stored = load_file(tmp_path / "depth.safetensors")
    assert stored["depth_model.model.pretrained.model.head.weight"].shape == (1000, 64)  # the classifier, of no use
    assert stored["depth_model.model.pretrained.model.blocks.0.attn.qkv.weight"].shape == (192, 64)
    assert all(torch.equal(a, b) for a, b in zip(model.depth.state_dict().values(), again.depth.state_dict().values(), strict=True))
    stored["depth_model.model.extra"] = torch.ones(1)
    save_file(stored, tmp_path / "more.safetensors")
    with pytest.raises(FileError, match=r"depth_model.model.extra is not a tensor of this model"):
        read_single(tmp_path / "more.safetensors", config=folder / "sd2 depth.yaml", parts=[])


def without_text_model(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.replace(f"{CLIP}text_model.", CLIP): t for key, t in state.items() if not key.endswith("position_ids")}


def test_sd1_text_names_come_with_and_without_text_model(tmp_path: Path) -> None:
    state = tensors(FAMILIES["sd1"])
    save_file(without_text_model(state), tmp_path / "short.safetensors")
    network = read_single(tmp_path / "short.safetensors", parts=["text"]).text
    assert torch.equal(network.norm.weight, state[f"{CLIP}text_model.final_layer_norm.weight"])


def test_a_schedule_of_its_own_is_read_off_its_betas(tmp_path: Path) -> None:
    state = tensors(FAMILIES["sd1"])
    state["betas"] = torch.linspace(1e-4, 2e-2, 500)
    save_file(state, tmp_path / "m.safetensors")
    assert read_single(tmp_path / "m.safetensors", parts=[]).schedule == NoiseSchedule(1e-4, 0.02, "linear", 500)
    save_file(state | {"betas": torch.rand(1000)}, tmp_path / "odd.safetensors")
    assert read_single(tmp_path / "odd.safetensors", parts=[]).schedule == NoiseSchedule()
    save_file(state | {"betas": tensors(FAMILIES["sd1"])["betas"].half()}, tmp_path / "half.safetensors")
    assert read_single(tmp_path / "half.safetensors", parts=[]).schedule == NoiseSchedule()


FIRST_LAYER = f"{UNET}input_blocks.0.0.weight"
WRONG = {
    "a tensor missing": (lambda s: s.pop(f"{UNET}out.2.bias"), rf"{UNET}out.2.bias is missing$"),
    "one too many": (lambda s: s.update({f"{UNET}lora.up": torch.ones(1)}), rf"{UNET}lora.up is not a tensor of this model$"),
    "another shape": (lambda s: s.update({f"{UNET}out.0.bias": torch.ones(7)}), rf"{UNET}out.0.bias has shape \[7\] instead of \[32\]"),
    "whole numbers": (lambda s: s.update({f"{UNET}out.0.bias": torch.ones(32, dtype=torch.int64)}), r"out.0.bias holds int64 numbers"),
    "no text": (lambda s: [s.pop(k) for k in list(s) if k.startswith(CLIP)], r"token_embedding.weight is missing: the file holds no text"),
    "no U-Net": (lambda s: [s.pop(k) for k in list(s) if k.startswith(UNET)], rf"{FIRST_LAYER} is missing: the file holds no unet"),
    "no middle": (lambda s: s.pop(f"{UNET}middle_block.1.proj_in.weight"), r"middle_block.1.proj_in.weight is missing"),
    "odd levels": (lambda s: s.pop(f"{UNET}input_blocks.5.1.proj_in.weight"), r"input_blocks has unlike blocks on level 1"),
    "SDXL": (lambda s: s.update({"conditioner.embedders.0.x": torch.ones(1)}), r"conditioner.embedders.0.x belongs to Stable Diffusion XL"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line_with_file_and_tensor(what: str, tmp_path: Path) -> None:
    state = tensors(FAMILIES["sd1"])
    change, message = WRONG[what]
    change(state)
    save_file(state, tmp_path / "bad.safetensors")
    with pytest.raises(FileError, match=message) as caught:
        read_single(tmp_path / "bad.safetensors")
    assert str(caught.value).startswith(f"{tmp_path}/bad.safetensors: ")
    assert "\n" not in str(caught.value)


def test_another_vocabulary_than_clips_is_refused(tmp_path: Path) -> None:
    state = tensors(FAMILIES["sd1"])
    state[f"{CLIP}text_model.embeddings.token_embedding.weight"] = torch.randn(1000, 64)
    save_file(state, tmp_path / "small.safetensors")
    with pytest.raises(FileError, match=r"token_embedding.weight knows 1000 tokens, CLIP's tokenizer 49408"):
        read_single(tmp_path / "small.safetensors", parts=[])


def test_models_that_a_single_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    from formats.tiny import tiny_model

    with pytest.raises(KakusanError, match="no place for a tokenizer"):
        write_single(tiny_model(), tmp_path / "tiny.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_not_written_over(folder: Path, tmp_path: Path) -> None:
    model = opened(folder, "sd1")
    write_single(model, tmp_path / "m.safetensors")
    with pytest.raises(FileError, match="already there"):
        write_single(model, tmp_path / "m.safetensors")
    write_single(dataclasses.replace(model, name="other"), tmp_path / "m.safetensors", replace=True)
    with safe_open(tmp_path / "m.safetensors", framework="pt") as stored:
        assert stored.metadata()["modelspec.title"] == "other"
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]
