"""The flags of the reference scripts, by the names and defaults they have there; Stability AI's spellings are second names.

A default of None is one that depends on the model (`opening`): the scripts' own value, or the embedded model's where no checkpoint
is there.
"""

import argparse
from pathlib import Path

from ...messages import tr

PROMPT = "a painting of a virus monster playing guitar"


def add_txt2img(parser: argparse.ArgumentParser) -> None:
    """What scripts/txt2img.py takes."""
    add = parser.add_argument
    _add_words(parser, "outputs/txt2img-samples")
    add("--H", type=int, metavar="N", help=tr("height in pixels, a multiple of 8 (512)", "高さ (画素、8 の倍数、既定値 512)"))
    add("--W", type=int, metavar="N", help=tr("width in pixels, a multiple of 8 (512)", "幅 (画素、8 の倍数、既定値 512)"))
    _add_sampling(parser, n_iter=2, n_samples=3, scale="7.5")
    add(
        "--dpm_solver",
        "--dpm",
        action="store_true",
        help=tr("sample with DPM-Solver++ of order 2 instead of DDIM", "DDIM の代わりに 2 次の DPM-Solver++ を使う"),
    )
    add(
        "--laion400m",
        action="store_true",
        help=tr("the older LAION-400M model (kakusan says why it cannot)", "古い LAION-400M モデル (使えない理由を表示します)"),
    )
    _add_model(parser)


def add_img2img(parser: argparse.ArgumentParser) -> None:
    """What scripts/img2img.py takes."""
    add = parser.add_argument
    _add_words(parser, "outputs/img2img-samples")
    add("--init-img", type=Path, metavar="FILE", help=tr("the picture to draw anew", "描き直す画像"))
    add(
        "--strength",
        type=float,
        default=0.75,
        metavar="X",
        help=tr("how much is drawn anew, 0 to 1 (0.75)", "描き直す強さ、0 から 1 (既定値 0.75)"),
    )
    _add_sampling(parser, n_iter=1, n_samples=2, scale="5.0")
    _add_model(parser)


def _add_words(parser: argparse.ArgumentParser, outdir: str) -> None:
    add = parser.add_argument
    add("--prompt", metavar="TEXT", default=PROMPT, help=tr(f"what to draw ({PROMPT})", f"描くもの (既定値 {PROMPT})"))
    add(
        "--from-file",
        type=Path,
        metavar="FILE",
        help=tr("read prompts from this file, one a line", "このファイルからプロンプトを 1 行ずつ読む"),
    )
    add(
        "--repeat",
        type=int,
        metavar="N",
        default=1,
        help=tr("repeat each line of the file this often (1)", "ファイルの各行を繰り返す回数 (既定値 1)"),
    )
    add("--outdir", type=Path, metavar="FOLDER", default=Path(outdir), help=tr(f"where to save ({outdir})", f"保存先 (既定値 {outdir})"))
    add("--skip_grid", action="store_true", help=tr("save no grid of all pictures", "一覧画像を保存しない"))
    add("--skip_save", action="store_true", help=tr("save no single pictures", "1 枚ずつの画像を保存しない"))


def _add_sampling(parser: argparse.ArgumentParser, n_iter: int, n_samples: int, scale: str) -> None:
    add = parser.add_argument
    add("--ddim_steps", "--steps", type=int, metavar="N", help=tr("sampling steps (50)", "ステップ数 (既定値 50)"))
    add("--plms", action="store_true", help=tr("sample with PLMS instead of DDIM", "DDIM の代わりに PLMS を使う"))
    add(
        "--ddim_eta",
        type=float,
        default=0.0,
        metavar="X",
        help=tr("DDIM's noise: 0 none, 1 as in DDPM (0)", "DDIM のノイズ。0 で無し、1 で DDPM と同じ (既定値 0)"),
    )
    add("--n_iter", type=int, metavar="N", default=n_iter, help=tr(f"sample this often ({n_iter})", f"繰り返す回数 (既定値 {n_iter})"))
    add(
        "--n_samples",
        type=int,
        metavar="N",
        default=n_samples,
        help=tr(f"pictures at a time ({n_samples})", f"同時に描く枚数 (既定値 {n_samples})"),
    )
    add("--n_rows", type=int, metavar="N", default=0, help=tr("columns of the grid (0: n_samples)", "一覧の列数 (0 で n_samples と同じ)"))
    add("--scale", type=float, metavar="X", help=tr(f"guidance; 1 is none ({scale})", f"ガイダンス。1 で無し (既定値 {scale})"))
    add(
        "--fixed_code",
        action="store_true",
        help=tr("start every iteration from the same noise", "毎回同じノイズから始める"),
    )
    add("--seed", type=int, metavar="N", default=42, help=tr("same seed, same pictures (42)", "同じシードなら同じ絵 (既定値 42)"))
    add(
        "--rng",
        choices=("cpu", "nv"),
        default="cpu",
        help=tr(
            "whose random numbers: cpu, or nv for those the scripts draw on an NVIDIA GPU",
            "乱数の種類: cpu、または元のスクリプトが NVIDIA の GPU で使う nv",
        ),
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--C", type=int, metavar="N", help=tr("latent channels (the model's: 4)", "潜在チャンネル数 (モデルの値: 4)"))
    add("--f", type=int, metavar="N", help=tr("pixels to a latent pixel (the model's: 8)", "潜在 1 画素あたりの画素数 (モデルの値: 8)"))
    add(
        "--ckpt",
        type=Path,
        metavar="FILE",
        help=tr(
            "checkpoint, or model folder (models/ldm/stable-diffusion-v1/model.ckpt)",
            "チェックポイントかモデルのフォルダー (既定値 models/ldm/stable-diffusion-v1/model.ckpt)",
        ),
    )
    add(
        "--config",
        type=Path,
        metavar="FILE",
        help=tr("its .yaml; found out from the checkpoint if left out", ".yaml 設定。省略するとチェックポイントから判断"),
    )
    named = tr(
        'folder of a safety checker, or "embedded" (the checkpoint\'s own, where it is a model folder)',
        "セーフティチェッカーのフォルダーか embedded (既定値: モデルのフォルダーに付属のもの)",
    )
    add("--safety-checker", metavar="FOLDER", help=named)
    add(
        "--precision",
        choices=("full", "autocast"),
        default="autocast",
        help=tr("full: float32; autocast: half on a GPU (autocast)", "full は float32、autocast は GPU で半精度 (既定値 autocast)"),
    )
    add("--device", metavar="NAME", default="auto", help=tr("cpu, cuda, ... (the fastest)", "cpu、cuda など (既定値 最速のもの)"))
    add("--bf16", action="store_true", help=tr("compute in bfloat16", "bfloat16 で計算"))
    add("--torchscript", action="store_true", help=tr("accepted; changes nothing here", "指定できますが何も変わりません"))
    add("--ipex", action="store_true", help=tr("accepted; changes nothing here", "指定できますが何も変わりません"))
