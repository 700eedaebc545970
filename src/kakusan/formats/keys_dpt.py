"""What each format calls the depth network's weights.

The single-file column is MiDaS's, used by SD2's depth model. It keeps the three input layers of an attention in one tensor, queries
above keys above values: they share a name here. It also has a classifier over 1000 things, which depth never needs.
"""

from ..models.dpt import DptConfig
from .keys import Row, under

VIT, POST, SCRATCH = "model.pretrained.model", "model.pretrained.act_postprocess", "model.scratch"
BACKBONE, BIT = f"{VIT}.patch_embed.backbone", "dpt.embeddings.backbone.bit"
UNUSED = (f"{VIT}.head.weight", f"{VIT}.head.bias")
"""The classifier, in single files only."""

LAYER: list[Row] = [
    ("norm1", "norm1", "layernorm_before"),
    ("attn.to_q", "attn.qkv", "attention.attention.query"),
    ("attn.to_k", "attn.qkv", "attention.attention.key"),
    ("attn.to_v", "attn.qkv", "attention.attention.value"),
    ("attn.to_out", "attn.proj", "attention.output.dense"),
    ("norm2", "norm2", "layernorm_after"),
    ("ff_in", "mlp.fc1", "intermediate.dense"),
    ("ff_out", "mlp.fc2", "output.dense"),
]
BOTTLENECK: list[Row] = [(name, name, name) for name in ("conv1", "norm1", "conv2", "norm2", "conv3", "norm3")]
SKIP: list[Row] = [("skip", "downsample.conv", "downsample.conv"), ("skip_norm", "downsample.norm", "downsample.norm")]


def rows(config: DptConfig) -> list[Row]:
    """MiDaS counts the fusing blocks from the finest map, the others from the coarsest."""
    table: list[Row] = [
        ("readout", f"{VIT}.cls_token", "dpt.embeddings.cls_token"),
        ("positions", f"{VIT}.pos_embed", "dpt.embeddings.position_embeddings"),
        ("tokens", f"{VIT}.patch_embed.proj", "dpt.embeddings.projection"),
        ("norm", f"{VIT}.norm", "dpt.layernorm"),
        ("stem", f"{BACKBONE}.stem.conv", f"{BIT}.embedder.convolution"),
        ("stem_norm", f"{BACKBONE}.stem.norm", f"{BIT}.embedder.norm"),
        ("head_in", f"{SCRATCH}.output_conv.0", "head.head.0"),
        ("head_mid", f"{SCRATCH}.output_conv.2", "head.head.2"),
        ("head_out", f"{SCRATCH}.output_conv.4", "head.head.4"),
    ]
    for i, blocks in enumerate(config.blocks):
        for j in range(blocks):
            block = BOTTLENECK if j else [*BOTTLENECK, *SKIP]
            table += under(block, f"stages.{i}.{j}", f"{BACKBONE}.stages.{i}.blocks.{j}", f"{BIT}.encoder.stages.{i}.layers.{j}")
    for i in range(config.layers):
        table += under(LAYER, f"layers.{i}", f"{VIT}.blocks.{i}", f"dpt.encoder.layer.{i}")
    for i in range(2):
        single, folder = f"{POST}{i + 3}", f"neck.reassemble_stage.layers.{i + 2}"
        table += [
            (f"reassemble.{i}.project", f"{single}.0.project.0", f"neck.reassemble_stage.readout_projects.{i + 2}.0"),
            (f"reassemble.{i}.conv", f"{single}.3", f"{folder}.projection"),
            (f"reassemble.{i}.shrink", f"{single}.4", f"{folder}.resize"),
        ]
    for i in range(4):
        single, folder = f"{SCRATCH}.refinenet{4 - i}", f"neck.fusion_stage.layers.{i}"
        table.append((f"squeeze.{i}", f"{SCRATCH}.layer{i + 1}_rn", f"neck.convs.{i}"))
        table.append((f"fuse.{i}.out", f"{single}.out_conv", f"{folder}.projection"))
        for k, ours in enumerate(("take", "blend")):
            for j in (1, 2):
                theirs = f"{single}.resConfUnit{k + 1}.conv{j}", f"{folder}.residual_layer{k + 1}.convolution{j}"
                table.append((f"fuse.{i}.{ours}.conv{j}", *theirs))
    return table


def modern(name: str) -> str | None:
    """A folder's tensor name as `rows` has it: today's transformers leaves out `bit`, and adds a pooler that nothing uses."""
    if name.startswith("dpt.pooler."):
        return None
    return name.replace("dpt.embeddings.backbone.", f"{BIT}.", 1) if ".backbone.bit." not in name else name
