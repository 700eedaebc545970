"""`kakusan similarity`: how alike two texts or pictures are to a CLIP."""

from pathlib import Path

from ..errors import KakusanError
from ..messages import tr
from .parser import Arguments, Parser
from .progress import said_if_slow
from .table import print_json

NAME = "similarity"
HELP = ("how alike two texts or pictures are, from -1 to 1", "2 つのことばや画像がどれだけ似ているか (-1 から 1)")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")


def add_arguments(parser: Parser) -> None:
    """Two things, and who compares them."""
    add = parser.add_argument
    both = tr("a text, or a picture's file", "ことば、または画像ファイル")
    add("a", metavar="A", help=both)
    add("b", metavar="B", help=both)
    add(
        "--model",
        metavar="PATH",
        help=tr(
            "a CLIP: transformers' folder, OpenCLIP's file, a model folder with an image encoder (default: the one that comes along)",
            "CLIP。transformers のフォルダー、OpenCLIP のファイル、画像エンコーダー付きのモデル (既定値: 付属のもの)",
        ),
    )
    add("--device", metavar="NAME", default="cpu", help=tr("cpu, cuda, mps, ... (default: cpu)", "cpu, cuda, mps など (既定値: cpu)"))
    add("--json", action="store_true", help=tr("print one JSON object", "結果を JSON で出力"))


def run(args: Arguments) -> int:
    """Print the cosine between the two."""
    a, b = _thing(args.a), _thing(args.b)
    with said_if_slow(tr("loading the model ...", "モデルを読み込んでいます ..."), args.json):
        from ..likeness import judge
        from ..loading import check_device

        check_device(args.device)
        compared = judge(args.model, args.device)
    cosine = compared.similarity(a, b)
    if args.json:
        print_json({"a": args.a, "b": args.b, "model": compared.clip.name, "similarity": round(cosine, 6)})
    else:
        print(f"{cosine:.4f}")
    return 0


def _thing(word: str) -> str | Path:
    """The picture in a file of that name, else the text. Raises KakusanError on a picture that is not there."""
    path = Path(word)
    try:
        there = path.is_file()
    except (OSError, ValueError):  # longer than a name of a file may be
        return word
    if not there and path.suffix.lower() in PICTURES:
        raise KakusanError(f"{path}: no such picture; check the path", f"{path}: 画像がありません。パスを確かめてください")
    return path if there else word
