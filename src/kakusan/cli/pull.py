"""`kakusan pull`: fetch a model from a hub, by its id, into the cache that other programs share."""

import os
import shutil
import sys
from pathlib import Path

from ..errors import FileError
from ..messages import tr
from .parser import Arguments, Parser

NAME = "pull"
HELP = ("fetch a model from a hub", "モデルをハブから取得")


def add_arguments(parser: Parser) -> None:
    """Which model, and which of its files."""
    what = tr("ORG/NAME on the hub, or ORG/NAME/FILE for a single file", "ハブの ORG/NAME。単一ファイルなら ORG/NAME/FILE")
    parser.add_argument("id", metavar="ID", help=what)
    parser.add_argument(
        "--revision", metavar="R", help=tr("a branch, tag or commit (default: main)", "ブランチ、タグ、コミット (既定値: main)")
    )
    parser.add_argument("--variant", metavar="V", help=tr("weights of this variant, such as fp16", "重みのバリアント (fp16 など)"))
    parser.add_argument("--file", metavar="FILE", help=tr("a single file of the repository", "リポジトリ内の単一ファイル"))
    parser.add_argument(
        "--token",
        metavar="T",
        help=tr(
            "access token (default: HF_TOKEN, or the one you logged in with)", "アクセストークン (既定値: HF_TOKEN かログイン時のもの)"
        ),
    )
    parser.add_argument("--outdir", metavar="DIR", type=Path, help=tr("also copy it to this new folder", "この新しいフォルダーにもコピー"))
    parser.add_argument("--yes", action="store_true", help=tr("agree to the licence without being asked", "ライセンスの確認を省略して同意"))
    parser.add_argument("--quiet", action="store_true", help=tr("show no progress", "進み具合を表示しない"))


def run(args: Arguments) -> int:
    """Fetch it, and print where it lies."""
    from ..formats.hub import snapshot

    asks = sys.stdin.isatty() and sys.stderr.isatty() and not args.yes
    if args.outdir is not None:
        _check_free(args.outdir)
    found = snapshot(args.id, args.revision, args.token, args.variant, file=args.file, agree=_agrees if asks else None, quiet=args.quiet)
    print(found if args.outdir is None else _copied(found, args.outdir))
    return 0


def _agrees(terms: object) -> bool:
    print(terms, file=sys.stderr)
    print(tr("Agree? [y/N] ", "同意しますか? [y/N] "), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes", "はい")


def _check_free(outdir: Path) -> None:
    if outdir.exists() and not (outdir.is_dir() and not any(outdir.iterdir())):
        raise FileError(
            f"{outdir}: already there; remove it or give another name", f"{outdir}: すでにあります。削除するか別の名前にしてください"
        )


def _copied(found: Path, outdir: Path) -> Path:
    """A copy that depends on no cache, whole or not at all."""
    part = outdir.with_name(f".{outdir.name}.{os.getpid()}.part")
    try:
        if found.is_dir():
            shutil.copytree(found, part)
        else:
            part.mkdir(parents=True)
            shutil.copy2(found, part)
        part.rename(outdir)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"{outdir}: cannot be written ({reason})", f"{outdir}: 書き込めません ({reason})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return outdir if found.is_dir() else outdir / found.name
