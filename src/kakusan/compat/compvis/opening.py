"""Which model a script runs, and what is wrong with what it was told about it: one line, exit code 2."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import FileError, KakusanError
from ...messages import tr

if TYPE_CHECKING:
    import torch

    from ...pipeline import Pipeline

CKPT = Path("models/ldm/stable-diffusion-v1/model.ckpt")
CONFIG = Path("configs/stable-diffusion/v1-inference.yaml")
LAION_CKPT = Path("models/ldm/text2img-large/model.ckpt")
LAION_CONFIG = Path("configs/latent-diffusion/txt2img-1p4B-eval.yaml")
LAION_OUTDIR = Path("outputs/txt2img-samples-laion400m")


def refuse_laion400m() -> None:
    """Raises KakusanError: with --laion400m the scripts run a model whose text encoder is a BERT, which is not ours to run."""
    there = LAION_CKPT.is_file()
    raise KakusanError(
        f"--laion400m asks for {LAION_CKPT} with {LAION_CONFIG} into {LAION_OUTDIR}; "
        + ("" if there else "that checkpoint is not there, and ")
        + "its text encoder is a BERT, which kakusan does not have: give --ckpt a Stable Diffusion checkpoint instead",
        f"--laion400m は {LAION_CKPT} を {LAION_CONFIG} で開き {LAION_OUTDIR} に保存する指定ですが、"
        + ("" if there else "そのチェックポイントがなく、")
        + "テキストエンコーダーが BERT なので kakusan では使えません。--ckpt に Stable Diffusion のチェックポイントを指定してください",
    )


def found(args: Namespace) -> tuple[Path | None, Path | None]:
    """The checkpoint and the configuration to open; no checkpoint is the embedded model. Raises KakusanError on any that are missing."""
    ckpt: Path | None = args.ckpt
    config: Path | None = args.config
    if ckpt is None and CKPT.is_file():
        ckpt = CKPT
        config = config or (CONFIG if CONFIG.is_file() else None)
    if ckpt is None and config is not None:
        raise KakusanError(
            "--config is given without --ckpt; name the checkpoint too", "--config だけでは開けません。--ckpt も指定してください"
        )
    for path, en, ja in ((ckpt, "checkpoint", "チェックポイント"), (config, "configuration", "設定ファイル")):
        if path is not None and not path.exists():
            raise KakusanError(f"{path}: no such {en}; check the path", f"{path}: {ja}がありません。パスを確かめてください")
    return ckpt, config


def opened(args: Namespace, ckpt: Path | None, config: Path | None) -> "Pipeline":
    """The model, ready to draw. Raises KakusanError on a configuration that does not fit, FileError on a damaged checkpoint."""
    from ...loading import load

    if config is None:
        pipe = load(ckpt, dtype=_dtype(args), device=args.device, safety_checker=args.safety_checker)
    else:
        try:
            pipe = load(ckpt, config=config, dtype=_dtype(args), device=args.device, safety_checker=args.safety_checker)
        except FileError as error:  # which of the two is wrong, nobody can know
            raise KakusanError(f"{error.en} (with --config {config})", f"{error.ja} (--config {config})") from error
    if pipe.model.variant:
        raise KakusanError(
            f"{ckpt}: a model for {pipe.model.variant}, which this script cannot give what it needs; take one for text to image",
            f"{ckpt}: {pipe.model.variant} 用のモデルです。このスクリプトでは text-to-image 用のモデルを使ってください",
        )
    return pipe


def notes(args: Namespace, ckpt: Path | None) -> list[str]:
    """What the user should know before anything is drawn."""
    said = []
    if ckpt is None:
        said.append(
            tr(
                f"no --ckpt, and no {CKPT}: the small model inside kakusan draws, in its own size",
                f"--ckpt がなく {CKPT} もないので、付属の小さなモデルがその大きさで描きます",
            )
        )
    for name in ("torchscript", "ipex"):
        if getattr(args, name):
            said.append(tr(f"--{name} changes nothing here", f"--{name} を指定しても何も変わりません"))
    return said


def _dtype(args: Namespace) -> "torch.dtype | None":
    """None is half precision on a GPU, float32 elsewhere."""
    import torch

    if args.bf16:
        return torch.bfloat16
    return torch.float32 if args.precision == "full" else None
