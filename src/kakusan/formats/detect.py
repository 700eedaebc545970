"""What an original single file holds, told by its tensors' names and shapes, before any of them is read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..models.autoencoder import AutoencoderConfig
from ..models.clip_text import ClipTextConfig
from ..models.dpt import DptConfig
from ..models.unet import UNetConfig
from ..schedules import NoiseSchedule
from .ema import AVERAGED, Ema, ema
from .model import Family, Variant
from .shapes import X4_SCALE, autoencoder_of, clip_of, dpt_of, open_clip_of, unet_of
from .source import Source, Under, refuse
from .stamp import read_stamp

UNET, AUTOENCODER, DEPTH = "model.diffusion_model.", "first_stage_model.", "depth_model."
CLIP, OPEN_CLIP = "cond_stage_model.transformer.", "cond_stage_model.model."
LOW_NOISE = "low_scale_model."
X4_NOISE = NoiseSchedule(beta_start=1e-4, beta_end=2e-2)
LOW = NoiseSchedule(beta_start=1e-4, beta_end=2e-2, steps_offset=0, set_alpha_to_one=True)  # never sampled from, it has no offset
BUFFERS = (
    *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod"),
    *("log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod"),
)
POSTERIOR = ("posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2")
V_MARK, SNR_MARK = "v_pred", "ztsnr"
"""Names of empty tensors by which some models that predict v, up to zero terminal SNR, say so."""
IDLE = frozenset({*BUFFERS, *POSTERIOR, V_MARK, SNR_MARK, "lvlb_weights", "logvar", "scale_factor", "cond_stage_model.logit_scale"})
IDLE_PREFIXES = (AVERAGED, LOW_NOISE, f"{AUTOENCODER}loss.", f"{AUTOENCODER}model_ema.", "embedding_manager.")
OTHER_KINDS = (
    ("conditioner.embedders.", "Stable Diffusion XL"),
    ("model.diffusion_model.joint_blocks.", "Stable Diffusion 3"),
    ("joint_blocks.", "Stable Diffusion 3"),
    ("model.diffusion_model.double_blocks.", "Flux"),
    ("double_blocks.", "Flux"),
    ("control_model.", "ControlNet"),
    ("lora_", "LoRA"),
)
PREDICTIONS = {"epsilon": "epsilon", "eps": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction", "v-prediction": "v_prediction"}
BASE_STEP = 875000  # of the training of SD 2.0 base, whose file says nothing else


@dataclass(frozen=True)
class Found:
    """The parts of a single file, None for one that it lacks, and what must be known to use them.

    open_clip: whether the text tower is under OpenCLIP's names. skipped: how many of its last layers nothing uses. schedule: with a
    prediction of "epsilon" if `prediction` is None, which is: the file cannot tell. reason: how prediction is known, in English and
    Japanese. ema: which averaged weights there are; use_ema: whether an original .yaml wants them.
    length: of a prompt in tokens. tokenizer: the folder of one, for a text tower that knows other tokens than CLIP's;
    only a .yaml can name it.
    settings: of the model, which it keeps with itself.
    """

    unet: UNetConfig | None
    autoencoder: AutoencoderConfig | None
    text: ClipTextConfig | None
    schedule: NoiseSchedule
    open_clip: bool = False
    skipped: int = 0
    prediction: str | None = None
    reason: tuple[str, str] = ("", "")
    low_noise: NoiseSchedule | None = None
    ema: Ema = "none"
    use_ema: bool = False
    depth: DptConfig | None = None
    length: int = 77
    tokenizer: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def variant(self) -> Variant:
        """What the U-Net sees beside the noisy latent."""
        beside = 0 if self.unet is None else self.unet.in_channels - self.unet.out_channels
        return {5: "inpainting", 1: "depth", 3: "upscaling"}.get(beside, "")  # type: ignore[return-value]

    @property
    def family(self) -> Family:
        """Which published models this one is built as, of whatever size."""
        if self.variant == "upscaling":
            return "sd_x4"
        return "sd2" if self.open_clip or (self.text is None and self.unet is not None and self.unet.linear_projection) else "sd1"


def detect(source: Source) -> Found:
    """What a single file holds: a whole model, or only a U-Net (named with or without its place in a model) or an autoencoder.

    Raises FileError if there is none of these in it, or their sizes do not say how many heads they have.
    """
    names = source.tensors
    _refuse_others(source)
    unet, autoencoder = (Under(source, prefix) for prefix in (unet_prefix(names), autoencoder_prefix(names)))
    has_unet = any(name.startswith("input_blocks.") for name in unet.tensors)
    has_autoencoder = any(name.startswith("decoder.") for name in autoencoder.tensors)
    if not has_unet and not has_autoencoder:
        name = f"{UNET}input_blocks.0.0.weight"
        refuse(
            source.file,
            name,
            "is missing: no model of Stable Diffusion 1 or 2",
            "がありません。Stable Diffusion 1 / 2 のモデルではありません",
        )
    own = read_stamp(source)
    open_clip = any(name.startswith(OPEN_CLIP) for name in names)
    found = Found(
        unet=unet_of(unet, own.get("unet", {})) if has_unet else None,
        autoencoder=autoencoder_of(autoencoder, own.get("autoencoder", {})) if has_autoencoder else None,
        text=_text(source, own.get("text", {})),
        schedule=NoiseSchedule(zero_terminal_snr=SNR_MARK in names),
        open_clip=open_clip,
        skipped=int(open_clip),
        ema=ema(names),
        depth=depth_in(source),
    )
    if found.text is not None:
        found = replace(found, length=found.text.positions)
    found = predicting(_upscaling(found), *prediction_in(source, found))
    if found.unet is not None and "sample_size" in own.get("unet", {}):
        found = replace(found, unet=replace(found.unet, sample_size=own["unet"]["sample_size"]))
    return replace(found, **{name: own[name] for name in ("schedule", "low_noise", "settings") if name in own})


def predicting(found: Found, prediction: str | None, en: str = "", ja: str = "") -> Found:
    """The same with what the U-Net predicts; SD2's models that predict v are for 768 x 768 pixels."""
    if prediction is None:
        return found
    unet = found.unet
    if unet is not None and found.family == "sd2" and prediction == "v_prediction" and unet.sample_size == 64:
        unet = replace(unet, sample_size=96)
    return replace(found, unet=unet, schedule=replace(found.schedule, prediction=prediction), prediction=prediction, reason=(en, ja))


def depth_in(source: Source) -> DptConfig | None:
    """The depth network in the file, if there is one."""
    part = Under(source, DEPTH)
    return dpt_of(part) if part.tensors else None


def unet_prefix(names: Iterable[str]) -> str:
    """What stands before the U-Net's names: nothing in a file of the U-Net alone."""
    return "" if any(name.startswith("input_blocks.") for name in names) else UNET


def autoencoder_prefix(names: Iterable[str]) -> str:
    """What stands before the autoencoder's names: nothing in a file of the autoencoder alone."""
    return "" if any(name.startswith("decoder.") for name in names) else AUTOENCODER


def idle(name: str) -> bool:
    """Whether a tensor is in single files and in no network: tables of the noise schedule, averages, remains of training."""
    last = name.rpartition(".")[2]
    return name in IDLE or name.startswith(IDLE_PREFIXES) or (last == "position_ids" and name.startswith("cond_stage_model."))


def _text(source: Source, known: Mapping[str, Any]) -> ClipTextConfig | None:
    clip, open_clip = Under(source, CLIP), Under(source, OPEN_CLIP)
    if open_clip.tensors:
        return open_clip_of(open_clip, known=known)
    return clip_of(clip, known) if clip.tensors else None


def _upscaling(found: Found) -> Found:
    """The x4 upscaler has noise of its own, and its own scale."""
    if found.variant != "upscaling":
        return found
    autoencoder = None if found.autoencoder is None else replace(found.autoencoder, scale=X4_SCALE)
    return replace(found, schedule=X4_NOISE, low_noise=LOW, autoencoder=autoencoder)


def prediction_in(source: Source, found: Found) -> tuple[str | None, str, str]:
    """What the U-Net predicts, and how that is known; None if only an evaluation can tell."""
    said = source.metadata.get("modelspec.prediction_type", "").lower()
    kind = source.metadata.get("modelspec.architecture", "").lower()
    if V_MARK in source.tensors:
        return "v_prediction", f"the file is marked {V_MARK}", f"ファイルに {V_MARK} の印があります"
    if said in PREDICTIONS:
        return PREDICTIONS[said], f'its metadata says "{said}"', f"メタデータに「{said}」とあります"
    if kind.startswith("stable-diffusion-v2-768-v"):
        return "v_prediction", f'its metadata says "{kind}"', f"メタデータに「{kind}」とあります"
    if kind.startswith("stable-diffusion-v2-512"):
        return "epsilon", f'its metadata says "{kind}"', f"メタデータに「{kind}」とあります"
    if found.variant == "upscaling":
        return "v_prediction", "as every x4 upscaler does", "x4 アップスケーラーは常にそうです"
    if found.family == "sd1" or found.variant:
        return "epsilon", "as all models of this kind do", "この種類のモデルは常にそうです"
    if source.metadata.get("global_step") == str(BASE_STEP):
        return "epsilon", f"global_step is {BASE_STEP}, that of SD 2.0 base", f"global_step が SD 2.0 base の {BASE_STEP} です"
    return None, "", ""


def _refuse_others(source: Source) -> None:
    """Says whose a file is, if it is another kind of model's."""
    for name in source.tensors:
        for prefix, kind in OTHER_KINDS:
            if name.startswith(prefix):
                refuse(source.home(name), name, f"belongs to {kind}, not to a model of Stable Diffusion 1 or 2", f"は {kind} のものです")
