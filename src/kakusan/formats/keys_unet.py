"""What each format calls the U-Net's weights."""

from ..models.unet import UNetConfig
from .keys import Row, under

RES: list[Row] = [
    ("norm1", "in_layers.0", "norm1"),
    ("conv1", "in_layers.2", "conv1"),
    ("time", "emb_layers.1", "time_emb_proj"),
    ("norm2", "out_layers.0", "norm2"),
    ("conv2", "out_layers.3", "conv2"),
    ("skip", "skip_connection", "conv_shortcut"),
]
ATTENTION: list[Row] = [(name, name, name) for name in ("to_q", "to_k", "to_v")] + [("to_out", "to_out.0", "to_out.0")]
BLOCK: list[Row] = [
    *((name, name, name) for name in ("norm1", "norm2", "norm3")),
    *under(ATTENTION, "attn1", "attn1", "attn1"),
    *under(ATTENTION, "attn2", "attn2", "attn2"),
    ("ff_in", "ff.net.0.proj", "ff.net.0.proj"),
    ("ff_out", "ff.net.2", "ff.net.2"),
]
SPATIAL: list[Row] = [
    *((name, name, name) for name in ("norm", "proj_in", "proj_out")),
    *under(BLOCK, "block", "transformer_blocks.0", "transformer_blocks.0"),
]


def rows(config: UNetConfig) -> list[Row]:
    """The original numbers every block in one run; that arithmetic is in this function and nowhere else."""
    table: list[Row] = [
        ("time.0", "time_embed.0", "time_embedding.linear_1"),
        ("time.2", "time_embed.2", "time_embedding.linear_2"),
        ("label", "label_emb", "class_embedding"),
        ("conv_in", "input_blocks.0.0", "conv_in"),
        ("norm_out", "out.0", "conv_norm_out"),
        ("conv_out", "out.2", "conv_out"),
        *under(RES, "mid.res.0", "middle_block.0", "mid_block.resnets.0"),
        *under(SPATIAL, "mid.attn", "middle_block.1", "mid_block.attentions.0"),
        *under(RES, "mid.res.1", "middle_block.2", "mid_block.resnets.1"),
    ]
    blocks, last = config.blocks, len(config.channels) - 1
    for i in range(last + 1):
        down, up = (blocks + 1) * i + 1, (blocks + 1) * i  # the original's number of the level's first block
        attends_down, attends_up = config.attention[i], config.attention[last - i]
        for j in range(blocks):
            table += under(RES, f"down.{i}.res.{j}", f"input_blocks.{down + j}.0", f"down_blocks.{i}.resnets.{j}")
            if attends_down:
                table += under(SPATIAL, f"down.{i}.attn.{j}", f"input_blocks.{down + j}.1", f"down_blocks.{i}.attentions.{j}")
        for j in range(blocks + 1):
            table += under(RES, f"up.{i}.res.{j}", f"output_blocks.{up + j}.0", f"up_blocks.{i}.resnets.{j}")
            if attends_up:
                table += under(SPATIAL, f"up.{i}.attn.{j}", f"output_blocks.{up + j}.1", f"up_blocks.{i}.attentions.{j}")
        if i < last:
            table += [
                (f"down.{i}.shrink", f"input_blocks.{down + blocks}.0.op", f"down_blocks.{i}.downsamplers.0.conv"),
                (f"up.{i}.grow", f"output_blocks.{up + blocks}.{1 + attends_up}.conv", f"up_blocks.{i}.upsamplers.0.conv"),
            ]
    return table
