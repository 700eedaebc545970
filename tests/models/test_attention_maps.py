"""Recorded attention against diffusers', asked layer by layer, and a U-Net that is left as it was."""

import pytest
import torch
from diffusers.models.attention_processor import Attention as TheirAttention
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from kakusan.models.attention_maps import recorded
from kakusan.models.unet import UNet, UNetConfig
from models.peers import unets

CONFIG = UNetConfig(4, 4, (32, 64, 64), 1, (True, True, False), 24, heads=2, norm_groups=16, sample_size=12)
GIVEN = (torch.randn(3, 4, 12, 20, generator=torch.Generator().manual_seed(1)), torch.tensor([10.0, 400.0, 999.0]))
CONTEXT = torch.randn(3, 7, 24, generator=torch.Generator().manual_seed(2))


class Watched(AttnProcessor):
    """diffusers' explicit attention, which keeps the probabilities it uses."""

    def __init__(self, kept: list[Tensor]):
        super().__init__()
        self.kept = kept

    def __call__(self, attn: TheirAttention, hidden_states: Tensor, *args: object, **options: object) -> Tensor:
        scores, attn.get_attention_scores = attn.get_attention_scores, self._keeping(attn.get_attention_scores)  # type: ignore[method-assign]
        try:
            return super().__call__(attn, hidden_states, *args, **options)  # type: ignore[arg-type]
        finally:
            attn.get_attention_scores = scores  # type: ignore[method-assign]

    def _keeping(self, scores):  # type: ignore[no-untyped-def]
        def keep(*args):  # type: ignore[no-untyped-def]
            self.kept.append(scores(*args))
            return self.kept[-1]

        return keep


@torch.no_grad()
def test_maps_are_the_probabilities_that_diffusers_uses() -> None:
    torch.manual_seed(0)
    ours, theirs = unets(CONFIG)
    kept: list[Tensor] = []
    for name, module in theirs.named_modules():
        if name.startswith("up_blocks") and name.endswith("attn2"):
            module.set_processor(Watched(kept))
    theirs(*GIVEN, CONTEXT)
    with recorded(ours) as recording:
        ours(*GIVEN, CONTEXT)
    assert len(recording.layers) == len(kept) == 4
    for layer, scores in zip(recording.layers, kept, strict=True):
        expected = scores.reshape(3, 2, -1, 7).mean(1).transpose(1, 2)  # n l q
        assert torch.allclose(layer.flatten(2), expected, atol=1e-6)
    assert [layer.shape[2:] for layer in recording.layers] == [(6, 10)] * 2 + [(12, 20)] * 2


@torch.no_grad()
def test_the_mean_has_a_map_a_token_and_leaves_out_nothing() -> None:
    unet = tiny()
    with recorded(unet) as recording:
        unet(*GIVEN, CONTEXT)
    maps = recording.mean(12, 20)
    assert maps.shape == (3, 7, 12, 20)
    assert torch.allclose(maps.sum(1), torch.ones(3, 12, 20), atol=1e-3)


@torch.no_grad()
def test_a_row_has_the_maps_it_has_alone_and_a_run_forgets_the_one_before() -> None:
    unet = tiny()
    with recorded(unet) as recording:
        unet(*GIVEN, CONTEXT)
        together = recording.mean(12, 20)
        for i in range(3):
            unet(GIVEN[0][i : i + 1], GIVEN[1][i : i + 1], CONTEXT[i : i + 1])
            assert torch.allclose(recording.mean(12, 20)[0], together[i], atol=1e-5)


@torch.no_grad()
def test_the_unet_is_what_it_was_also_after_an_error() -> None:
    unet = tiny()
    before = unet(*GIVEN, CONTEXT)
    with recorded(unet):
        assert torch.equal(unet(*GIVEN, CONTEXT), before)
    with pytest.raises(ZeroDivisionError), recorded(unet):
        raise ZeroDivisionError
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in unet.modules())


def test_nothing_recorded_is_said() -> None:
    with recorded(tiny()) as recording, pytest.raises(ValueError, match="has not run"):
        recording.mean(4, 4)


def tiny() -> UNet:
    torch.manual_seed(0)
    return UNet(CONFIG).eval()
