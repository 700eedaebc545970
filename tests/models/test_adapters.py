"""Low-rank terms for each row, against weights into which the same differences were added."""

import copy
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from kakusan.errors import KakusanError
from kakusan.formats.precision import lent, wakened
from kakusan.models.clip_text import ClipText
from kakusan.models.lora import Adapters, Term
from kakusan.models.tileable import tileable
from kakusan.models.unet import UNet
from models.peers import TEXTS, UNETS, assert_equal


def random_terms(network: nn.Module, rank: int, seed: int, alpha: float | None = None, kind: str = "low") -> dict[str, Term]:
    """For every layer of the network."""
    generator = torch.Generator().manual_seed(seed)
    terms = {}
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        o, *i = layer.weight.shape
        down = torch.randn(rank, *i, generator=generator) * 0.1
        up = torch.randn(o, rank, generator=generator) * 0.1
        magnitude = layer.weight.detach().float().flatten(1).norm(dim=1) * (1 + 0.2 * torch.rand(o, generator=generator))
        if kind == "whole":
            terms[name] = Term(torch.randn(layer.weight.shape, generator=generator) * 0.02)
        else:
            terms[name] = Term(down, up, alpha, magnitude if kind == "dora" else None)
    return terms


def with_weights(network: nn.Module, *sets: tuple[dict[str, Term], float]) -> nn.Module:
    """A copy, into whose weights the differences were added."""
    made = copy.deepcopy(network)
    with torch.no_grad():
        for terms, scale in sets:
            for name, term in terms.items():
                layer, before = made.get_submodule(name), network.get_submodule(name)
                layer.weight += scale * term.delta(before.weight)
    return made


@pytest.fixture
def unet() -> UNet:
    torch.manual_seed(1)
    return UNet(UNETS["sd1"])


def given(config: str = "sd1", rows: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(2)
    return torch.randn(rows, 4, 8, 8), torch.rand(rows) * 999, torch.randn(rows, 5, UNETS[config].context_width)


@pytest.mark.parametrize(("config", "kind"), [*product(("sd1", "sd2"), ("low", "dora")), ("sd1", "whole")])
@torch.no_grad()
def test_rows_equal_merged_weights(config: str, kind: str) -> None:
    """Three rows in one call: with the first LoRA, with both, with none."""
    torch.manual_seed(1)
    unet = UNet(UNETS[config])
    one, two = random_terms(unet, 4, 0, 2.0, kind), random_terms(unet, 3, 1)
    adapters = Adapters()
    adapters.put(0, one)
    adapters.put(3, two)
    scales = torch.zeros(3, 4)
    scales[0, 0], scales[1, 0], scales[1, 3] = 0.8, -0.5, 1.2
    x, t, context = given(config, 3)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    with adapters.applied(unet, scales):
        out = unet(x, t, context)
    merged = (with_weights(unet, (one, 0.8)), with_weights(unet, (one, -0.5), (two, 1.2)), unet)
    for i, network in enumerate(merged):
        wanted = network(x[i : i + 1], t[i : i + 1], context[i : i + 1])
        assert_equal(out[i : i + 1], wanted, relative=1e-5)
    assert (out[0] - merged[2](x, t, context)[0]).abs().max() > 0.01
    assert all(torch.equal(tensor, before[name]) for name, tensor in unet.state_dict().items())
    assert not any(layer._forward_hooks for layer in unet.modules())


@torch.no_grad()
def test_rows_of_the_text_tower_equal_merged_weights() -> None:
    torch.manual_seed(0)
    text = ClipText(TEXTS["sd2"])
    terms = random_terms(text, 4, 0)
    adapters = Adapters()
    adapters.put(0, terms)
    ids = torch.randint(0, 98, (2, 12))
    with adapters.applied(text, torch.tensor([[0.0], [0.7]])):
        out = text(ids)
    assert torch.equal(out[0], text(ids)[0])
    assert_equal(out[1], with_weights(text, (terms, 0.7))(ids)[1], relative=1e-5)


@torch.no_grad()
def test_scales_of_nothing_cost_nothing_and_change_nothing(unet: UNet) -> None:
    adapters = Adapters()
    adapters.put(0, random_terms(unet, 4, 0))
    x, t, context = given()
    plain = unet(x, t, context)
    for scales in (None, torch.zeros(1, 16)):
        assert adapters.attach(unet, scales) == []
    with adapters.applied(unet, torch.tensor([[1.0]])):
        assert not torch.equal(unet(x, t, context), plain)
    assert torch.equal(unet(x, t, context), plain)


@torch.no_grad()
def test_weights_in_half_precision(unet: UNet) -> None:
    """Stored in float16 and computed with in float32, as on a CPU; and all in bfloat16."""
    unet = unet.half()
    terms = random_terms(unet, 4, 0, kind="dora")
    adapters = Adapters()
    adapters.put(0, terms)
    x, t, context = given()
    wanted = with_weights(copy.deepcopy(unet).float(), (terms, 1.0))(x, t, context)
    for change in (wakened, lent):
        network = copy.deepcopy(unet)
        change(network, torch.float32)
        with adapters.applied(network, torch.ones(1, 1)):
            assert_equal(network(x, t, context), wanted, relative=1e-5)
    with adapters.applied(network := copy.deepcopy(unet).bfloat16(), torch.ones(1, 1)):
        out = network(x.bfloat16(), t, context.bfloat16()).float()
    assert (out - wanted).norm() / wanted.norm() < 0.1


@torch.no_grad()
def test_a_tileable_twin_is_treated_too(unet: UNet) -> None:
    """Convolutions of the LoRA go round the edge where those of the network do."""
    terms = random_terms(unet, 4, 0)
    adapters = Adapters()
    adapters.put(0, terms)
    x, t, context = given()
    with adapters.applied(unet, torch.ones(1, 1)):
        out = tileable(unet, "xy")(x, t, context)
    assert_equal(out, tileable(with_weights(unet, (terms, 1.0)), "xy")(x, t, context), relative=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@torch.no_grad()
def test_fused_weights_come_back_bit_for_bit(unet: UNet, dtype: torch.dtype) -> None:
    unet.to(dtype)
    terms, more = random_terms(unet, 4, 0), random_terms(unet, 2, 1, 1.0)
    adapters = Adapters()
    adapters.put(0, terms)
    adapters.put(1, more)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    adapters.fuse(unet, {0: 0.8})
    adapters.fuse(unet, {1: 0.5})
    assert not any(torch.equal(unet.state_dict()[f"{name}.weight"], before[f"{name}.weight"]) for name in terms)
    if dtype == torch.float32:
        x, t, context = given()
        fused = unet(x, t, context)
        with pytest.raises(KakusanError, match="unfuse"):
            adapters.drop(0)
        adapters.unfuse(unet)
        assert_equal(fused, with_weights(unet, (terms, 0.8), (more, 0.5))(x, t, context), relative=1e-5)
    adapters.unfuse(unet)
    assert all(torch.equal(tensor, before[name]) for name, tensor in unet.state_dict().items())


@torch.no_grad()
def test_fused_while_asleep_and_given_back_when_awake(unet: UNet) -> None:
    unet.half()
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    wakened(unet, torch.float32)
    adapters = Adapters()
    adapters.put(0, random_terms(unet, 4, 0))
    adapters.fuse(unet, {0: 1.0})
    unet(*given())
    adapters.unfuse(unet)
    unet(*given())
    assert all(torch.equal(tensor, before[name].float()) for name, tensor in unet.state_dict().items() if tensor.is_floating_point())


def test_a_lora_that_is_gone_is_told(unet: UNet) -> None:
    adapters = Adapters()
    adapters.put(0, {})
    adapters.drop(0)
    with pytest.raises(KakusanError, match="LoRA number 0 was unloaded"):
        adapters.attach(unet, torch.ones(1, 1))
