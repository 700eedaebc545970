"""Texts and pictures compared as transformers' CLIP compares them, of random weights, from every kind of folder and file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import kakusan
from formats.tiny import tiny_model
from kakusan.errors import FileError
from kakusan.formats.clip import read_clip
from kakusan.formats.folder import write_folder
from kakusan.likeness import Judge, framed, judge
from kakusan.prompts.tokenizer import Tokenizer

TEXTS = ["a red apple", "赤いりんご!", "x " * 200, ""]
SIZES = [(64, 64), (61, 40), (30, 97), (224, 160), (57, 56)]
KINDS = {  # heads as wide as those of ViT-L/14 and ViT-H/14, and their activations
    "ViT-L/14": ("quick_gelu", 64, 1, 128, 2, 24),
    "ViT-H/14": ("gelu", 128, 2, 192, 3, 32),
}


@dataclass
class Peer:
    """transformers' model and its folder; preparation: of pictures."""

    model: Any
    folder: Path
    preparation: Any

    def features(self, texts: list[str], pictures: list[Image.Image]) -> torch.Tensor:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(self.folder)
        ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        with torch.inference_mode():
            out = self.model(**ids, pixel_values=self.preparation(pictures, return_tensors="pt").pixel_values)
        return torch.cat([out.text_embeds, out.image_embeds])


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in SIZES]


@pytest.fixture(scope="module", params=KINDS)
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Peer:
    folder = tmp_path_factory.mktemp("clip") / "whole"
    tokenizer = Tokenizer.clip()
    folder.mkdir()
    tokenizer.save(folder)
    activation, width, heads, image_width, image_heads, space = KINDS[request.param]
    text = {"hidden_size": width, "num_attention_heads": heads, "intermediate_size": 96, "num_hidden_layers": 2, "hidden_act": activation}
    text |= {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.end, "bos_token_id": tokenizer.start, "pad_token_id": tokenizer.pad}
    image = {"hidden_size": image_width, "num_attention_heads": image_heads, "intermediate_size": 80, "num_hidden_layers": 2}
    image |= {"image_size": 56, "patch_size": 14, "hidden_act": activation}
    torch.manual_seed(0)
    model = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=space)).eval()
    for p in model.parameters():
        p.data = torch.randn(p.shape) * 0.1 + p.data
    model.save_pretrained(folder)
    return Peer(model, folder, CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}))


def test_features_and_cosines_equal_transformers(peer: Peer) -> None:
    ours, want = judge(peer.folder).features([*TEXTS, *pictures()]), peer.features(TEXTS, pictures())
    torch.testing.assert_close(ours, want, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours @ ours.T, want @ want.T, atol=1e-5, rtol=1e-5)
    assert (ours @ ours.T).std() > 0.05, "features that are all alike would prove nothing"


def test_similarity_of_each_two_kinds(peer: Peer, tmp_path: Path) -> None:
    texts, images = TEXTS[:2], pictures()[:2]
    want = peer.features(texts, images)
    want = want @ want.T
    file = tmp_path / "picture.png"
    images[1].save(file)
    assert kakusan.similarity(texts[0], texts[1], peer.folder) == pytest.approx(want[0, 1].item(), abs=1e-5)
    assert kakusan.similarity(texts[0], file, peer.folder) == pytest.approx(want[0, 3].item(), abs=1e-5)
    assert kakusan.similarity(images[0], file, peer.folder) == pytest.approx(want[2, 3].item(), abs=1e-5)
    scores = judge(peer.folder).scores([texts[1], texts[0]], images)
    assert scores == pytest.approx([want[1, 2].item(), want[0, 3].item()], abs=1e-5)


@pytest.mark.parametrize("size", [*SIZES, (1000, 30), (31, 1000)])
def test_pictures_are_framed_as_transformers_frames_them(size: tuple[int, int]) -> None:
    picture = Image.effect_mandelbrot(size, (-2, -1, 1, 1), 60).convert("RGB")
    theirs = CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}, do_rescale=False, do_normalize=False)(
        picture, return_tensors="np"
    ).pixel_values[0]
    assert np.array_equal(np.asarray(framed(picture, 56)).transpose(2, 0, 1), theirs)


def test_open_clips_single_file_is_the_same_clip(peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "open_clip_model.safetensors"
    save_file(open_clip_names(peer.model), file)
    if peer.model.config.text_config.hidden_act == "quick_gelu":
        (tmp_path / "open_clip_config.json").write_text('{"model_cfg": {"quick_gelu": true}}')
    torch.testing.assert_close(judge(file).features([*TEXTS, *pictures()]), peer.features(TEXTS, pictures()), atol=1e-5, rtol=1e-5)


def open_clip_names(model: Any) -> dict[str, torch.Tensor]:
    """transformers' weights as OpenCLIP writes them, by its own rules and not our tables."""
    state, out = model.state_dict(), {"logit_scale": model.logit_scale.data}
    for theirs, prefix in (("text_model", ""), ("vision_model", "visual.")):
        layers = f"{theirs}.encoder.layers."
        for i in range(1 + max(int(name.split(".")[3]) for name in state if name.startswith(layers))):
            a, b = f"{layers}{i}.", f"{prefix}transformer.resblocks.{i}."
            for kind in ("weight", "bias"):
                out[f"{b}attn.in_proj_{kind}"] = torch.cat([state[f"{a}self_attn.{x}_proj.{kind}"] for x in "qkv"])
                names = {"attn.out_proj": "self_attn.out_proj", "ln_1": "layer_norm1", "ln_2": "layer_norm2"}
                for one, other in {**names, "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}.items():
                    out[f"{b}{one}.{kind}"] = state[f"{a}{other}.{kind}"]
    for one, other in (("ln_final", "text_model.final_layer_norm"), ("visual.ln_pre", "vision_model.pre_layrnorm")):
        out |= {f"{one}.{kind}": state[f"{other}.{kind}"] for kind in ("weight", "bias")}
    out |= {f"visual.ln_post.{kind}": state[f"vision_model.post_layernorm.{kind}"] for kind in ("weight", "bias")}
    out["token_embedding.weight"] = state["text_model.embeddings.token_embedding.weight"]
    out["positional_embedding"] = state["text_model.embeddings.position_embedding.weight"]
    out["text_projection"] = state["text_projection.weight"].T.contiguous()
    out["visual.class_embedding"] = state["vision_model.embeddings.class_embedding"]
    out["visual.conv1.weight"] = state["vision_model.embeddings.patch_embedding.weight"]
    out["visual.positional_embedding"] = state["vision_model.embeddings.position_embedding.weight"]
    out["visual.proj"] = state["visual_projection.weight"].T.contiguous()
    return out


def test_half_precision_is_computed_in_full(peer: Peer) -> None:
    half = Judge(read_clip(peer.folder, dtype=torch.float16))
    full = judge(peer.folder).features([*TEXTS, *pictures()])
    torch.testing.assert_close(half.features([*TEXTS, *pictures()]), full, atol=3e-3, rtol=0)


def test_a_model_folder_with_an_image_tower_is_a_clip(tmp_path: Path) -> None:
    model = tiny_model()
    write_folder(model, tmp_path / "tiny", dtype=torch.float32)
    ids = torch.tensor([model.tokenizer.padded("apple")])
    assert model.image is not None
    with torch.inference_mode():
        want = torch.nn.functional.normalize(model.text.eval().embed(ids))
    torch.testing.assert_close(judge(tmp_path / "tiny").features(["apple"]), want)


def test_the_embedded_clip_tells_an_apple_from_a_rocket_in_both_languages() -> None:
    same, other = kakusan.similarity("a red apple", "赤いりんご"), kakusan.similarity("a red apple", "a rocket at night")
    assert same > 0.8 > 0.5 > other


def test_what_cannot_be_compared_is_one_line(tmp_path: Path, peer: Peer) -> None:
    bare = tiny_model(towers=False)
    write_folder(bare, tmp_path / "bare")
    (tmp_path / "note.png").write_text("no picture")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    calls = [("a", "b", tmp_path / "bare"), ("a", "b", tmp_path / "missing"), ("a", "b", tmp_path / "other.safetensors")]
    for a, b, model in [*calls, ("a", tmp_path / "note.png", peer.folder), ("a", tmp_path / "gone.png", peer.folder)]:
        with pytest.raises(FileError) as caught:
            kakusan.similarity(a, b, model)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)
