"""Our depth network is the one of transformers, number for number, at any size."""

import pytest
import torch
from torch import Tensor
from transformers import BitConfig, DPTConfig, DPTForDepthEstimation

from kakusan.formats.keys import FOLDER, renamed
from kakusan.formats.keys_dpt import modern, rows
from kakusan.models.dpt import Dpt, DptConfig

TINY = DptConfig(
    size=64,
    stem=8,
    stages=(32, 64, 96),
    blocks=(2, 2, 1),
    norm_groups=4,
    width=24,
    layers=3,
    heads=3,
    feedforward=40,
    taps=(1, 2),
    fusion=16,
)


def peer(config: DptConfig) -> DPTForDepthEstimation:
    backbone = BitConfig(
        embedding_size=config.stem,
        hidden_sizes=list(config.stages),
        depths=list(config.blocks),
        num_groups=config.norm_groups,
        layer_type="bottleneck",
        global_padding="same",
        embedding_dynamic_padding=True,
        out_features=["stage1", "stage2", "stage3"],
    )
    network = DPTForDepthEstimation(
        DPTConfig(
            is_hybrid=True,
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.feedforward,
            layer_norm_eps=config.eps,
            image_size=config.size,
            patch_size=16,
            backbone_config=backbone,
            backbone_featmap_shape=[1, config.stages[-1], config.size // 16, config.size // 16],
            backbone_out_indices=[0, 0, *config.taps],
            neck_hidden_sizes=[*config.stages[:2], config.width, config.width],
            reassemble_factors=[1, 1, 1, 0.5],
            neck_ignore_stages=[0, 1],
            fusion_hidden_size=config.fusion,
        )
    ).eval()
    torch.manual_seed(0)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.2)
    torch.nn.init.uniform_(network.head.head[4].weight)  # from 0, so that depths are, and the last ReLU lets them pass
    return network


@pytest.fixture(scope="module")
def pair() -> tuple[Dpt, DPTForDepthEstimation]:
    theirs, ours = peer(TINY), Dpt(TINY)
    state = {modern(name): tensor for name, tensor in theirs.state_dict().items()}
    names = renamed(ours.state_dict(), rows(TINY), FOLDER)
    assert set(names.values()) == set(state) - {None}, "the table is total"
    ours.load_state_dict({name: state[theirs] for name, theirs in names.items()})
    return ours, theirs


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (1, 3, 96, 96), (1, 3, 128, 128)])
def test_depth_is_that_of_transformers(pair: tuple[Dpt, DPTForDepthEstimation], shape: tuple[int, ...]) -> None:
    ours, theirs = pair
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    theirs.dpt.embeddings.image_size = shape[2:]
    with torch.no_grad():
        wanted = theirs(image).predicted_depth
        found = ours(image)
    assert found.shape == (shape[0], *shape[2:])
    assert (wanted > 0).float().mean() > 0.5
    assert relative(found, wanted) < 1e-5


def test_other_sizes_are_refused(pair: tuple[Dpt, DPTForDepthEstimation]) -> None:
    with pytest.raises(ValueError, match="65 x 64 pixels; both must be multiples of 32"):
        pair[0](torch.zeros(1, 3, 64, 65))


@pytest.mark.parametrize("change", [{"size": 63}, {"taps": (2, 1)}, {"taps": (1, 3)}, {"stages": (30, 64, 96)}, {"heads": 5}])
def test_impossible_shapes_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\bnot\b"):
        DptConfig(**{**vars(TINY), **change})
