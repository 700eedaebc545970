"""Options for files beside the model: LoRAs and learnt words."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import KakusanError
from ..messages import tr
from .parser import Arguments, Parser

if TYPE_CHECKING:
    from ..pipeline import Pipeline
    from ..tasks.learnt import Learnt, Use

STRENGTH = r"[+-]?(?:\d+\.?\d*|\.\d+)"
LORA = re.compile(rf"(.+?)(?::({STRENGTH}))?(?::({STRENGTH}))?")


def add_arguments(parser: Parser) -> None:
    """LoRAs with their strengths, learnt words, and the folders in which both are looked for by name."""
    add = parser.add_argument
    lora = tr(
        "a LoRA: a file, or a name in --lora-folder; strength (default 1), and that in the text encoder; several times",
        "LoRA のファイル、または --lora-folder にある名前。強さ (既定値 1) とテキストエンコーダーでの強さ。複数指定可",
    )
    add("--lora", action="append", metavar="FILE[:X[:X]]", help=lora)
    folder = tr("where <lora:name:0.8> in a prompt is looked for (default: loras)", "<lora:名前:0.8> を探すフォルダー (既定値: loras)")
    add("--lora-folder", type=Path, metavar="FOLDER", default=Path("loras"), help=folder)
    word = tr(
        "a word learnt by textual inversion, for prompts: its file; several times",
        "Textual Inversion のファイル。その名前をプロンプトで使えます。複数指定可",
    )
    add("--embedding", action="append", metavar="FILE", help=word)
    words = tr("where learnt words in a prompt are looked for (default: embeddings)", "その語を探すフォルダー (既定値: embeddings)")
    add("--embedding-folder", type=Path, metavar="FOLDER", default=Path("embeddings"), help=words)


def prepare(pipe: "Pipeline", args: Arguments) -> None:
    """Load what the options name. Raises FileError on files that cannot be used, KakusanError on names that are not there."""
    pipe.loras.folder, pipe.embeddings.folder = args.lora_folder, args.embedding_folder
    for text in args.lora or []:
        file, _ = _read(text)
        if _is_file(file):
            pipe.load_lora(file)
    for file in args.embedding or []:
        pipe.load_embedding(file)


def given(args: Arguments) -> "dict[str, Learnt | None]":
    """What the options say of recipes. Raises KakusanError on strengths beyond any sense."""
    from ..tasks.learnt import Learnt

    return {"learnt": Learnt(tuple(_read(text)[1] for text in args.lora)) if args.lora else None}


def _read(text: str) -> "tuple[str, Use]":
    """The file or name that --lora gives, and how it is used."""
    from ..formats.loras import called
    from ..tasks.learnt import Use

    found = LORA.fullmatch(text)
    if found is None:
        raise KakusanError("--lora is empty; write FILE, FILE:0.8 or FILE:0.8:0.5", "--lora が空です。例: ファイル:0.8")
    unet = float(found[2] or 1)
    name = called(None, Path(found[1])) if _is_file(found[1]) else found[1]
    return found[1], Use(name, unet, unet if found[3] is None else float(found[3]))


def _is_file(name: str) -> bool:
    """Whether it is a file, or must have been meant as one: then the error about it tells of a file."""
    from ..formats.lora import ENDINGS

    return Path(name).exists() or "/" in name or Path(name).suffix in ENDINGS
