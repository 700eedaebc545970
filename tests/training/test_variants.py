"""The relatives that see a mask, depth or a small picture, on a miniature world: stopped and gone on, they are the same."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr

from data.sprites import synthetic_pack
from kakusan.data.pictures import Chance, save_pack
from kakusan.formats.folder import read_folder
from kakusan.formats.model import Model
from kakusan.schedules import sigmas_for
from kakusan.tasks.conditions import of_tokens
from kakusan.tasks.drawing import Drawing
from kakusan.tasks.inpaint import Inpaint, inpaint_seeing
from kakusan.training.card import STOP, relative_card
from kakusan.training.depth import pairs_in_order, rank_correlation
from kakusan.training.details import FACTOR, cut
from kakusan.training.drawn import drawn
from kakusan.training.embedded import Making, export, stages
from kakusan.training.inpainting import InpaintingTraining, beside
from kakusan.training.masks import KINDS, mask, mask_of
from kakusan.training.pool import Pool, Stream
from kakusan.training.settings import (
    AutoencoderSettings,
    ClipSettings,
    DiffusionSettings,
    EstimatorSettings,
    Optimiser,
    Recipe,
    UpscalingSettings,
)
from kakusan.training.upscaling import LOW_NOISE, UpscalingTraining
from kakusan.training.variants import VARIANTS, export_beside, run_variant

SHORT = Optimiser(steps=2, batch=4, warmup=1, save_every=1, log_every=1, sheet_every=100)
UNET = DiffusionSettings(channels=(16, 32), attention=(True, True), heads=2, norm_groups=4, optimiser=SHORT)
SMALL = replace(UNET, channels=(16, 16), optimiser=replace(SHORT, sheet_every=2))
RECIPE = Recipe(
    name="mini",
    world="tiny",
    size=32,
    pictures=640,
    strange=0.5,
    autoencoder=AutoencoderSettings(channels=(8, 16), norm_groups=4, optimiser=SHORT),
    clip=ClipSettings(vocab=560, width=32, layers=1, heads=2, image_width=32, image_layers=1, projection=16, optimiser=SHORT),
    diffusion=UNET,
    decoder=SHORT,
    inpainting=SMALL,
    depth=replace(SMALL, optimiser=SHORT),
    estimator=EstimatorSettings(world="tiny", optimiser=SHORT),
    upscaling=UpscalingSettings(
        pictures=600, crop=64, autoencoder=AutoencoderSettings(channels=(8, 8, 16), norm_groups=4, optimiser=SHORT), unet=SMALL
    ),
)
INPUTS = {"inpainting": 9, "depth": 5, "upscaling": 7}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "sprites.npz"
    save_pack(synthetic_pack(("3d", "glossy")), path)
    return path


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are made in one order, so that two runs can be compared bit for bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def base(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Making:
    making = Making(RECIPE, tmp_path_factory.mktemp("base"), pack)
    assert making.run() is not None
    return making


@pytest.fixture(scope="module")
def made(base: Making) -> dict[str, Model]:
    models = {name: run_variant(base, name) for name in VARIANTS}
    assert all(models.values())
    return models  # type: ignore[return-value]


def test_each_sees_what_stable_diffusions_relative_sees(made: dict[str, Model]) -> None:
    for name, model in made.items():
        assert model.variant == name
        assert model.unet.config.in_channels == INPUTS[name]
    assert made["upscaling"].autoencoder.factor == FACTOR
    assert made["upscaling"].low_noise == LOW_NOISE


@pytest.mark.parametrize("name", VARIANTS)
def test_stopped_after_every_step_it_is_the_same(base: Making, made: dict[str, Model], pack: Path, tmp_path: Path, name: str) -> None:
    for part in base.folder.iterdir():
        if part.name not in ("inpainting", "depth", "estimator", "upscaling", "details", "masked.npy"):
            (tmp_path / part.name).symlink_to(part)
    sessions = 1
    while (model := run_variant(Making(RECIPE, tmp_path, pack, stop_after=0), name)) is None:
        sessions += 1
    assert sessions >= SHORT.steps
    for network in ("unet", "autoencoder"):
        whole, parts = getattr(made[name], network).state_dict(), getattr(model, network).state_dict()
        assert all(torch.equal(whole[key], parts[key]) for key in whole), network


def test_a_relatives_folder_holds_what_is_its_own(base: Making, made: dict[str, Model], tmp_path: Path) -> None:
    whole = base.run()
    assert whole is not None
    export(whole, tmp_path / "base", "# base")
    own = {"inpainting": {"unet"}, "depth": {"unet", "depth_estimator"}, "upscaling": {"unet", "vae"}}
    for name, networks in own.items():
        text = relative_card(made[name], "mini", stages(base.folder, VARIANTS[name]))
        export_beside(made[name], tmp_path / name, tmp_path / "base", text)
        assert {part.parent.name for part in (tmp_path / name).glob("*/*.safetensors")} == networks
        ours = read_folder(tmp_path / name, dtype=torch.float32)
        assert ours.variant == name
        assert ours.low_noise == made[name].low_noise
        assert (ours.depth is None) == (name != "depth")
        for network in ("unet", "autoencoder", "text"):
            for key, tensor in getattr(made[name], network).state_dict().items():
                assert torch.equal(getattr(ours, network).state_dict()[key], tensor.half().float()), (network, key)
        assert f"{name} 2 steps" in ours.card
        assert STOP in ours.card
    (tmp_path / "base" / "text_encoder" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"config\.json"):
        export_beside(made["inpainting"], tmp_path / "inpainting", tmp_path / "base", "# other")


def test_masks_hide_what_their_kind_says() -> None:
    cover = torch.zeros(32, 32)
    cover[10:20, 8:24] = 1
    for kind in KINDS:
        for index in range(30):
            hidden = mask_of(kind, cover, Chance(0, index))
            assert hidden.shape == cover.shape
            assert set(hidden.unique().tolist()) <= {0.0, 1.0}
            if kind == "thing":
                assert (hidden >= cover).all()
            if kind == "surroundings":
                assert (hidden[cover > 0] == 0).all()
            if kind == "side":
                rows, columns = hidden.amax(1).sum(), hidden.amax(0).sum()
                assert (rows, columns).count(32) >= 1
    assert mask_of("everything", cover, Chance(0, 0)).min() == 1
    shares = torch.stack([mask(cover, Chance(1, index)) for index in range(200)]).mean((1, 2))
    assert 0.3 < shares.mean() < 0.7


def test_what_lies_beside_is_what_the_task_gives_the_network(base: Making, made: dict[str, Model]) -> None:
    model = made["inpainting"]
    image = base.pool.batch(torch.tensor([3]))
    hidden = mask_of("box", image[0, 0], Chance(0, 1))[None, None]
    ours = beside(model, image, hidden)[0]
    task = inpaint_seeing(Inpaint(image[0], hidden[0], how=_how(model), seed=0, factor=model.autoencoder.factor, whole=True))
    work = next(task)
    scale = model.autoencoder.config.scale

    def encode(x: torch.Tensor) -> torch.Tensor:
        """Mean and a log variance of next to nothing, in the U-Net's units."""
        mean = model.autoencoder.encode(x)[0] * scale
        return torch.stack([mean, torch.full_like(mean, -60.0)], 1)

    networks = {"encode": encode, "text": model.text}
    while work.model != "unet":
        rows = torch.stack([row[0] for row in work.rows])
        with torch.inference_mode():
            out = networks[work.model](rows)
        work = task.send(list(out.clone()))
    given = work.rows[0][2].beside
    torch.testing.assert_close(given[:1], ours[:1])
    torch.testing.assert_close(given[1:], ours[1:] * scale, rtol=1e-4, atol=1e-4)


def test_a_training_sample_shows_the_masked_picture(base: Making, made: dict[str, Model]) -> None:
    prepared = base.prepared()
    assert prepared is not None
    training = InpaintingTraining(RECIPE.inpainting, base.pool, *prepared, base.folder)
    indices = training.shown[:8]
    sample = training.sample(indices, torch.Generator().manual_seed(0))
    assert sample.beside is not None
    assert sample.beside.shape == (8, 5, 16, 16)
    hidden = sample.beside[:, :1].repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert 0 < hidden.mean() < 1


def test_squares_of_the_small_and_the_large_picture_show_the_same_place(base: Making, made: dict[str, Model]) -> None:
    prepared = base.prepared()
    assert prepared is not None
    large = Pool(base.folder / "large", Stream(str(base.pack), "tiny", 0, 128), 600)
    training = UpscalingTraining(RECIPE.upscaling, base.pool, large, made["upscaling"], prepared.captions)
    shown = torch.arange(12)
    sample = training.sample(shown, torch.Generator().manual_seed(0))
    assert sample.beside is not None
    assert sample.label is not None
    assert sample.z.shape == (12, 4, 16, 16)
    assert sample.beside.shape == (12, 3, 16, 16)
    assert (sample.label >= 0).all()
    assert (sample.label <= 350).all()

    corners = torch.tensor([[2, 5]] * 12)
    small, again = cut(base.pool, shown, corners, 16), F.avg_pool2d(cut(large, shown, FACTOR * corners, 64), FACTOR)
    elsewhere = F.avg_pool2d(cut(large, shown, FACTOR * (corners + 3), 64), FACTOR)
    assert F.mse_loss(again, small) < 0.2 * F.mse_loss(elsewhere, small)


def test_pictures_drawn_in_a_batch_are_those_drawn_alone(base: Making, made: dict[str, Model]) -> None:
    model = made["inpainting"]
    prepared = base.prepared()
    assert prepared is not None
    training = InpaintingTraining(RECIPE.inpainting, base.pool, *prepared, base.folder)
    sample = training.sample(training.shown[:2], torch.Generator().manual_seed(0))
    with torch.inference_mode():
        states = model.text(torch.tensor([model.tokenizer.padded(text) for text in ("a cat", "a red star")]))
    both = drawn(model, model.unet, states, sample, steps=2)
    second = drawn(model, model.unet, states[1:], sample.rows(slice(1, 2)), steps=2, seed=2)
    torch.testing.assert_close(both[1:], second, rtol=1e-3, atol=1e-4)


def test_rank_correlation_is_spearmans() -> None:
    torch.manual_seed(0)
    a = torch.randint(0, 9, (4, 6, 6)).float()
    b = a + torch.randint(0, 5, (4, 6, 6))
    ours = rank_correlation(a, b)
    for mine, x, y in zip(ours, a, b, strict=True):
        assert mine.item() == pytest.approx(spearmanr(x.flatten().numpy(), y.flatten().numpy()).statistic, abs=1e-5)


def _how(model: Model) -> Drawing:
    sigmas = sigmas_for(model.schedule, "karras", 2)
    return Drawing(of_tokens(model.tokenizer.padded("a cat"), model.tokenizer.padded("")), "euler", sigmas, 2.0)


def test_pairs_in_order_know_no_ceiling() -> None:
    generator = torch.Generator().manual_seed(3)
    truth = (torch.rand(2, 9, 9, generator=generator) > 0.6).float()
    found = truth + 0.5 * torch.rand(2, 9, 9, generator=generator)  # what is in front is in front, and all else is noise
    assert torch.equal(pairs_in_order(found, truth), torch.ones(2))
    assert torch.equal(pairs_in_order(-found, truth), torch.zeros(2))
    assert torch.allclose(pairs_in_order(torch.zeros_like(found), truth), torch.full((2,), 0.5))
    p = truth.mean((1, 2))
    assert torch.allclose(rank_correlation(found, truth), (3 * p * (1 - p)).sqrt(), atol=1e-3)
