"""The U-Net against diffusers', in every shape it has, with random weights."""

import pytest
import torch

from kakusan.models.unet import UNet, UNetConfig
from models.peers import UNETS, assert_equal, unets


@pytest.mark.parametrize("name", UNETS)
@torch.inference_mode()
def test_equals_diffusers(name: str) -> None:
    config = UNETS[name]
    ours, theirs = unets(config)
    x, context = torch.randn(2, config.in_channels, 16, 16), torch.randn(2, 7, config.context_width)
    label = torch.tensor([3, 9]) if config.class_labels else None
    for t in (torch.tensor([0, 999]), torch.tensor([0.25, 613.7])):
        wanted = theirs(x, t, context, class_labels=label).sample
        assert_equal(ours(x, t, context, label), wanted)
    last = ours.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last), t, context, label)
    assert_equal(last, wanted)


@torch.inference_mode()
def test_sizes_that_do_not_halve_evenly_equal_diffusers() -> None:
    ours, theirs = unets(UNETS["sd1"])
    x, t, context = torch.randn(1, 4, 10, 13), torch.tensor([500]), torch.randn(1, 7, 24)
    assert_equal(ours(x, t, context), theirs(x, t, context).sample)


@torch.inference_mode()
def test_float64_removes_what_is_left_of_the_difference() -> None:
    ours, theirs = unets(UNETS["sd2"])
    x, t, context = torch.randn(1, 4, 16, 16).double(), torch.tensor([500]), torch.randn(1, 7, 40).double()
    assert_equal(ours.double()(x, t, context), theirs.double()(x, t, context).sample, relative=1e-12)


@torch.inference_mode()
def test_rows_of_a_batch_do_not_see_one_another() -> None:
    ours, _ = unets(UNETS["embedded"])
    x, t, context = torch.randn(3, 4, 8, 8), torch.tensor([1, 500, 999]), torch.randn(3, 5, 24)
    alone = torch.cat([ours(x[i : i + 1], t[i : i + 1], context[i : i + 1]) for i in range(3)])
    assert_equal(ours(x, t, context), alone)


def test_gradients_reach_every_weight() -> None:
    model = UNet(UNETS["x4"])
    model(torch.randn(2, 7, 8, 8), torch.rand(2) * 1000, torch.randn(2, 5, 24), torch.tensor([0, 1])).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_half_precision_and_the_meta_device_give_the_shape() -> None:
    for device, dtype in (("cpu", torch.bfloat16), ("meta", torch.float16)):
        model = UNet(UNETS["embedded"]).to(device, dtype)
        x, t, context = torch.zeros(1, 4, 8, 8), torch.zeros(1), torch.zeros(1, 5, 24)
        out = model(x.to(device, dtype), t.to(device), context.to(device, dtype))
        assert (out.shape, out.dtype) == ((1, 4, 8, 8), dtype)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"channels": (320, 640)}, "attention"),
        ({"heads": (8, 8)}, "heads"),
        ({"heads": 7}, "7 heads"),
        ({"norm_groups": 33}, "33"),
        ({"norm_groups": 0}, "norm_groups 0"),
        ({"norm_groups": 1, "channels": (3,), "attention": (False,), "heads": 1}, "is odd"),
        ({"heads": 0}, "0 heads"),
        ({"only_cross_attention": (True,)}, "only_cross_attention"),
    ],
)
def test_impossible_configs_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        UNetConfig(**settings)


def test_a_label_is_given_exactly_where_there_are_labels() -> None:
    with torch.device("meta"):
        labelled, plain = UNet(UNETS["x4"]), UNet(UNETS["sd1"])
        t, context, label = torch.zeros(1), torch.zeros(1, 5, 24), torch.zeros(1, dtype=torch.int64)
        with pytest.raises(ValueError, match="10 labels and was given none"):
            labelled(torch.zeros(1, 7, 8, 8), t, context)
        with pytest.raises(ValueError, match="0 labels and was given one"):
            plain(torch.zeros(1, 4, 8, 8), t, context, label)
