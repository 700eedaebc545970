"""What each format calls the weights of CLIP's two towers.

The single-file column is OpenCLIP's, used by SD2; SD1's single file holds the folder's names. OpenCLIP keeps the three input
layers of an attention in one tensor, `in_proj_weight` or `in_proj_bias`, queries above keys above values: they share a name here.
"""

from ..models.clip_image import ClipImageConfig
from ..models.clip_text import ClipTextConfig
from .keys import Row, under

TOWER = "vision_model."

LAYER: list[Row] = [
    ("norm1", "ln_1", "layer_norm1"),
    ("attn.to_q", "attn.in_proj", "self_attn.q_proj"),
    ("attn.to_k", "attn.in_proj", "self_attn.k_proj"),
    ("attn.to_v", "attn.in_proj", "self_attn.v_proj"),
    ("attn.to_out", "attn.out_proj", "self_attn.out_proj"),
    ("norm2", "ln_2", "layer_norm2"),
    ("ff_in", "mlp.c_fc", "mlp.fc1"),
    ("ff_out", "mlp.c_proj", "mlp.fc2"),
]


def text_rows(config: ClipTextConfig) -> list[Row]:
    """The text tower. OpenCLIP keeps `text_projection` the other way round: (width, projection)."""
    table: list[Row] = [
        ("token_embedding", "token_embedding", "text_model.embeddings.token_embedding"),
        ("position_embedding.weight", "positional_embedding", "text_model.embeddings.position_embedding.weight"),
        ("norm", "ln_final", "text_model.final_layer_norm"),
        ("project.weight", "text_projection", "text_projection.weight"),
    ]
    for i in range(config.layers):
        table += under(LAYER, f"layers.{i}", f"transformer.resblocks.{i}", f"text_model.encoder.layers.{i}")
    return table


def image_rows(config: ClipImageConfig) -> list[Row]:
    """The image tower. OpenCLIP keeps `proj` the other way round: (width, projection)."""
    table: list[Row] = [
        ("first", "visual.class_embedding", "vision_model.embeddings.class_embedding"),
        ("patches", "visual.conv1", "vision_model.embeddings.patch_embedding"),
        ("position_embedding.weight", "visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
        ("norm_in", "visual.ln_pre", "vision_model.pre_layrnorm"),
        ("norm_out", "visual.ln_post", "vision_model.post_layernorm"),
        ("project.weight", "visual.proj", "visual_projection.weight"),
    ]
    for i in range(config.layers):
        table += under(LAYER, f"layers.{i}", f"visual.transformer.resblocks.{i}", f"vision_model.encoder.layers.{i}")
    return table


def safety_rows(config: ClipImageConfig) -> list[Row]:
    """The safety checker: the image tower, and the concepts. There is no single-file form; the folder's names stand for it."""
    tower = [(f"tower.{ours}", folder, _in_checker(folder)) for ours, _, folder in image_rows(config)]
    names = [
        ("concepts", "concept_embeds"),
        ("thresholds", "concept_embeds_weights"),
        ("special", "special_care_embeds"),
        ("special_thresholds", "special_care_embeds_weights"),
    ]
    return [*tower, *((ours, theirs, theirs) for ours, theirs in names)]


def _in_checker(name: str) -> str:
    return TOWER + name if name.startswith(TOWER) else name


def modern_text(name: str) -> str | None:
    """A folder's tensor name as `text_rows` has it: position_ids are a mere count, and not every writer puts `text_model.` first."""
    if name.endswith("embeddings.position_ids"):
        return None
    return name if name.startswith("text_model.") else f"text_model.{name}"


def modern_image(name: str) -> str | None:
    """A folder's tensor name as `image_rows` has it."""
    return None if name.endswith("embeddings.position_ids") else name


def modern_safety(name: str) -> str | None:
    """A folder's tensor name as `safety_rows` has it, and as published: transformers 5 leaves out one of two `vision_model.`."""
    if name.endswith("embeddings.position_ids"):
        return None
    return name if name.startswith(2 * TOWER) or not name.startswith(TOWER) else TOWER + name
