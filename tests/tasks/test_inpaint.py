"""Inpainting, both ways, against diffusers; and what is kept comes back bit for bit."""

import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from torch import Tensor

from kakusan.masking import filled, rejoined
from kakusan.run import run
from kakusan.tasks import inpaint as module
from kakusan.tasks.inpaint import Inpaint, inpaint, inpaint_seeing
from kakusan.tasks.recipe import FILLS, Fill
from tasks.both import SCALE, STEPS, Both, both, quiet, relative

IMAGE = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
MASK = torch.zeros(1, 32, 48)
MASK[:, 8:20, 12:36] = 1


@pytest.fixture(scope="module")
def plain() -> Both:
    return both(beside=0)


@pytest.fixture(scope="module")
def seeing() -> Both:
    return both(beside=5)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What comes out of the decoder, before the kept pixels are laid over it."""
    seen: list[Tensor] = []

    def watched(out: Tensor, image: Tensor, mask: Tensor, reach: int) -> Tensor:
        seen.append(out)
        return rejoined(out, image, mask, reach)

    monkeypatch.setattr(module, "rejoined", watched)
    return seen


def theirs(model: Both, strength: float) -> Tensor:
    pipe = quiet(StableDiffusionInpaintPipeline(**model.parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False))
    pipe.mask_processor.config.do_binarize = True
    return (
        pipe(
            image=IMAGE[None],
            mask_image=MASK[None],
            height=32,
            width=48,
            strength=strength,
            num_inference_steps=STEPS,
            guidance_scale=SCALE,
            generator=torch.Generator().manual_seed(7),
            output_type="pt",
            **model.texts,
        ).images[0]
        * 2
        - 1
    )


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_an_inpainting_model_paints_as_in_diffusers(strength: float, seeing: Both, painted: list[Tensor]) -> None:
    how = seeing.how(strength=strength)
    out = run(inpaint_seeing(Inpaint(IMAGE, MASK, how, 7, factor=4, whole=strength == 1)), seeing.networks)
    assert relative(painted[0], theirs(seeing, strength)) < 1e-3
    assert torch.equal(out[:, MASK[0] == 0], IMAGE[:, MASK[0] == 0])
    assert not torch.equal(out[:, MASK[0] == 1], IMAGE[:, MASK[0] == 1])


@pytest.mark.parametrize("strength", [0.8, 0.5])
def test_any_model_paints_as_in_diffusers(strength: float, plain: Both, painted: list[Tensor]) -> None:
    """Only inside: diffusers ends with the kept latent, ours too, but what it keeps at the edge of a latent pixel is coarser."""
    run(inpaint(Inpaint(IMAGE, MASK, plain.how(strength=strength), 7, factor=4)), plain.networks)
    assert relative(painted[0], theirs(plain, strength)) < 1e-3


@pytest.mark.parametrize("fill", FILLS)
def test_what_lies_under_the_mask_is_as_asked(fill: Fill, plain: Both) -> None:
    request = Inpaint(IMAGE, MASK, plain.how(strength=0.5), 7, factor=4, fill=fill)
    out = run(inpaint(request), plain.networks)
    assert torch.equal(out[:, MASK[0] == 0], IMAGE[:, MASK[0] == 0])
    other = Inpaint(torch.where(MASK > 0, 0.7, IMAGE), MASK, request.how, 7, factor=4, fill=fill)
    same = torch.equal(run(inpaint(other), plain.networks), out)
    assert same == (fill == "fill"), "colours from round the mask never depend on what was under it; the others may"


def test_no_seam_where_the_autoencoder_is_off_in_colour() -> None:
    """On a smooth picture that comes back darker and with less contrast, painted and kept parts still meet."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 96), indexing="ij")
    image = torch.stack([x, y, x * y]) * 0.6
    mask = torch.zeros(1, 64, 96)
    mask[:, 20:44, 30:70] = 1
    off = rejoined(0.9 * image - 0.1, image, mask)
    assert torch.equal(off[:, mask[0] == 0], image[:, mask[0] == 0])
    assert (off - image).abs().max() < 1 / 127.5, "less than one level of 255"


def test_holes_are_filled_from_round_them() -> None:
    image = torch.full((3, 17, 23), 0.25)
    hole = torch.zeros(1, 17, 23, dtype=torch.bool)
    hole[:, 3:14, 5:20] = True
    torch.testing.assert_close(filled(torch.where(hole, 9.0, image), hole), image)
    assert torch.equal(filled(image, torch.ones_like(hole)), torch.zeros_like(image))
    assert torch.equal(filled(image, torch.zeros_like(hole)), image)
