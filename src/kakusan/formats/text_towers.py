"""Text encoders and tokenizers of model folders that are not CLIP's: rinna's Japanese Stable Diffusion, and AltDiffusion.

Facts: rinnakk/japanese-stable-diffusion (a CLIPTextModel over T5Tokenizer, lower case, 77 tokens); diffusers 0.42,
pipelines/deprecated/alt_diffusion (RobertaSeriesModelWithTransformation over XLMRobertaTokenizer).
"""

from pathlib import Path
from typing import Any

from ..models.xlm_roberta import XlmRoberta, XlmRobertaConfig
from ..prompts.sentencepieces import NAMES, SentencePieces
from ..prompts.tokenizer import Tokenizer
from . import parts as lay
from .configs import made
from .fields import Fields, read_json
from .keys import Row, under
from .model_index import ALT

IGNORED = (
    *(
        "_name_or_path",
        "add_cross_attention",
        "attention_probs_dropout_prob",
        "bos_token_id",
        "classifier_dropout",
        "cross_attention_hidden_size",
    ),
    *(
        "dtype",
        "hidden_dropout_prob",
        "initializer_range",
        "is_decoder",
        "learn_encoder",
        "output_past",
        "pooler_fn",
        "tie_word_embeddings",
    ),
    *("torch_dtype", "transformers_version", "use_cache", "gradient_checkpointing"),
)
LAYER: list[Row] = [
    (ours, theirs, theirs)
    for ours, theirs in (
        ("attn.to_q", "attention.self.query"),
        ("attn.to_k", "attention.self.key"),
        ("attn.to_v", "attention.self.value"),
        ("attn.to_out", "attention.output.dense"),
        ("norm1", "attention.output.LayerNorm"),
        ("ff_in", "intermediate.dense"),
        ("ff_out", "output.dense"),
        ("norm2", "output.LayerNorm"),
    )
]


def text_part(folder: Path) -> lay.Part[Any, Any]:
    """How the text encoder in a folder lies there. Raises FileError if its config.json cannot be read."""
    return XLM if read_json(folder / "config.json").get("architectures") == [ALT] else lay.TEXT


def tokenizer_in(folder: Path) -> Tokenizer:
    """The tokenizer in a folder, of whatever kind. Raises FileError naming the file and what is wrong in it."""
    if any((folder / name).exists() for name in NAMES.values()):
        return SentencePieces.from_folder(folder)
    return Tokenizer.from_folder(folder)


def rows(config: XlmRobertaConfig) -> list[Row]:
    """What diffusers' folder calls the weights; there is no single-file form."""
    table = [
        ("token_embedding", "roberta.embeddings.word_embeddings"),
        ("position_embedding.weight", "roberta.embeddings.position_embeddings.weight"),
        ("kind_embedding.weight", "roberta.embeddings.token_type_embeddings.weight"),
        ("norm", "roberta.embeddings.LayerNorm"),
        ("transform", "transformation"),
        ("transform_before", "transformation_pre"),
        ("norm_before", "pre_LN"),
    ]
    found: list[Row] = [(ours, theirs, theirs) for ours, theirs in table]
    for i in range(config.layers):
        found += under(LAYER, f"layers.{i}", f"roberta.encoder.layer.{i}", f"roberta.encoder.layer.{i}")
    return found


def modern(name: str) -> str | None:
    """A stored tensor's name as `rows` has it; None for what diffusers does not use either."""
    unused = name.endswith("position_ids") or name.startswith(("roberta.pooler.", "logit_scale", "text_model.logit_scale"))
    return None if unused else name


def read_config(file: Path) -> XlmRobertaConfig:
    """The shape from config.json."""
    fields = Fields(file)
    fields.ignore(IGNORED)
    fields.expect({"architectures": ([ALT],), "model_type": ("xlm-roberta", "xlm_roberta"), "hidden_act": ("gelu",)})
    fields.expect({"position_embedding_type": ("absolute",)})
    return made(
        fields,
        lambda: XlmRobertaConfig(
            vocab=fields.take("vocab_size", int, 30522),
            width=fields.take("project_dim", int, 512),
            hidden=fields.take("hidden_size", int, 768),
            layers=fields.take("num_hidden_layers", int, 12),
            heads=fields.take("num_attention_heads", int, 12),
            positions=fields.take("max_position_embeddings", int, 512),
            feedforward=fields.take("intermediate_size", int, 3072),
            end_token=fields.take("eos_token_id", int, 2),
            kinds=fields.take("type_vocab_size", int, 2),
            pad=fields.take("pad_token_id", int, 1),
            eps=fields.take("layer_norm_eps", float, 1e-12),
            masked=fields.take("use_attention_mask", bool, True),
            before_last=fields.take("has_pre_transformation", bool, False),
        ),
    )


def write_config(config: XlmRobertaConfig) -> dict[str, object]:
    """config.json of such a text encoder."""
    return {
        "architectures": [ALT],
        "bos_token_id": 0,
        "eos_token_id": config.end_token,
        "has_pre_transformation": config.before_last,
        "hidden_act": "gelu",
        "hidden_size": config.hidden,
        "intermediate_size": config.feedforward,
        "layer_norm_eps": config.eps,
        "max_position_embeddings": config.positions,
        "model_type": "xlm-roberta",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "pad_token_id": config.pad,
        "project_dim": config.width,
        "type_vocab_size": config.kinds,
        "use_attention_mask": config.masked,
        "vocab_size": config.vocab,
    }


XLM: lay.Part[XlmRobertaConfig, XlmRoberta] = lay.Part("text_encoder", "model", XlmRoberta, rows, modern, read_config, write_config)
