"""depth_estimator/config.json, in the words of transformers' DPT, to and from our own; and what prepares pictures for it."""

from pathlib import Path

from ..models.dpt import STRIDE, DptConfig
from .configs import CLIP_IGNORED, made
from .fields import Fields

SAME: dict[str, tuple[object, ...]] = {
    "architectures": (["DPTForDepthEstimation"], None),
    "model_type": ("dpt",),
    "add_projection": (False,),
    "backbone": (None,),
    "head_in_index": (-1,),
    "hidden_act": ("gelu",),
    "is_hybrid": (True,),
    "neck_ignore_stages": ([0, 1],),
    "num_channels": (3,),
    "patch_size": (STRIDE,),
    "qkv_bias": (True,),
    "readout_type": ("project",),
    "reassemble_factors": ([1, 1, 1, 0.5],),
    "use_batch_norm_in_fusion_residual": (False,),
    "use_bias_in_fusion_residual": (None, True),
}
BACKBONE_SAME: dict[str, tuple[object, ...]] = {
    "model_type": ("bit",),
    "downsample_in_first_stage": (False,),
    "embedding_dynamic_padding": (True,),
    "global_padding": ("same", "SAME"),
    "hidden_act": ("relu",),
    "layer_type": ("bottleneck",),
    "num_channels": (3,),
    "out_features": (["stage1", "stage2", "stage3"],),
    "output_stride": (32,),
    "width_factor": (1,),
}
IGNORED = (
    *(
        *CLIP_IGNORED,
        "attention_probs_dropout_prob",
        "auxiliary_loss_weight",
        "backbone_featmap_shape",
        "backbone_kwargs",
        "drop_path_rate",
    ),
    *("hidden_dropout_prob", "out_indices", "pooler_act", "pooler_output_size", "semantic_classifier_dropout"),
    *("semantic_loss_ignore_index", "stage_names", "use_auxiliary_head", "use_pretrained_backbone", "use_timm_backbone"),
)


def read_depth(file: Path) -> DptConfig:
    """The depth network's shape from its config.json; only the hybrid over a ResNet is known."""
    fields, backbone = Fields(file), Fields(file)
    backbone.within("backbone_config")
    fields.ignore((*IGNORED, "backbone_config"))
    fields.expect(SAME)
    backbone.ignore((*IGNORED, "architectures"))
    backbone.expect(BACKBONE_SAME)
    stages = backbone.take_each("hidden_sizes", int) if "hidden_sizes" in backbone.left else DptConfig.stages
    blocks = backbone.take_each("depths", int)
    taps = fields.take_each("backbone_out_indices", int)
    width = fields.take("hidden_size", int, 768)
    necks = fields.take_each("neck_hidden_sizes", int)
    if len(blocks) != 3 or len(stages) < 3:
        backbone.refuse("depths", list(blocks), "three stages")
    if len(taps) != 4:
        fields.refuse("backbone_out_indices", list(taps), "four places")
    if necks != (*stages[:2], width, width):
        fields.refuse("neck_hidden_sizes", list(necks), str([*stages[:2], width, width]))
    config = made(
        fields,
        lambda: DptConfig(
            size=fields.take("image_size", int, 384),
            stem=backbone.take("embedding_size", int, 64),
            stages=(stages[0], stages[1], stages[2]),
            blocks=(blocks[0], blocks[1], blocks[2]),
            norm_groups=backbone.take("num_groups", int, 32),
            width=width,
            layers=fields.take("num_hidden_layers", int, 12),
            heads=fields.take("num_attention_heads", int, 12),
            feedforward=fields.take("intermediate_size", int, 3072),
            taps=(taps[2], taps[3]),
            fusion=fields.take("fusion_hidden_size", int, 256),
            eps=fields.take("layer_norm_eps", float, 1e-12),
        ),
    )
    backbone.done()
    return config


def write_depth(config: DptConfig) -> dict[str, object]:
    """config.json of a depth network."""
    tokens = config.size // STRIDE
    return {
        "architectures": ["DPTForDepthEstimation"],
        "backbone_config": {
            "depths": list(config.blocks),
            "embedding_dynamic_padding": True,
            "embedding_size": config.stem,
            "global_padding": "same",
            "hidden_sizes": list(config.stages),
            "layer_type": "bottleneck",
            "model_type": "bit",
            "num_groups": config.norm_groups,
            "out_features": ["stage1", "stage2", "stage3"],
        },
        "backbone_featmap_shape": [1, config.stages[-1], tokens, tokens],
        "backbone_out_indices": [2, 5, *config.taps],
        "fusion_hidden_size": config.fusion,
        "head_in_index": -1,
        "hidden_act": "gelu",
        "hidden_size": config.width,
        "image_size": config.size,
        "intermediate_size": config.feedforward,
        "is_hybrid": True,
        "layer_norm_eps": config.eps,
        "model_type": "dpt",
        "neck_hidden_sizes": [*config.stages[:2], config.width, config.width],
        "neck_ignore_stages": [0, 1],
        "num_attention_heads": config.heads,
        "num_channels": 3,
        "num_hidden_layers": config.layers,
        "patch_size": STRIDE,
        "qkv_bias": True,
        "readout_type": "project",
        "reassemble_factors": [1, 1, 1, 0.5],
        "torch_dtype": "float32",
        "use_batch_norm_in_fusion_residual": False,
    }


def write_preparation(config: DptConfig) -> dict[str, object]:
    """preprocessor_config.json: pictures resized to those trained on, -1 to 1."""
    return {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "ensure_multiple_of": 1,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "DPTImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "keep_aspect_ratio": False,
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": config.size, "width": config.size},
    }
