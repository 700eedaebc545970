"""Large pictures in tiles: the same as in one piece but for the statistics of norms, and not a seam."""

import pytest
import torch
from torch import Tensor

from kakusan.formats.folder import read_folder
from kakusan.loading import EMBEDDED
from kakusan.models.autoencoder import Autoencoder, AutoencoderConfig
from kakusan.models.twins import twin
from kakusan.tiles import Tiled, sampled

torch.manual_seed(0)
RANDOM = Autoencoder(AutoencoderConfig(channels=(16, 16, 32, 32), blocks=2, norm_groups=8)).eval()
for p in RANDOM.parameters():
    if p.dim() == 1:
        p.data += 0.2 * torch.randn_like(p)
LATENT = torch.randn(1, 4, 40, 56, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.inference_mode():
        yield


def everything(x: Tensor, given: int, tile: int) -> list[Tensor]:
    """One patch: all of it."""
    return [torch.nn.functional.pad(x, [0] * 4)]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics of the whole picture instead of patches of it."""
    monkeypatch.setattr("kakusan.tiles.sampled", everything)
    monkeypatch.setattr("kakusan.tiles.EDGE", 0)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("levels", [2, 3, 4])
@pytest.mark.usefixtures("exact")
def test_with_exact_statistics_tiles_are_the_picture_in_one_piece(blocks: int, levels: int) -> None:
    torch.manual_seed(2)
    network = Autoencoder(AutoencoderConfig(channels=(16,) * levels, blocks=blocks, norm_groups=8)).eval()
    tiled = Tiled(network, whole=1, tile=24 * network.factor, region=10**5)
    torch.testing.assert_close(tiled.decode(LATENT), network.decode(LATENT), atol=2e-5, rtol=1e-4)
    image = torch.rand(1, 3, 40 * network.factor, 56 * network.factor) * 2 - 1
    torch.testing.assert_close(tiled.encode(image), torch.stack(network.encode(image)), atol=2e-5, rtol=1e-4)


def step_across(picture: Tensor, columns: list[int]) -> tuple[float, float]:
    """How large the mean step from column to column is at tiles' borders, and at the columns within 8 pixels of them."""
    steps = (picture[..., 1:] - picture[..., :-1]).abs().mean((0, 1, 2))
    near = [c + d for c in columns for d in range(-8, 9) if d]
    return float(steps[[c - 1 for c in columns]].mean()), float(steps[[c - 1 for c in near]].mean())


@pytest.mark.parametrize("content", ["noise", "gradient", "picture"])
def test_no_step_shows_across_borders(content: str) -> None:
    network = read_folder(EMBEDDED, dtype=torch.float32).autoencoder if content != "noise" else RANDOM
    f = network.factor
    if content == "noise":
        latent = LATENT
    else:
        across = torch.linspace(-1, 1, 56 * f).expand(40 * f, -1)
        down = torch.linspace(-1, 1, 40 * f)[:, None].expand(-1, 56 * f)
        image = (
            torch.stack([across, down, -across])
            if content == "gradient"
            else torch.stack([(9 * across).sin(), (7 * down).cos(), across * down])
        )
        latent = network.encode(image[None])[0]
    tiled = Tiled(network, whole=1, tile=24 * f)
    found, whole = tiled.decode(latent), network.decode(latent)
    margin = 7 if f == 8 else 4
    core = 24 - 2 * margin
    count = -(-56 // core)
    borders = [round(i * (56 - core) / (count - 1)) * f for i in range(1, count)]
    at, near = step_across(found, borders)
    at_whole, near_whole = step_across(whole, borders)
    assert at - near < 1 / 255 or at / near < 1.1 * at_whole / near_whole
    error, error_near = step_across(found - whole, borders)
    assert error - error_near < 0.2 / 127.5, "the difference from the whole is as smooth there as anywhere"
    assert (found - whole).abs().mean() < 0.1 * whole.std()


def test_regions_are_blended_without_a_step() -> None:
    tiled = Tiled(RANDOM, whole=1, tile=24 * 8, region=32, overlap=8)
    found, whole = tiled.decode(LATENT), RANDOM.decode(LATENT)
    assert found.shape == whole.shape
    at, near = step_across(found - whole, [24 * 8, 32 * 8])
    assert at < 1.5 * near + 0.1 / 127.5


def test_small_pictures_are_those_of_the_network_itself_and_rows_do_not_mix() -> None:
    tiled = Tiled(RANDOM, tile=192)
    latents = torch.cat([LATENT, LATENT.flip(3)])
    assert torch.equal(tiled.decode(latents), RANDOM.decode(latents))
    tiled = Tiled(RANDOM, whole=1, tile=192)
    both = tiled.decode(latents)
    assert torch.equal(both[:1], tiled.decode(latents[:1]))
    assert torch.equal(both[1:], tiled.decode(latents[1:]))


def test_patches_come_from_all_over_and_are_the_same_every_time() -> None:
    place = torch.stack(torch.meshgrid(torch.arange(40.0), torch.arange(56.0), indexing="ij"))[None]
    first, again = (torch.cat(list(sampled(place, 1, 32))) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape[1:] == (2, 8, 8)
    for quarter in (first[:, 0] < 20, first[:, 0] >= 20, first[:, 1] < 28, first[:, 1] >= 28):
        assert 0.3 < quarter.float().mean() < 0.7


def test_a_twin_has_the_same_weights_and_its_own_ways() -> None:
    def doubled(module: torch.nn.Module) -> None:
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = 1.0

    other = twin(RANDOM, doubled)
    assert [p.data_ptr() for p in other.parameters()] == [p.data_ptr() for p in RANDOM.parameters()]
    assert not torch.equal(other.decode(LATENT), RANDOM.decode(LATENT))
    assert RANDOM.decoder.norm_out.eps != 1.0
    try:
        RANDOM.to(torch.float64)
        assert {p.dtype for p in other.parameters()} == {torch.float64}
    finally:
        RANDOM.to(torch.float32)
