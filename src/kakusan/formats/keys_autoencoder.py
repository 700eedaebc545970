"""What each format calls the autoencoder's weights."""

from ..models.autoencoder import AutoencoderConfig
from .keys import Row, under

RES: list[Row] = [
    *((name, name, name) for name in ("norm1", "conv1", "norm2", "conv2")),
    ("skip", "nin_shortcut", "conv_shortcut"),
]
MIDDLE: list[Row] = [
    *under(RES, "mid.res.0", "mid.block_1", "mid_block.resnets.0"),
    ("mid.norm", "mid.attn_1.norm", "mid_block.attentions.0.group_norm"),
    ("mid.attn.to_q", "mid.attn_1.q", "mid_block.attentions.0.to_q"),
    ("mid.attn.to_k", "mid.attn_1.k", "mid_block.attentions.0.to_k"),
    ("mid.attn.to_v", "mid.attn_1.v", "mid_block.attentions.0.to_v"),
    ("mid.attn.to_out", "mid.attn_1.proj_out", "mid_block.attentions.0.to_out.0"),
    *under(RES, "mid.res.1", "mid.block_2", "mid_block.resnets.1"),
]
ENDS: list[Row] = [
    ("conv_in", "conv_in", "conv_in"),
    *MIDDLE,
    ("norm_out", "norm_out", "conv_norm_out"),
    ("conv_out", "conv_out", "conv_out"),
]
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def rows(config: AutoencoderConfig) -> list[Row]:
    """The original counts the decoder's levels from the finest, the others from the coarsest."""
    table: list[Row] = [
        ("moments", "quant_conv", "quant_conv"),
        ("unmoments", "post_quant_conv", "post_quant_conv"),
        *under(ENDS, "encoder", "encoder", "encoder"),
        *under(ENDS, "decoder", "decoder", "decoder"),
    ]
    last = len(config.channels) - 1
    for i in range(last + 1):
        for j in range(config.blocks):
            table += under(RES, f"encoder.down.{i}.res.{j}", f"encoder.down.{i}.block.{j}", f"encoder.down_blocks.{i}.resnets.{j}")
        for j in range(config.blocks + 1):
            table += under(RES, f"decoder.up.{i}.res.{j}", f"decoder.up.{last - i}.block.{j}", f"decoder.up_blocks.{i}.resnets.{j}")
        if i < last:
            table += [
                (f"encoder.down.{i}.shrink", f"encoder.down.{i}.downsample.conv", f"encoder.down_blocks.{i}.downsamplers.0.conv"),
                (f"decoder.up.{i}.grow", f"decoder.up.{last - i}.upsample.conv", f"decoder.up_blocks.{i}.upsamplers.0.conv"),
            ]
    return table


def modern(name: str) -> str:
    """A folder's tensor name as it is today: the attention's layers were once called query, key, value and proj_attn."""
    place, _, rest = name.rpartition("attentions.0.")
    layer, _, leaf = rest.partition(".")
    return f"{place}attentions.0.{OLD_ATTENTION[layer]}.{leaf}" if place and layer in OLD_ATTENTION else name
