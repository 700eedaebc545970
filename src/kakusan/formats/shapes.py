"""The shape of each network, read off its tensors' names and shapes in an original single file.

What these cannot say is as in the published models: 32 groups in every norm, 8 heads of any width (SD1, x4) or heads of width 64 (SD2,
whose projections are linear layers), heads of width 64 in every CLIP. An original .yaml says more.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from ..errors import FileError
from ..models.autoencoder import AutoencoderConfig
from ..models.clip_text import ClipTextConfig
from ..models.dpt import STRIDE, DptConfig
from ..models.unet import UNetConfig
from .keys_dpt import BACKBONE, SCRATCH, VIT
from .source import Under, refuse

C = TypeVar("C")

NOTHING: Mapping[str, Any] = MappingProxyType({})
HEADS, HEAD_WIDTH = 8, 64
X4_SCALE = 0.08333
CROSS = "transformer_blocks.0.attn2.to_k.weight"
SELF = "transformer_blocks.0.attn1.to_k.weight"
NEEDS_YAML = ("give its original .yaml as config", "元の .yaml を config に指定してください")


def unet_of(part: Under, known: Mapping[str, Any] = NOTHING) -> UNetConfig:
    """The U-Net whose tensors these are, as CompVis names them. known: settings that are known already.

    Raises FileError if there is no such U-Net.
    """
    levels = _levels(part)
    channels = tuple(level[0][0] for level in levels)
    attention = tuple(level[0][1] for level in levels)
    for level, blocks in enumerate(levels):
        if blocks != [(channels[level], attention[level])] * len(levels[0]):
            name = f"{part.prefix}input_blocks"
            refuse(part.file, name, f"has unlike blocks on level {level}", f"のレベル {level} のブロックが揃っていません")
    width = _shape(part, f"middle_block.1.{CROSS}", 2)[1]
    linear = len(_shape(part, "middle_block.1.proj_in.weight")) == 2
    labels = _shape(part, "label_emb.weight", 2)[0] if "label_emb.weight" in part.tensors else 0
    settings = {
        "in_channels": _shape(part, "input_blocks.0.0.weight", 4)[1],
        "out_channels": _shape(part, "out.2.weight", 4)[0],
        "channels": channels,
        "blocks": len(levels[0]),
        "attention": attention,
        "context_width": width,
        "heads": HEADS if not linear or labels else known.get("heads") or _heads(part, channels, attention),
        "linear_projection": linear,
        "sample_size": 128 if labels else 64,
        "class_labels": labels,
        "only_cross_attention": _only_cross(part, attention, len(levels[0]), labels > 0),
    }
    return _made(part, UNetConfig, {**settings, **known})


def autoencoder_of(part: Under, known: Mapping[str, Any] = NOTHING) -> AutoencoderConfig:
    """The autoencoder whose tensors these are, in the names of either format. Raises FileError if there is no such autoencoder."""
    folder = "encoder.down_blocks.0.resnets.0.conv1.weight" in part.tensors
    block = "encoder.down_blocks.{}.resnets.{}.conv1.weight" if folder else "encoder.down.{}.block.{}.conv1.weight"
    levels = _count(part, lambda i: block.format(i, 0))
    if not levels:
        _shape(part, block.format(0, 0))
    settings = {
        "channels_in": _shape(part, "encoder.conv_in.weight", 4)[1],
        "latent_channels": _shape(part, "decoder.conv_in.weight", 4)[1],
        "channels": tuple(_shape(part, block.format(i, 0), 4)[0] for i in range(levels)),
        "blocks": _count(part, lambda j: block.format(0, j)),
        "sample_size": 256 if levels == 3 else 512,
        "scale": X4_SCALE if levels == 3 else AutoencoderConfig.scale,
    }
    return _made(part, AutoencoderConfig, {**settings, **known})


def clip_of(part: Under, known: Mapping[str, Any] = NOTHING) -> ClipTextConfig:
    """The CLIP text tower of SD1, under transformers' names that begin with `text_model.`, or with nothing."""
    at = "text_model." if any(name.startswith("text_model.") for name in part.tensors) else ""
    vocab, width = _shape(part, f"{at}embeddings.token_embedding.weight", 2)
    settings = {
        "vocab": vocab,
        "width": width,
        "layers": _count(part, lambda i: f"{at}encoder.layers.{i}.mlp.fc1.weight"),
        "heads": known.get("heads") or _text_heads(part, width),
        "positions": _shape(part, f"{at}embeddings.position_embedding.weight", 2)[0],
        "feedforward": _shape(part, f"{at}encoder.layers.0.mlp.fc1.weight", 2)[0],
        "end_token": vocab - 1,
    }
    return _made(part, ClipTextConfig, {**settings, **known})


def open_clip_of(part: Under, skipped: int = 1, known: Mapping[str, Any] = NOTHING) -> ClipTextConfig:
    """The OpenCLIP text tower of SD2, without the last `skipped` layers, which the file has and nothing uses."""
    vocab, width = _shape(part, "token_embedding.weight", 2)
    settings = {
        "vocab": vocab,
        "width": width,
        "layers": _count(part, lambda i: f"transformer.resblocks.{i}.mlp.c_fc.weight") - skipped,
        "heads": known.get("heads") or _text_heads(part, width),
        "positions": _shape(part, "positional_embedding", 2)[0],
        "feedforward": _shape(part, "transformer.resblocks.0.mlp.c_fc.weight", 2)[0],
        "activation": "gelu",
        "end_token": vocab - 1,
    }
    return _made(part, ClipTextConfig, {**settings, **known})


def dpt_of(part: Under) -> DptConfig:
    """The depth network whose tensors these are, as MiDaS names them; which layers it is read after is as published, for twelve."""
    stages = [f"{BACKBONE}.stages.{i}.blocks.{{}}.conv3.weight" for i in range(3)]
    width = _shape(part, f"{VIT}.cls_token", 3)[2]
    settings = {
        "size": round((_shape(part, f"{VIT}.pos_embed", 3)[1] - 1) ** 0.5) * STRIDE,
        "stem": _shape(part, f"{BACKBONE}.stem.conv.weight", 4)[0],
        "stages": tuple(_shape(part, stage.format(0), 4)[0] for stage in stages),
        "blocks": tuple(_count(part, stage.format) for stage in stages),
        "width": width,
        "layers": _count(part, lambda i: f"{VIT}.blocks.{i}.mlp.fc1.weight"),
        "heads": _text_heads(part, width),
        "feedforward": _shape(part, f"{VIT}.blocks.0.mlp.fc1.weight", 2)[0],
        "fusion": _shape(part, f"{SCRATCH}.layer1_rn.weight", 4)[0],
        "head": _shape(part, f"{SCRATCH}.output_conv.2.weight", 4)[0],
    }
    return _made(part, DptConfig, settings)


def _levels(part: Under) -> list[list[tuple[int, bool]]]:
    """Channels of each block, and whether it attends, level by level on the way down."""
    _shape(part, "input_blocks.0.0.weight")
    levels: list[list[tuple[int, bool]]] = [[]]
    i = 1
    while True:
        if f"input_blocks.{i}.0.op.weight" in part.tensors:
            levels.append([])
        elif (name := f"input_blocks.{i}.0.out_layers.3.weight") in part.tensors:
            levels[-1].append((_shape(part, name, 4)[0], f"input_blocks.{i}.1.proj_in.weight" in part.tensors))
        else:
            break
        i += 1
    if not all(levels):
        refuse(part.file, f"{part.prefix}input_blocks.{i}.0.out_layers.3.weight", "is missing", "がありません")
    return levels


def _heads(part: Under, channels: tuple[int, ...], attention: tuple[bool, ...]) -> tuple[int, ...]:
    """Heads of width 64 on each level. The coarsest always attends: in the middle."""
    for c, attends in zip(channels, (*attention[:-1], True), strict=True):
        if attends and c % HEAD_WIDTH:
            _unsure(
                part, f"{c} channels do not divide into heads of width {HEAD_WIDTH}", f"{c} チャンネルは幅 {HEAD_WIDTH} に分けられません"
            )
    return tuple(c // HEAD_WIDTH if c % HEAD_WIDTH == 0 else 1 for c in channels)


def _text_heads(part: Under, width: int) -> int:
    if width % HEAD_WIDTH:
        _unsure(part, f"width {width} does not divide into heads of width {HEAD_WIDTH}", f"幅 {width} は幅 {HEAD_WIDTH} に分けられません")
    return width // HEAD_WIDTH


def _only_cross(part: Under, attention: tuple[bool, ...], blocks: int, x4: bool) -> tuple[bool, ...] | None:
    """Which levels' first attention looks at the text, as its keys' width tells; where it does not, all but the coarsest of x4 do."""
    only = []
    for level, attends in enumerate(attention):
        default = x4 and level < len(attention) - 1
        if attends:
            name = f"input_blocks.{(blocks + 1) * level + 1}.1."
            (channels, keys), text = _shape(part, name + SELF, 2), _shape(part, name + CROSS, 2)[1]
            default = default if channels == text else keys == text
        only.append(default)
    return tuple(only) if any(only) else None


def _shape(part: Under, name: str, dimensions: int = 0) -> tuple[int, ...]:
    """The shape of a tensor. Raises FileError if there is none, or if it has not so many dimensions."""
    if name not in part.tensors:
        refuse(part.file, part.prefix + name, "is missing", "がありません")
    shape = tuple(part.tensors[name].shape)
    if dimensions and len(shape) != dimensions:
        found = list(shape)
        refuse(
            part.file,
            part.prefix + name,
            f"has shape {found}, not {dimensions} dimensions",
            f"の形が {found} で {dimensions} 次元ではありません",
        )
    return shape


def _count(part: Under, name: Callable[[int], str]) -> int:
    count = 0
    while name(count) in part.tensors:
        count += 1
    return count


def _unsure(part: Under, en: str, ja: str) -> NoReturn:
    where = f"{part.file}: {part.prefix.removesuffix('.')}".removesuffix(": ")
    raise FileError(f"{where}: {en}; {NEEDS_YAML[0]}", f"{where}: {ja}。{NEEDS_YAML[1]}")


def _made(part: Under, kind: Callable[..., C], settings: Mapping[str, Any]) -> C:
    try:
        return kind(**settings)
    except ValueError as error:
        _unsure(part, str(error), str(error))
