"""`kakusan mask`: a mask of what words name in a picture, to look at, to edit and to paint with."""

import sys
from pathlib import Path

from ..images import check_writable
from ..messages import tr
from .options_mask_text import grow_help, save, threshold_help
from .parser import Arguments, Parser
from .progress import progress, said_if_slow
from .table import print_json

NAME = "mask"
HELP = ("make a mask of what words name in a picture", "画像の中で言葉が指すもののマスクを作る")


def add_arguments(parser: Parser) -> None:
    """The picture, the words, and how much the mask shall take."""
    add = parser.add_argument
    add("image", metavar="IMAGE", type=Path, help=tr("the picture", "画像"))
    add("words", metavar="WORDS", nargs="+", help=tr('what to look for in it: "the cat"', "探すもの。例: 「猫」"))
    add("--threshold", type=float, metavar="X", default=0.5, help=threshold_help())
    add("--grow", type=int, metavar="N", default=0, help=grow_help())
    add("--seed", type=int, metavar="N", default=0, help=tr("of the noise it looks through", "画像を見るときに重ねるノイズのシード"))
    model = tr("a model folder or file (default: the one that comes along)", "モデルのフォルダーかファイル (既定値: 付属のもの)")
    add("--model", metavar="MODEL", help=model)
    add("--device", metavar="NAME", default="auto", help=tr("cpu, cuda, mps, ... (default: the fastest)", "cpu, cuda, mps など"))
    outdir = tr("where to save (default: outputs)", "保存先 (既定値: outputs)")
    add("--outdir", metavar="FOLDER", type=Path, default=Path("outputs"), help=outdir)
    add("--json", action="store_true", help=tr("print one JSON object", "結果を JSON で出力"))
    add("-q", "--quiet", action="store_true", help=tr("print only the names of files", "ファイル名だけを出力"))


def run(args: Arguments) -> int:
    """Save the mask and a preview of it, and print their names."""
    check_writable(args.outdir)
    from ..tasks.fitting import opened

    picture, words = opened(args.image), " ".join(args.words)
    with said_if_slow(tr("loading the model ...", "モデルを読み込んでいます ..."), args.quiet):
        from ..loading import load
        from ..masks import proposed

        pipe = load(args.model, device=args.device)
    with progress(1, args.quiet) as show:
        mask = proposed(pipe, picture, words, threshold=args.threshold, grow=args.grow, seed=args.seed, on_step=show)
    paths = save(mask, args.image, args.outdir)
    share = sum(mask.histogram()[128:]) / (mask.width * mask.height)
    unknown = pipe.words_unknown(words)
    if args.json:
        print_json({"mask": str(paths[0]), "preview": str(paths[1]), "share": round(share, 4), "unknown": unknown})
        return 0
    print(*paths, sep="\n", flush=True)
    if not args.quiet:
        if unknown:
            names = ", ".join(unknown)
            print(tr(f"note: this model does not know: {names}", f"注意: このモデルが知らない言葉: {names}"), file=sys.stderr)
        print(
            tr(
                f"{share:.0%} of the picture; look at the preview, edit the mask",
                f"画像の {share:.0%}。プレビューで確かめ、マスクは手直しできます",
            ),
            file=sys.stderr,
        )
    return 0
