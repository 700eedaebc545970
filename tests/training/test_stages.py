"""The whole chain on a miniature world of synthetic drawings: every stage stops and goes on, and the folder opens everywhere."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch

import kakusan
from data.sprites import synthetic_pack
from kakusan.data.pictures import WORLDS, Chance, caption, save_pack
from kakusan.formats.model import Model
from kakusan.training import checkpoint
from kakusan.training.captions import FreshCaptions, StoredCaptions, padded, token_ids
from kakusan.training.card import START, STOP, card, write_figures
from kakusan.training.diffusion import DiffusionTraining, snr_weight
from kakusan.training.embedded import STAGES, Making, export, stages
from kakusan.training.loop import Run, fit
from kakusan.training.pool import Pool, Stream, opened
from kakusan.training.settings import AutoencoderSettings, ClipSettings, DiffusionSettings, Optimiser, Recipe

SHORT = Optimiser(steps=3, batch=4, warmup=2, save_every=2, log_every=1, sheet_every=100)
RECIPE = Recipe(
    name="mini",
    world="tiny",
    size=32,
    pictures=1200,
    autoencoder=AutoencoderSettings(channels=(8, 16), norm_groups=4, optimiser=SHORT),
    clip=ClipSettings(vocab=560, width=32, layers=1, heads=2, image_width=32, image_layers=1, projection=16, optimiser=SHORT),
    diffusion=DiffusionSettings(channels=(16, 32), attention=(True, True), heads=2, norm_groups=4, optimiser=SHORT),
    decoder=SHORT,
)


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
def made(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Making, Model]:
    """A run that nothing interrupted."""
    making = Making(RECIPE, tmp_path_factory.mktemp("whole"), pack)
    model = making.run()
    assert model is not None
    return making, model


@pytest.fixture(scope="module")
def training(made: tuple[Making, Model]) -> DiffusionTraining:
    making, model = made
    latents = torch.from_numpy(np.load(making.folder / "latents.npy"))
    return DiffusionTraining(RECIPE.diffusion, making.pool, model, latents, FreshCaptions(making.pool, model.tokenizer))


def test_interrupted_after_every_step_it_makes_the_same_model(made: tuple[Making, Model], pack: Path, tmp_path: Path) -> None:
    sessions = 1
    while (model := Making(RECIPE, tmp_path, pack, stop_after=0).run()) is None:
        sessions += 1
    assert sessions > 4 * (SHORT.steps - 1), "each session ends after one step"
    assert stages(tmp_path).keys() == set(STAGES)
    for name in ("unet", "autoencoder", "text", "image"):
        whole, parts = getattr(made[1], name).state_dict(), getattr(model, name).state_dict()
        assert all(torch.equal(whole[key], parts[key]) for key in whole), name
    assert made[1].settings == model.settings
    assert made[1].autoencoder.config == model.autoencoder.config


def test_a_session_has_one_limit_for_all_its_stages(pack: Path, tmp_path: Path) -> None:
    making = Making(RECIPE, tmp_path, pack, stop_after=0)
    assert making.run() is None
    assert list(stages(tmp_path)) == ["autoencoder"]


def test_the_folder_opens_here_and_in_diffusers_and_both_say_the_same(made: tuple[Making, Model], tmp_path: Path) -> None:
    folder = tmp_path / "mini"
    export(made[1], folder, card(made[1], RECIPE, "mini.toml", stages(made[0].folder)))
    ours = kakusan.load(folder, device="cpu").model
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(str(folder), torch_dtype=torch.float32, local_files_only=True)
    ids = torch.tensor([ours.tokenizer.padded("青い背景の猫")])
    assert ids[0].tolist() == theirs.tokenizer("青い背景の猫", padding="max_length", truncation=True)["input_ids"]
    latent, t = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([900, 3])
    with torch.inference_mode():
        states = ours.text(ids)
        torch.testing.assert_close(states, theirs.text_encoder(ids)[0], rtol=1e-5, atol=1e-5)
        context = states.expand(2, -1, -1)
        torch.testing.assert_close(ours.unet(latent, t, context), theirs.unet(latent, t, context).sample, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.autoencoder.decode(latent), theirs.vae.decode(latent).sample, rtol=1e-4, atol=1e-5)
        picture = ours.autoencoder.decode(latent).clamp(-1, 1)
        torch.testing.assert_close(ours.autoencoder.encode(picture)[0], theirs.vae.encode(picture).latent_dist.mean, rtol=1e-4, atol=1e-5)
    assert theirs.vae.config.scaling_factor == pytest.approx(ours.autoencoder.config.scale)
    assert "kedi" not in ours.settings["words"]
    assert "cat" in ours.settings["words"]


def test_latents_have_a_variance_of_one_in_the_networks_units(made: tuple[Making, Model], training: DiffusionTraining) -> None:
    z = training.sample_latents(torch.arange(600), torch.Generator().manual_seed(0))
    mean = training.latents[:600, :4].float() * training.scale
    assert mean.std() == pytest.approx(1, abs=0.1)
    assert z.std() > mean.std(), "the posterior's own spread comes on top"


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("gamma", [0.0, 5.0])
def test_the_loss_is_the_papers(training: DiffusionTraining, prediction: str, gamma: float) -> None:
    settings = replace(RECIPE.diffusion, prediction=prediction, snr_gamma=gamma, drop_caption=0.0)
    trained = DiffusionTraining(settings, training.pool, training.model, training.latents, training.captions)
    seen: list[tuple[torch.Tensor, ...]] = []
    unet = trained.module.double()
    trained.module = lambda x, t, context: seen.append((x, t, context)) or unet(x.double(), t, context.double())  # type: ignore[assignment]
    draws = torch.Generator().manual_seed(5)
    loss, _ = trained.loss(8, draws)
    x, t, context = seen[0]

    again = torch.Generator().manual_seed(5)  # the same draws, in the same order
    indices = torch.randint(trained.pool.count, (8,), generator=again)
    captions = trained.pool.captions(indices, again)
    u = (torch.randperm(8, generator=again) + torch.rand(8, generator=again)) / 8
    assert sorted((u * 8).int().tolist()) == list(range(8)), "timesteps are spread evenly over the batch"
    assert t.tolist() == (u * 1000).int().tolist()
    mean, std = trained.latents[indices].float().chunk(2, 1)
    z = (mean + std * torch.randn(mean.shape, generator=again)) * trained.scale
    noise = torch.randn(z.shape, generator=again)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    a = torch.cumprod(1 - betas, 0)[t].view(8, 1, 1, 1)
    torch.testing.assert_close(x.double(), a.sqrt() * z + (1 - a).sqrt() * noise, rtol=1e-5, atol=1e-5)
    text = trained.model.text(torch.tensor([trained.model.tokenizer.padded(c) for c in captions]))
    torch.testing.assert_close(context, text, rtol=1e-5, atol=1e-5)

    eps = noise.double()
    output = unet(x.double(), t, context.double())
    target = eps if prediction == "epsilon" else a.sqrt() * eps - (1 - a).sqrt() * z
    each = ((output - target) ** 2).mean((1, 2, 3))
    snr = (a / (1 - a)).flatten()
    weight = torch.ones(8) if not gamma else torch.minimum(snr, torch.tensor(gamma)) / (snr if prediction == "epsilon" else snr + 1)
    assert loss.item() == pytest.approx((weight * each).mean().item(), rel=1e-5)


def test_minimum_snr_weighs_the_clean_image_alike_for_both_predictions() -> None:
    a = torch.tensor([0.999, 0.9, 0.5, 0.01], dtype=torch.float64)
    snr = a / (1 - a)
    of_eps = snr_weight(a, DiffusionSettings(prediction="epsilon", snr_gamma=5))
    of_v = snr_weight(a, DiffusionSettings(prediction="v_prediction", snr_gamma=5))
    # an error d of the clean image is an error sqrt(SNR) d of the noise, and sqrt(SNR + 1) d of v
    torch.testing.assert_close(of_eps * snr, snr.clamp(max=5))
    torch.testing.assert_close(of_v * (snr + 1), snr.clamp(max=5))


def test_a_caption_in_ten_is_dropped_and_wordings_vary(made: tuple[Making, Model]) -> None:
    making, model = made
    silence = token_ids(model.tokenizer, [""])[0, :2].tolist()
    for captions in (FreshCaptions(making.pool, model.tokenizer), StoredCaptions(making.pool, model.tokenizer, making.folder, 3)):
        ids = captions.ids(torch.arange(100).repeat(20), torch.Generator().manual_seed(0), 0.1)
        silent = (ids[:, :2] == torch.tensor(silence)).all(1)
        assert silent.float().mean() == pytest.approx(0.1, abs=0.03)
        assert len({tuple(row) for row in ids.tolist()}) > 150, "several wordings of a hundred pictures"


def test_captions_of_the_table_belong_to_their_pictures(made: tuple[Making, Model]) -> None:
    making, model = made
    stored = StoredCaptions(making.pool, model.tokenizer, making.folder, 3)
    ids = padded(stored.ids(torch.tensor([70] * 200), torch.Generator().manual_seed(0)), model.tokenizer)
    chance = Chance((1 << 33), 70)
    said = [caption(making.pool.scene(70), language, chance).text for language in ("en", "ja", "en")]
    assert {tuple(row) for row in ids.tolist()} == {tuple(model.tokenizer.padded(text)) for text in said}


def test_several_processes_render_the_same_pictures(made: tuple[Making, Model], pack: Path, tmp_path: Path) -> None:
    pool = Pool(tmp_path, Stream(str(pack), "tiny", 0, 32), 1200, workers=2)
    assert torch.equal(pool.images, made[0].pool.images)


def test_pictures_are_made_again_when_the_generator_would_make_others(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(str(pack), "tiny", 0, 8)
    before = Pool(tmp_path, stream, 600).images.clone()
    stamp = (tmp_path / "pictures.npy").stat().st_mtime_ns
    assert torch.equal(Pool(tmp_path, stream, 600).images, before)
    assert (tmp_path / "pictures.npy").stat().st_mtime_ns == stamp, "the file is used again"
    (tmp_path / "latents.npy").touch()
    monkeypatch.setitem(WORLDS, "tiny", replace(WORLDS["tiny"], wander=0.2))
    opened.cache_clear()
    assert not torch.equal(Pool(tmp_path, stream, 600).images, before)
    assert not (tmp_path / "latents.npy").exists(), "latents of other pictures would be wrong"
    opened.cache_clear()


def test_text_gain_is_what_a_wrong_caption_costs(training: DiffusionTraining, tmp_path: Path) -> None:
    class Fake(torch.nn.Module):
        """Says 0; and 10, if it listens, where it hears the captions in another order than at first."""

        def __init__(self, listens: bool):
            super().__init__()
            self.anchor, self.config, self.listens = torch.nn.Parameter(torch.zeros(1)), training.config, listens
            self.first: torch.Tensor | None = None

        def forward(self, x: torch.Tensor, t: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
            self.first = context if self.first is None else self.first
            return torch.full_like(x, 10.0 * (self.listens and not torch.equal(self.first, context)))

    deaf = training.sheet(Fake(listens=False), tmp_path, 1)  # type: ignore[arg-type]
    assert all(deaf[f"gain_{t}"] == 0 for t in (900, 600, 300))
    attentive = training.sheet(Fake(listens=True), tmp_path, 2)  # type: ignore[arg-type]
    assert all(50 < attentive[f"gain_{t}"] < 150 for t in (900, 600, 300)), "wrong by ten costs about a hundred"
    assert (tmp_path / "sheet-000002.png").stat().st_size > 1000


def test_a_checkpoint_made_small_is_an_eighth_of_its_size_and_goes_on(made: tuple[Making, Model], tmp_path: Path) -> None:
    making, model = made
    checkpoint.shrink(making.folder / "diffusion", tmp_path / "diffusion")
    small, large = (folder / "diffusion" / checkpoint.NAME for folder in (tmp_path, making.folder))
    assert small.stat().st_size < large.stat().st_size / 6
    training = DiffusionTraining(
        RECIPE.diffusion, making.pool, model, torch.zeros(1200, 8, 16, 16), FreshCaptions(making.pool, model.tokenizer)
    )
    settings = replace(SHORT, steps=6)
    run = Run(training, settings, "cpu")
    assert run.restore(tmp_path / "diffusion")
    assert (run.clock.step, run.clock.born) == (3, 3), "the warm-up begins anew with AdamW's moments"
    for key, value in run.module.state_dict().items():
        torch.testing.assert_close(value, model.unet.state_dict()[key].half().float(), rtol=0, atol=0)
    run.clock.fall_to = 6
    run.save(tmp_path / "diffusion")
    assert fit(training, settings, tmp_path / "diffusion")[1]


def test_the_card_says_everything_and_takes_figures(made: tuple[Making, Model], tmp_path: Path) -> None:
    making, model = made
    text = card(model, RECIPE, "mini.toml", stages(making.folder))
    for section in ("# mini", "## What it knows", "## What it does not know", "## How well it does", "## How it was made"):
        assert f"\n{section}\n" in text
    for fact in (
        "license: apache-2.0",
        "mini.toml",
        "32 x 32",
        "snowman",
        "light blue",
        "MIT licence",
        "autoencoder 3 steps",
        "decoder 3 steps",
    ):
        assert fact in text, fact
    count = sum(p.numel() for p in model.unet.parameters())
    assert f"{count:,}" in text
    earlier = {**stages(making.folder), "diffusion": {"steps": 7000, "minutes": 5.0}}
    twice = card(model, RECIPE, "mini.toml", stages(making.folder), earlier)
    assert "diffusion 7,000 steps in 5.0 minutes" in twice
    assert twice.count("autoencoder 3 steps") == 1, "what was taken as it is, is not told again"
    assert twice.index("7,000") < twice.index("then, beginning") < twice.index("diffusion 3 steps")
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    for figures in ("| a | b |\n|---|---|\n| 1 | \\2 |", "none"):
        write_figures(path, figures)
        after = path.read_text(encoding="utf-8")
        assert f"{START}\n{figures}\n{STOP}" in after
        assert after.replace(figures, "not measured yet") == text, "nothing else changes"
    path.write_text("# no place\n")
    with pytest.raises(ValueError, match=r"has no place for figures"):
        write_figures(path, "x")
