"""config.json of each network, in the words of diffusers and transformers, to and from our own configs.

A setting that would change what the network computes has to have the one value our networks know; the `..._SAME` and
`..._IGNORED` tables list those. Anything else is refused.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import FileError
from ..models.autoencoder import AutoencoderConfig
from ..models.clip_image import ClipImageConfig
from ..models.clip_layer import ACTIVATIONS
from ..models.clip_text import ClipTextConfig
from ..models.unet import UNetConfig
from .fields import Fields

C = TypeVar("C")

DIFFUSERS = "0.42.0"  # whose folder layout is written; readers treat U-Nets from before 0.9 as trained on 64 x 64 latents
DIFFUSERS_IGNORED = ("_diffusers_version", "_name_or_path", "upcast_attention", "dropout", "force_upcast")
EMA_IGNORED = ("decay", "inv_gamma", "min_decay", "optimization_step", "power", "update_after_step", "use_ema_warmup")

UNET_SAME: dict[str, tuple[object, ...]] = {
    "_class_name": ("UNet2DConditionModel",),
    "act_fn": ("silu",),
    "addition_embed_type": (None,),
    "addition_embed_type_num_heads": (64,),  # of an embedding that is not there
    "addition_time_embed_dim": (None,),
    "attention_type": ("default",),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "class_embeddings_concat": (False,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None,),
    "downsample_padding": (1,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "mid_block_only_cross_attention": (None, False),
    "mid_block_scale_factor": (1,),
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "norm_eps": (1e-5,),
    "num_attention_heads": (None,),
    "projection_class_embeddings_input_dim": (None,),
    "resnet_out_scale_factor": (1,),
    "resnet_skip_time_act": (False,),
    "resnet_time_scale_shift": ("default",),
    "reverse_transformer_layers_per_block": (None,),
    "time_cond_proj_dim": (None,),
    "time_embedding_act_fn": (None,),
    "time_embedding_dim": (None,),
    "time_embedding_type": ("positional",),
    "timestep_post_act": (None,),
}
AUTOENCODER_SAME: dict[str, tuple[object, ...]] = {
    "_class_name": ("AutoencoderKL",),
    "act_fn": ("silu",),
    "latents_mean": (None,),
    "latents_std": (None,),
    "mid_block_add_attention": (True,),
    "shift_factor": (None,),
    "use_post_quant_conv": (True,),
    "use_quant_conv": (True,),
}
CLIP_IGNORED = (
    *("_name_or_path", "attention_dropout", "bos_token_id", "dropout", "dtype", "initializer_factor", "initializer_range"),
    *("pad_token_id", "torch_dtype", "transformers_version"),
    # What transformers once wrote into every config of its: how to generate text, classify, export and report.
    *("add_cross_attention", "bad_words_ids", "begin_suppress_tokens", "chunk_size_feed_forward", "cross_attention_hidden_size"),
    *("decoder_start_token_id", "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size"),
    *("exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "id2label", "is_decoder"),
    *("is_encoder_decoder", "label2id", "length_penalty", "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups"),
    *("num_beams", "num_return_sequences", "output_attentions", "output_hidden_states", "output_scores", "prefix", "problem_type"),
    *("remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate", "sep_token_id", "suppress_tokens"),
    *("task_specific_params", "temperature", "tf_legacy_loss", "tie_encoder_decoder", "tie_word_embeddings", "tokenizer_class"),
    *("top_k", "top_p", "torchscript", "typical_p", "use_bfloat16", "_attn_implementation_autoset", "attn_implementation"),
)
CLIP_SAME: dict[str, tuple[object, ...]] = {"layer_norm_eps": (1e-5,), "pruned_heads": ({},)}
DOWN = {True: "CrossAttnDownBlock2D", False: "DownBlock2D"}
UP = {True: "CrossAttnUpBlock2D", False: "UpBlock2D"}


def read_unet(file: Path) -> UNetConfig:
    """The U-Net's shape from its config.json.

    Before version 0.9 diffusers wrote a sample_size it had not been told; it takes those below 64 for 64, and so do we.
    """
    fields = Fields(file)
    least = 64 if _version(fields) < (0, 9) else 0
    fields.ignore((*DIFFUSERS_IGNORED, *EMA_IGNORED))
    fields.expect(UNET_SAME)
    if fields.take_same("transformer_layers_per_block", int, 1) != 1:
        fields.refuse("transformer_layers_per_block", "more", "1")
    down = fields.take_each("down_block_types", str)
    up = fields.take_each("up_block_types", str)
    attention = tuple(kind == DOWN[True] for kind in down)
    if down != tuple(DOWN[a] for a in attention):
        fields.refuse("down_block_types", list(down), " / ".join(DOWN.values()))
    if up != tuple(UP[a] for a in reversed(attention)):
        fields.refuse("up_block_types", list(up), " / ".join(UP.values()) + ", the way down in reverse")
    if fields.left.get("num_class_embeds", 0) is None:
        fields.ignore(["num_class_embeds"])
    only_cross = fields.take_one_or_each("only_cross_attention", bool, False)
    if not isinstance(only_cross, tuple):
        only_cross = (only_cross,) * len(down)
    return made(
        fields,
        lambda: UNetConfig(
            in_channels=fields.take("in_channels", int, 4),
            out_channels=fields.take("out_channels", int, 4),
            channels=fields.take_each("block_out_channels", int),
            blocks=fields.take_same("layers_per_block", int, 2),
            attention=attention,
            context_width=fields.take_same("cross_attention_dim", int, 1280),
            heads=fields.take_one_or_each("attention_head_dim", int, 8),  # diffusers' old mistake: it is the number of heads
            linear_projection=fields.take("use_linear_projection", bool, False),
            norm_groups=fields.take("norm_num_groups", int, 32),
            sample_size=max(fields.take_same("sample_size", int, 64), least),
            class_labels=fields.take("num_class_embeds", int, 0),
            only_cross_attention=only_cross if any(only_cross) else None,
        ),
    )


def write_unet(config: UNetConfig) -> dict[str, object]:
    """config.json of a U-Net."""
    only_cross = config.only_cross_attention
    return {
        "_class_name": "UNet2DConditionModel",
        "_diffusers_version": DIFFUSERS,
        "act_fn": "silu",
        "attention_head_dim": config.heads if isinstance(config.heads, int) else list(config.heads),
        "block_out_channels": list(config.channels),
        "center_input_sample": False,
        "cross_attention_dim": config.context_width,
        "down_block_types": [DOWN[attends] for attends in config.attention],
        "downsample_padding": 1,
        "dual_cross_attention": False,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": config.in_channels,
        "layers_per_block": config.blocks,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-05,
        "norm_num_groups": config.norm_groups,
        "num_class_embeds": config.class_labels or None,
        "only_cross_attention": False if only_cross is None else list(only_cross),
        "out_channels": config.out_channels,
        "sample_size": config.sample_size,
        "up_block_types": [UP[attends] for attends in reversed(config.attention)],
        "use_linear_projection": config.linear_projection,
    }


def read_autoencoder(file: Path) -> AutoencoderConfig:
    """The autoencoder's shape from its config.json."""
    fields = Fields(file)
    fields.ignore(DIFFUSERS_IGNORED)
    fields.expect(AUTOENCODER_SAME)
    channels = fields.take_each("block_out_channels", int)
    for name, kind in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
        kinds = fields.take_each(name, str)
        if kinds != (kind,) * len(channels):
            fields.refuse(name, list(kinds), f"{len(channels)} x {kind}")
    channels_in = fields.take("in_channels", int, 3)
    if (out := fields.take("out_channels", int, 3)) != channels_in:
        fields.refuse("out_channels", out, f"{channels_in}, as many as in_channels")
    return made(
        fields,
        lambda: AutoencoderConfig(
            channels_in=channels_in,
            latent_channels=fields.take("latent_channels", int, 4),
            channels=channels,
            blocks=fields.take_same("layers_per_block", int, 1),
            norm_groups=fields.take("norm_num_groups", int, 32),
            sample_size=fields.take_same("sample_size", int, 32),
            scale=fields.take("scaling_factor", float, 0.18215),
        ),
    )


def write_autoencoder(config: AutoencoderConfig) -> dict[str, object]:
    """config.json of an autoencoder."""
    return {
        "_class_name": "AutoencoderKL",
        "_diffusers_version": DIFFUSERS,
        "act_fn": "silu",
        "block_out_channels": list(config.channels),
        "down_block_types": ["DownEncoderBlock2D"] * len(config.channels),
        "in_channels": config.channels_in,
        "latent_channels": config.latent_channels,
        "layers_per_block": config.blocks,
        "norm_num_groups": config.norm_groups,
        "out_channels": config.channels_in,
        "sample_size": config.sample_size,
        "scaling_factor": config.scale,
        "up_block_types": ["UpDecoderBlock2D"] * len(config.channels),
    }


def read_text(file: Path) -> ClipTextConfig:
    """The text tower's shape from its config.json, or from that of a whole CLIP. A plain CLIPTextModel has no projection."""
    fields = Fields(file)
    projection = fields.take("projection_dim", int, 512)
    whole = fields.left.get("model_type") == "clip"
    if not whole and fields.left.get("architectures") != ["CLIPTextModelWithProjection"]:
        projection = 0
    if whole:
        fields.within("text_config", "text_config_dict")
    fields.ignore((*CLIP_IGNORED, "projection_dim"))
    kinds = (["CLIPTextModel"], ["CLIPTextModelWithProjection"], None)
    fields.expect({"architectures": kinds, "model_type": ("clip_text_model",), **CLIP_SAME})
    vocab = fields.take("vocab_size", int, 49408)
    end = fields.take("eos_token_id", int, 2)
    return made(
        fields,
        lambda: ClipTextConfig(
            vocab=vocab,
            width=fields.take("hidden_size", int, 512),
            layers=fields.take("num_hidden_layers", int, 12),
            heads=fields.take("num_attention_heads", int, 8),
            positions=fields.take("max_position_embeddings", int, 77),
            feedforward=fields.take("intermediate_size", int, 2048),
            activation=_activation(fields),
            projection=projection or None,
            end_token=vocab - 1 if end == 2 else end,  # files from before transformers 4.31 all say 2 and mean the last id
        ),
    )


def write_text(config: ClipTextConfig) -> dict[str, object]:
    """config.json of a text tower."""
    return {
        "architectures": ["CLIPTextModel"],
        "attention_dropout": 0.0,
        "bos_token_id": config.end_token - 1,
        "dropout": 0.0,
        "eos_token_id": config.end_token,
        "hidden_act": config.activation,
        "hidden_size": config.width,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": config.feedforward,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": config.positions,
        "model_type": "clip_text_model",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "pad_token_id": config.end_token,
        "projection_dim": config.projection or 512,
        "torch_dtype": "float32",
        "vocab_size": config.vocab,
    }


def read_image(file: Path) -> ClipImageConfig:
    """The image tower's shape from its config.json, or from that of a whole CLIP."""
    fields = Fields(file)
    projection = fields.take("projection_dim", int, 512)
    if fields.left.get("model_type") == "clip":
        fields.within("vision_config", "vision_config_dict")
    fields.ignore((*CLIP_IGNORED, "projection_dim"))
    kinds = (["CLIPVisionModelWithProjection"], None)
    vision = {"architectures": kinds, "model_type": ("clip_vision_model",), "num_channels": (3,)}
    fields.expect({**vision, **CLIP_SAME})
    return image_tower(fields, projection)


def image_tower(fields: Fields, projection: int) -> ClipImageConfig:
    """The image tower that is left in some settings; what they leave out is transformers' default."""
    return made(
        fields,
        lambda: ClipImageConfig(
            size=fields.take("image_size", int, 224),
            patch=fields.take("patch_size", int, 32),
            width=fields.take("hidden_size", int, 768),
            layers=fields.take("num_hidden_layers", int, 12),
            heads=fields.take("num_attention_heads", int, 12),
            feedforward=fields.take("intermediate_size", int, 3072),
            activation=_activation(fields),
            projection=projection,
        ),
    )


def write_image(config: ClipImageConfig) -> dict[str, object]:
    """config.json of an image tower."""
    return {
        "architectures": ["CLIPVisionModelWithProjection"],
        "attention_dropout": 0.0,
        "dropout": 0.0,
        "hidden_act": config.activation,
        "hidden_size": config.width,
        "image_size": config.size,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": config.feedforward,
        "layer_norm_eps": 1e-05,
        "model_type": "clip_vision_model",
        "num_attention_heads": config.heads,
        "num_channels": 3,
        "num_hidden_layers": config.layers,
        "patch_size": config.patch,
        "projection_dim": config.projection,
        "torch_dtype": "float32",
    }


def _version(fields: Fields) -> tuple[int, ...]:
    """Which diffusers wrote a file, as two numbers; today's if it does not say."""
    said = str(fields.left.get("_diffusers_version", DIFFUSERS)).split(".")[:2]
    return tuple(int(number) if number.isdecimal() else 0 for number in said)


def _activation(fields: Fields) -> str:
    name = fields.take("hidden_act", str, "quick_gelu")
    if name not in ACTIVATIONS:
        fields.refuse("hidden_act", name, " / ".join(ACTIVATIONS))
    return name


def made(fields: Fields, make: Callable[[], C]) -> C:
    """The config, once every setting is accounted for and they agree with one another."""
    try:
        config = make()
    except FileError:
        raise
    except ValueError as error:
        raise FileError(f"{fields.file}: {error}", f"{fields.file}: 設定の値が合いません ({error})") from error
    fields.done()
    return config
