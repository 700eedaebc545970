"""CLIP's towers against transformers', with random weights."""

from dataclasses import replace

import pytest
import torch

from kakusan.models.clip_image import MEAN, ClipImage, ClipImageConfig, normalised
from kakusan.models.clip_text import ClipText, ClipTextConfig
from models.peers import IMAGES, TEXTS, assert_equal, images, texts

END = 98


def ids() -> torch.Tensor:
    rows = torch.randint(0, END, (3, 12), generator=torch.Generator().manual_seed(1))
    rows[0, 5:], rows[1, 11], rows[2, 3], rows[2, 8] = END, END, END, END
    return rows


@pytest.mark.parametrize("name", TEXTS)
@torch.inference_mode()
def test_text_equals_transformers(name: str) -> None:
    ours, theirs = texts(TEXTS[name])
    wanted = theirs(input_ids=ids(), output_hidden_states=True)
    assert_equal(ours(ids()), wanted.last_hidden_state)
    assert_equal(ours.embed(ids()), wanted.text_embeds)
    assert_equal(ours(ids()[:, :5]), theirs(input_ids=ids()[:, :5]).last_hidden_state)
    final_norm = dict(theirs.named_modules())["text_model.final_layer_norm"]
    for skip in range(1, TEXTS[name].layers + 1):
        assert_equal(ours.states(ids(), skip), final_norm(wanted.hidden_states[-1 - skip]))


@torch.inference_mode()
def test_a_word_does_not_see_the_words_after_it() -> None:
    ours, _ = texts(TEXTS["sd1"])
    changed = ids()
    changed[:, 7:] = 5
    torch.testing.assert_close(ours(changed)[:, :7], ours(ids())[:, :7])
    assert not torch.allclose(ours(changed)[:, 7:], ours(ids())[:, 7:])


def test_text_says_what_it_cannot_do() -> None:
    model = ClipText(replace(TEXTS["sd1"], projection=None))
    with pytest.raises(ValueError, match="13 tokens are more than the 12"):
        model(torch.zeros(1, 13, dtype=torch.int64))
    with pytest.raises(ValueError, match="skip 4 of 3"):
        model.states(ids(), skip=4)
    with pytest.raises(ValueError, match="no projection"):
        model.embed(ids())


@pytest.mark.parametrize("name", IMAGES)
@torch.inference_mode()
def test_image_equals_transformers(name: str) -> None:
    ours, theirs = images(IMAGES[name])
    pixels = torch.randn(2, 3, IMAGES[name].size, IMAGES[name].size)
    assert_equal(ours(pixels), theirs(pixel_values=pixels).image_embeds)


def test_colours_are_normalised_as_transformers_does() -> None:
    from transformers import CLIPImageProcessor

    picture = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    processor = CLIPImageProcessor(do_resize=False, do_center_crop=False)
    wanted = torch.as_tensor(processor(picture.permute(1, 2, 0).numpy(), return_tensors="pt")["pixel_values"])
    torch.testing.assert_close(normalised(picture[None] / 127.5 - 1), wanted, rtol=1e-5, atol=1e-5)
    assert normalised(torch.tensor(MEAN).view(1, 3, 1, 1) * 2 - 1).abs().max() < 1e-6


def test_new_towers_start_small() -> None:
    """torch's own embeddings have deviation 1, which would drown everything that is added to them."""
    text, image = ClipText(TEXTS["sd1"]), ClipImage(IMAGES["gelu"])
    assert 0.018 < text.token_embedding.weight.std() < 0.022
    assert 0.008 < text.position_embedding.weight.std() < 0.012
    assert 0.1 < image.position_embedding.weight.std() < 0.2


@pytest.mark.parametrize("config", [TEXTS["sd1"], IMAGES["gelu"]])
def test_impossible_configs_are_refused(config: ClipTextConfig | ClipImageConfig) -> None:
    with pytest.raises(ValueError, match="'relu'"):
        replace(config, activation="relu")
    with pytest.raises(ValueError, match="7 heads"):
        replace(config, heads=7)
    with pytest.raises(ValueError, match="224 pixels do not divide into patches of 15"):
        ClipImageConfig(patch=15)
