"""A narrower U-Net out of a wider one."""

import pytest
import torch

from kakusan.models.unet import UNet, UNetConfig
from kakusan.training.slimmer import chosen, evenly, slimmed


def config(channels: tuple[int, ...], inputs: int = 4) -> UNetConfig:
    return UNetConfig(
        in_channels=inputs,
        channels=channels,
        blocks=1,
        attention=(False, True, True),
        context_width=16,
        heads=2,
        norm_groups=4,
        sample_size=8,
    )


def shown(unet: UNet, x: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(1)
    with torch.inference_mode():
        return unet(x, torch.tensor([10.0, 500.0]), torch.randn(2, 5, 16))


def test_nothing_taken_away_is_the_same_network_and_new_inputs_change_nothing_at_first() -> None:
    torch.manual_seed(0)
    wide, same = UNet(config((8, 16, 32))).eval(), UNet(config((8, 16, 32), inputs=9)).eval()
    same.load_state_dict(slimmed(wide.state_dict(), (8, 16, 32), same.state_dict(), (8, 16, 32)))
    x = torch.randn(2, 9, 8, 8)
    torch.testing.assert_close(shown(same, x), shown(wide, x[:, :4]))


def test_as_much_comes_out_of_fewer_inputs() -> None:
    wide = {"a.weight": torch.ones(8, 160), "a.bias": torch.arange(8.0), "norm.weight": torch.arange(160.0)}
    like = {"a.weight": torch.empty(8, 80), "a.bias": torch.empty(8), "norm.weight": torch.empty(80)}
    slim = slimmed(wide, (8, 160), like, (8, 80))
    torch.testing.assert_close(slim["a.weight"] @ torch.ones(80), wide["a.weight"] @ torch.ones(160))
    assert torch.equal(slim["a.bias"], wide["a.bias"])
    assert torch.equal(slim["norm.weight"], wide["norm.weight"][::2])


def test_channels_are_chosen_evenly() -> None:
    assert evenly(160, 80, 160) == list(range(0, 160, 2))
    assert evenly(6, 4, 12) == [0, 1, 3, 4, 6, 7, 9, 10]
    pairs = ((48, 48), (96, 96), (160, 80))
    assert chosen(160 + 96, 80 + 96, pairs) == [*range(0, 160, 2), *range(160, 256)]
    assert len(chosen(8 * 160, 8 * 80, pairs)) == 640
    with pytest.raises(ValueError, match="31 of 77"):
        chosen(77, 31, pairs)
