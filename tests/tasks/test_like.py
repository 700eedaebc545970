"""Seeds, streams and whole pictures as other programs have them, beside their loops written out here, torchsde and diffusers."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchsde
from torch import Tensor

from formats.tiny import tiny_model
from kakusan.denoiser import Denoiser
from kakusan.errors import KakusanError
from kakusan.formats.folder import write_folder
from kakusan.noise import PhiloxStream
from kakusan.pipeline import Pipeline
from kakusan.run import run
from kakusan.tasks.brownian_tree import BrownianTree
from kakusan.tasks.like import Like, asked
from kakusan.tasks.modes import Given
from kakusan.tasks.profiles import PROFILES
from kakusan.tasks.recipe import Recipe
from kakusan.tasks.seeds import slerp
from kakusan.tasks.variations import noise_of, numbered, seed_of
from peers import peer, same

SHAPE = (1, 4, 8, 8)
Guided = Callable[[Tensor, float], Tensor]


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return Pipeline(tiny_model())


@pytest.fixture(scope="module")
def denoised(pipe: Pipeline) -> Callable[..., Tensor]:
    """x0 under guidance, for one picture, as all these programs compute it; whole: ComfyUI's timesteps."""
    model = pipe.model
    with torch.inference_mode():
        cond, uncond = model.text(torch.tensor([model.tokenizer.padded("apple"), model.tokenizer.padded("")]))

    def guided(x: Tensor, sigma: float, scale: float = 2.5, whole: bool = False) -> Tensor:
        denoiser = Denoiser(model.unet, model.schedule, rounded=whole)
        with torch.inference_mode():
            a, b = denoiser(torch.cat([x, x]), torch.full((2,), float(sigma)), torch.stack([cond, uncond]))
        return (b + scale * (a - b))[None]

    return guided


def latent(pipe: Pipeline, recipe: Recipe, given: Given | None = None) -> Tensor:
    """What the task of a recipe decodes."""
    seen = []

    def decode(z: Tensor) -> Tensor:
        seen.append(z)
        return z[:, :3].repeat_interleave(2, 2).repeat_interleave(2, 3)

    run(pipe.task(recipe, *([given] if given else [])), {**pipe.networks, "decode": decode})
    return seen[0]


def recipes(pipe: Pipeline, like: Like, count: int = 1, **options: object) -> list[Recipe]:
    return pipe.recipes("apple", count, 11, {"like": like, **options})


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ancestral(guided: Guided, x: Tensor, sigmas: list[float], noise: Callable[[], Tensor]) -> Tensor:
    """sample_euler_ancestral of k-diffusion with eta 1."""
    for sigma, sigma_next in itertools.pairwise(sigmas):
        clean = guided(x, sigma)
        up = min(sigma_next, (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5)
        down = (sigma_next**2 - up**2) ** 0.5
        x = x + (x - clean) / sigma * (down - sigma)
        if sigma_next > 0:
            x = x + noise() * up
    return x


def normal(pipe: Pipeline, steps: int) -> list[float]:
    return [pipe.model.schedule.sigma_of(999 * (1 - i / (steps - 1))) for i in range(steps)] + [0.0]


@pytest.mark.parametrize("ensd", [0, 31337])
def test_a_picture_of_a1111s(pipe: Pipeline, denoised: Guided, ensd: int) -> None:
    """rng.ImageRNG with RNG CPU: x = first * sigmas[0]; with ENSD the sampler draws from seed + ENSD, else it goes on."""
    (recipe,) = recipes(pipe, Like("a1111", rng="cpu", ensd=ensd), sampler="Euler a", steps=4)
    assert recipe.schedule == "normal"
    stream = generator(11)
    sigmas = normal(pipe, 4)
    x = torch.randn(SHAPE, generator=stream) * sigmas[0]
    own = generator(11 + ensd) if ensd else stream
    want = ancestral(denoised, x, sigmas, lambda: torch.randn(SHAPE, generator=own))
    torch.testing.assert_close(latent(pipe, recipe), want, rtol=1e-4, atol=1e-4)


def test_a1111_draws_on_the_gpu_unless_told(pipe: Pipeline) -> None:
    (recipe,) = recipes(pipe, Like("a1111"), sampler="euler_ancestral", steps=4)
    noise, stream = noise_of(seed_of(recipe, 2, pipe.model.schedule)), PhiloxStream(11)
    sigma = pipe.sigmas(recipe)[0]
    torch.testing.assert_close(noise.first(SHAPE, sigma), sigma * stream.randn(SHAPE))
    assert torch.equal(noise(torch.empty(SHAPE), 2.0, 1.0), stream.randn(SHAPE))


def test_a1111s_sub_seed_and_picture_of_a_batch(pipe: Pipeline) -> None:
    """seeds count up; with a variation strength they stay and sub-seeds count up."""
    batch = recipes(pipe, Like("a1111", rng="cpu"), count=3)
    assert [recipe.seed for recipe in batch] == [11, 12, 13]
    varied = recipes(pipe, Like("a1111", rng="cpu"), count=2, variation_seed=5, variation_strength=0.3)
    assert [(recipe.seed, recipe.variation_seed) for recipe in varied] == [(11, 5), (11, 6)]
    first = noise_of(seed_of(varied[1], 2, pipe.model.schedule)).randn(SHAPE)
    assert torch.equal(first, slerp(0.3, torch.randn(SHAPE, generator=generator(11)), torch.randn(SHAPE, generator=generator(6))))


def test_a1111s_picture_from_a_picture(pipe: Pipeline, denoised: Guided) -> None:
    """sample_img2img: the mean of the encoded picture plus the first noise at sigma_sched[0], t_enc + 1 steps of Euler."""
    picture = torch.rand(3, 16, 16, generator=generator(3)) * 2 - 1
    given = Given(image=picture)
    (recipe,) = pipe.recipes("apple", 1, 11, {"like": Like("a1111", rng="cpu"), "sampler": "euler", "steps": 6, "strength": 0.5}, given)
    sigmas = normal(pipe, 6)[6 - 3 - 1 :]
    mean = pipe.networks["encode"](picture[None])[0, 0]
    x = mean + torch.randn(SHAPE, generator=generator(11)) * sigmas[0]
    for sigma, sigma_next in itertools.pairwise(sigmas):
        x = x + (x - denoised(x, sigma)) / sigma * (sigma_next - sigma)
    torch.testing.assert_close(latent(pipe, recipe, given), x, rtol=1e-4, atol=1e-4)
    assert pipe.evaluations(recipe, given) == 4 + 3  # and text, encoder and decoder


def test_a1111s_ddim(pipe: Pipeline, denoised: Guided) -> None:
    """sd_samplers_timesteps_impl.ddim, in its own variables: x starts as the noise itself and ends at alphas_cumprod[1]."""
    (recipe,) = recipes(pipe, Like("a1111", rng="cpu"), sampler="ddim", steps=5)
    alphas = torch.tensor(pipe.model.schedule.alphas_cumprod(), dtype=torch.float64)
    timesteps = [1, 201, 401, 601, 801]
    x = torch.randn(SHAPE, generator=generator(11)).double()
    for index in range(4, 0, -1):
        a, a_prev = alphas[timesteps[index]], alphas[([0, *timesteps[:-1]])[index]]
        sigma = float(((1 - a) / a).sqrt())
        clean = denoised((x / a.sqrt()).float(), sigma).double()
        eps = (x - a.sqrt() * clean) / (1 - a).sqrt()
        x = a_prev.sqrt() * clean + (1 - a_prev).sqrt() * eps
    torch.testing.assert_close(latent(pipe, recipe).double(), x, rtol=1e-4, atol=1e-4)


def test_a_batch_of_comfyuis(pipe: Pipeline, denoised: Callable[..., Tensor]) -> None:
    """prepare_noise draws for the whole batch on the CPU; on a CPU the sampler's generator has seed + 1; max_denoise; whole timesteps."""
    batch = recipes(pipe, Like("comfyui", rng="cpu"), count=3, sampler="euler_ancestral", steps=4)
    assert [(recipe.seed, recipe.like.place, recipe.like.of) for recipe in batch] == [(11, 0, 3), (11, 1, 3), (11, 2, 3)]
    sigmas = normal(pipe, 4)
    whole = torch.randn((3, *SHAPE[1:]), generator=generator(11)) * (1 + sigmas[0] ** 2) ** 0.5
    own = generator(12)
    drawn = [torch.randn((3, *SHAPE[1:]), generator=own) for _ in sigmas]
    for place in (0, 2):
        steps = iter(drawn)
        guided: Guided = lambda x, sigma: denoised(x, sigma, whole=True)  # noqa: E731
        want = ancestral(guided, whole[place : place + 1], sigmas, lambda: next(steps)[place : place + 1])  # noqa: B023
        torch.testing.assert_close(latent(pipe, batch[place]), want, rtol=1e-4, atol=1e-4)
    together = pipe("apple", seed=11, count=3, sampler="euler_ancestral", steps=4, like=Like("comfyui", rng="cpu"))
    alone = pipe("apple", seed=11, sampler="euler_ancestral", steps=4, like=Like("comfyui", rng="cpu", place=2, of=3))
    assert same(together.images[2], alone.images[0])[0] <= 1


def test_comfyuis_sampler_draws_on_the_gpu(pipe: Pipeline) -> None:
    recipe = recipes(pipe, Like("comfyui"), count=2, sampler="euler_ancestral", steps=4)[1]
    noise = noise_of(seed_of(recipe, 2, pipe.model.schedule))
    first = torch.randn((2, *SHAPE[1:]), generator=generator(11))[1:]
    assert torch.equal(noise.randn(SHAPE), first)
    assert torch.equal(noise(torch.empty(SHAPE), 2.0, 1.0), PhiloxStream(11).randn((2, *SHAPE[1:]))[1:])
    part = replace(recipe, mode="img2img", strength=0.5)
    sigma = pipe.sigmas(part)[0]
    again = noise_of(seed_of(part, 2, pipe.model.schedule))
    torch.testing.assert_close(again.first(SHAPE, sigma), first * sigma)  # not max_denoise


@pytest.mark.parametrize("sampler", ["dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"])
def test_sde_samplers_draw_from_k_diffusions_tree(pipe: Pipeline, sampler: str) -> None:
    """BrownianTreeNoiseSampler over torchsde's tree: A1111 a tree a picture, ComfyUI one of a whole batch."""
    for like, shape in ((Like("a1111", rng="cpu"), SHAPE), (Like("comfyui", place=1, of=2), (2, *SHAPE[1:]))):
        (recipe,) = pipe.recipes("apple", 1, 11, {"like": like, "sampler": sampler, "steps": 6})
        sigmas = torch.tensor(pipe.sigmas(recipe))
        tree = torchsde.BrownianTree(sigmas[sigmas > 0].min(), torch.zeros(shape), sigmas.max(), entropy=11)
        noise = noise_of(seed_of(recipe, 2, pipe.model.schedule))
        for sigma, sigma_next in ((sigmas[0], sigmas[1]), (sigmas[3], sigmas[4])):
            want = -tree(sigma_next, sigma) / (sigma - sigma_next).sqrt()
            got = noise(torch.empty(SHAPE), float(sigma), float(sigma_next))
            torch.testing.assert_close(got, want[like.place : like.place + 1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 7, 2**40 + 3])
def test_the_tree_is_torchsdes(seed: int) -> None:
    low, high = 0.029167532920837402, 14.614641189575195
    ours = BrownianTree(seed, low, high, lambda own, shape: torch.randn(tuple(shape), generator=generator(own)))
    theirs = torchsde.BrownianTree(torch.tensor(low), torch.zeros(SHAPE), torch.tensor(high), entropy=seed)
    for pair in ((14.5, 8.25), (8.25, 2.0), (2.0, 0.5), (0.5, 0.03125), (0.40625, 0.125)):
        start, end = map(torch.tensor, pair)
        assert torch.equal(ours(SHAPE, *pair), -theirs(end, start) / (start - end).sqrt())


def test_invokeais_noise(pipe: Pipeline) -> None:
    """get_noise in half precision on the CPU; the scheduler's generator on the GPU has the seed's 32 bits turned round."""
    (recipe,) = recipes(pipe, Like("invokeai"), sampler="euler_ancestral", steps=4)
    noise = noise_of(seed_of(recipe, 2, pipe.model.schedule))
    sigma = pipe.sigmas(recipe)[0]
    want = torch.randn(SHAPE, generator=generator(11), dtype=torch.float16).float()
    torch.testing.assert_close(noise.first(SHAPE, sigma), sigma * want)
    assert torch.equal(noise(torch.empty(SHAPE), 2.0, 1.0), PhiloxStream(11 ^ 0xFFFFFFFF).randn(SHAPE).half().float())


@pytest.mark.parametrize(
    ("sampler", "scheduler", "spacing"),
    [
        ("ddim", "DDIMScheduler", {}),
        ("euler_ancestral", "EulerAncestralDiscreteScheduler", {"timestep_spacing": "linspace"}),
        ("dpmpp_2m", "DPMSolverMultistepScheduler", {"timestep_spacing": "linspace"}),
    ],
)
def test_a_batch_of_diffusers(pipe: Pipeline, tmp_path: Path, sampler: str, scheduler: str, spacing: dict[str, str]) -> None:
    """num_images_per_prompt with one generator; the spacing is that of a folder which names none, as Stable Diffusion's own do not."""
    write_folder(pipe.model, tmp_path / "tiny")
    theirs = peer(tmp_path / "tiny", scheduler, **spacing)
    options = {"num_inference_steps": 5, "guidance_scale": 2.5, "height": 16, "width": 16}
    want = theirs("apple", generator=generator(11), num_images_per_prompt=2, **options).images
    ours = pipe("apple", seed=11, count=2, sampler=sampler, steps=5, scale=2.5, like="diffusers").images
    for picture, other in zip(ours, want, strict=True):
        assert same(picture, other)[0] <= 1


def test_compvis_draws_a_batch_on_the_gpu(pipe: Pipeline) -> None:
    recipe = recipes(pipe, Like("compvis"), count=2, sampler="ddim", steps=4)[1]
    noise = noise_of(seed_of(recipe, 2, pipe.model.schedule))
    whole = PhiloxStream(11).randn((2, *SHAPE[1:]))
    sigma = pipe.sigmas(recipe)[0]
    torch.testing.assert_close(noise.first(SHAPE, sigma), (1 + sigma**2) ** 0.5 * whole[1:])


def test_seeds_go_on_with_the_next_batch() -> None:
    recipe = Recipe("", "", 16, 16, 4, "euler", "normal", 1.0, 5, like=Like("comfyui", of=4))
    assert [(numbered(recipe, i).seed, numbered(recipe, i).like.place) for i in (0, 3, 4, 9)] == [(5, 0), (5, 3), (6, 0), (7, 1)]


@pytest.mark.parametrize("name", [name for name in PROFILES if name])
def test_every_program_draws_every_mode(pipe: Pipeline, name: str) -> None:
    """And a picture made alone, from its recipe's text, is the same."""
    picture = torch.rand(3, 16, 16, generator=generator(3))
    for given, options in (
        (Given(), {}),
        (Given(image=picture), {"strength": 0.6}),
        (Given(picture, picture[:1].round()), {"strength": 0.7}),
    ):
        both = pipe.recipes("apple", 2, 11, {"like": Like(name), "steps": 6, "sampler": "euler_ancestral", **options}, given)
        again = pipe.checked(Recipe.parse(both[1].parameters()))
        assert again == both[1]
        torch.testing.assert_close(latent(pipe, again, given), latent(pipe, both[1], given), rtol=0, atol=0)


def test_what_a_recipe_says_is_in_a1111s_words() -> None:
    like = Like("comfyui", rng="cuda", ensd=31337, eta=0.5, discard=True, place=1, of=4)
    said = like.settings()
    assert said == {
        **{"Like": "comfyui", "RNG": "NV", "ENSD": "31337", "Eta": "0.5", "Discard penultimate sigma": "True"},
        **{"Batch size": "4", "Batch pos": "1"},
    }
    assert Like.of_settings(said) == like
    assert Like.of_settings({"RNG": "GPU", "ENSD": "x", "Eta": "-3", "Batch size": "2", "Batch pos": "7", "Like": "?"}) == Like(rng="cuda")
    assert Like.of_settings({}) == Like()
    assert Like.of_settings({"Eta DDIM": "0.5"}) == Like(eta=0.5), "as A1111 calls it for DDIM"
    assert Like.of_settings({"Like": "a1111", "Batch size": "4", "Batch pos": "2"}) == Like("a1111"), "there seeds count up"


def test_eta_and_noise_alone_can_be_asked_for(pipe: Pipeline) -> None:
    own = pipe("apple", seed=3, sampler="euler_ancestral", steps=4).images[0]
    assert same(own, pipe("apple", seed=3, sampler="euler_ancestral", steps=4, like=Like(rng="cpu")).images[0])[0] == 0
    assert same(own, pipe("apple", seed=3, sampler="euler_ancestral", steps=4, like=Like(rng="cuda")).images[0])[0] > 1
    plain = pipe("apple", seed=3, sampler="euler", steps=4).images[0]
    assert same(plain, pipe("apple", seed=3, sampler="euler_ancestral", steps=4, like=Like(eta=0.0)).images[0])[0] <= 1


def test_what_cannot_be_is_one_line(pipe: Pipeline) -> None:
    for wrong in ({"like": "midjourney"}, {"rng": "tpu"}, {"ensd": 2**64}, {"eta": -1.0}):
        with pytest.raises(KakusanError) as caught:
            asked(**wrong)
        assert "\n" not in str(caught.value)
    with pytest.raises(KakusanError, match="a batch of 2"):
        Like(place=2, of=2)
    assert asked() is None
    assert asked("a1111", "NV", 5) == Like("a1111", "cuda", 5)


def test_a_second_pass_begins_anew(pipe: Pipeline) -> None:
    """sample_hr_pass: a new ImageRNG, for the larger size."""
    options = {"width": 32, "height": 32, "steps": 4, "sampler": "euler"}
    (recipe,) = recipes(pipe, Like("a1111", rng="cpu"), **options)
    first = noise_of(seed_of(recipe, 2, pipe.model.schedule))
    first.randn(SHAPE)
    assert torch.equal(first.renewed().randn((1, 4, 16, 16)), torch.randn((1, 4, 16, 16), generator=generator(11)))
    picture = pipe("apple", seed=11, hires=True, like=Like("a1111", rng="cpu"), **options)
    assert picture.images[0].size == (32, 32)
    assert len(pipe.sigmas(picture.recipes[0])) == 5
