"""`kakusan tokens`: what a prompt is for the model, without drawing it: tokens, chunks, weights, and what changes when."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileError, KakusanError
from ..messages import tr
from . import options_wording
from .parser import Arguments, Parser
from .table import print_json, print_table

if TYPE_CHECKING:
    from ..prompts.chunks import Chunk
    from ..prompts.prompt import Part, Prompt
    from ..prompts.tokenizer import Tokenizer

NAME = "tokens"
HELP = ("show how a prompt is read: tokens, chunks, weights, changes", "プロンプトの読まれ方を見る: トークン、区切り、重み、切り替え")
EMBEDDED = Path(__file__).parent.parent / "embedded"
STEPS, SAMPLER = 20, "euler"


def add_arguments(parser: Parser) -> None:
    """A prompt, and what decides how it is read."""
    add = parser.add_argument
    add("words", nargs="+", metavar="PROMPT", help=tr("what to read", "読むもの"))
    add("--negative", action="store_true", help=tr("it is a negative prompt", "ネガティブプロンプトとして読む"))
    model = tr(
        "whose tokenizer: a model's folder or file (default: the one that comes along)", "どのモデルのトークンか (既定値: 付属のもの)"
    )
    add("--model", type=Path, default=EMBEDDED, metavar="PATH", help=model)
    add("--steps", type=int, default=STEPS, metavar="N", help=tr("steps it is drawn in (default: 20)", "描くステップ数 (既定値: 20)"))
    sampler = tr("by this sampler; some ask the network twice a step (default: euler)", "サンプラー。1 ステップに 2 回計算するものもある")
    add("--sampler", default=SAMPLER, metavar="NAME", help=sampler)
    options_wording.add_dialect(parser)
    add("--json", action="store_true", help=tr("print JSON", "JSON で出力"))


def run(args: Arguments) -> int:
    """Print the prompt in chunks, each with its words and their weights; then what is said when."""
    from ..prompts import read
    from ..samplers import named
    from ..tasks.wording import timeline

    if args.steps < 1:
        raise KakusanError(f"--steps is {args.steps}; it must be at least 1", f"--steps が {args.steps} です。1 以上にしてください")
    wording, tokenizer = options_wording.wording(args), _tokenizer(args.model)
    total = timeline(named(args.sampler), args.steps)
    text = " ".join(args.words)
    prompt = read(text, wording.dialect, total, old_timelines=wording.old_timelines, negative=args.negative)
    parts = [_part(part, tokenizer, args, total) for part in prompt.parts]
    if args.json:
        tags = [{"kind": tag.kind, "name": tag.name, "text": tag.text, "unet": tag.unet} for tag in prompt.loras]
        print_json({"dialect": wording.dialect, "room": tokenizer.room, "evaluations": total, "parts": parts, "tags": tags})
    else:
        _print(parts, prompt, tokenizer.room, total)
    return 0


def _part(part: "Part", tokenizer: "Tokenizer", args: Arguments, total: int) -> dict[str, Any]:
    from ..prompts.chunks import chunked, counted

    wording, room, start = options_wording.wording(args), tokenizer.room, 0
    stages = []
    for stage in part.stages:
        chunks = chunked(stage.pieces, tokenizer, (), wording.wrap, wording.moved)
        end = total - 1 if stage.until is None else min(stage.until, total - 1)
        if start <= end:
            tokens = sum(chunk.words for chunk in chunks)
            said = [_chunk(chunk, tokenizer) for chunk in chunks]
            stages.append({"first": start + 1, "last": end + 1, "tokens": tokens, "counted": counted(chunks, room), "chunks": said})
            start = end + 1
    return {"weight": part.weight, "stages": stages}


def _chunk(chunk: "Chunk", tokenizer: "Tokenizer") -> dict[str, Any]:
    from ..prompts.chunks import fragments

    words = [
        {"text": tokenizer.decode([token.id for token in tokens]), "weight": round(tokens[0].weight, 6), "tokens": len(tokens)}
        for _, tokens in fragments(chunk)
    ]
    return {"tokens": chunk.words, "words": words}


def _print(parts: Sequence[dict[str, Any]], prompt: "Prompt", room: int, total: int) -> None:
    for number, part in enumerate(parts, 1):
        if len(parts) > 1:
            print(
                tr(f"part {number} of {len(parts)}, weight {part['weight']:g}", f"{len(parts)} 個中 {number} 個目、重み {part['weight']:g}")
            )
        for stage in part["stages"]:
            if len(part["stages"]) > 1:
                first, last = stage["first"], stage["last"]
                print(tr(f"evaluations {first} to {last} of {total}:", f"{total} 回の計算のうち {first} から {last} 回目:"))
            count, several = stage["tokens"], len(stage["chunks"])
            en = f"{count} tokens in {several} chunk{'s' * (several != 1)} of {room}"
            print(tr(en, f"{count} トークン、{room} トークンの区切り {several} 個"))
            print_table(list(_rows(stage["chunks"])))
    for tag in prompt.loras:
        print(f"<{tag.kind}:{tag.name}>  {tag.text:g} {tag.unet:g}")


def _rows(chunks: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for number, chunk in enumerate(chunks, 1):
        words = chunk["words"] or [{"weight": 1.0, "text": tr("(nothing)", "(なし)")}]
        for i, word in enumerate(words):
            label = tr(f"chunk {number}: {chunk['tokens']}", f"区切り {number}: {chunk['tokens']}")
            yield ("" if i else label, f"{word['weight']:.3f}", word["text"])


def _tokenizer(model: Path) -> "Tokenizer":
    """The tokenizer of a model's folder, or CLIP's, which single files have. Raises FileError if there is no such model."""
    from ..prompts.sentencepieces import NAMES, SentencePieces  # not through `formats`, which would import torch
    from ..prompts.tokenizer import Tokenizer

    for folder in (model / "tokenizer", model):
        if any((folder / name).exists() for name in NAMES.values()):
            return SentencePieces.from_folder(folder)
        if (folder / "vocab.json").exists() or (folder / "tokenizer.json").exists():
            return Tokenizer.from_folder(folder)
    if not model.is_file():
        raise FileError(f"{model}: no tokenizer there; give a model's folder or file", f"{model}: トークナイザーがありません")
    return Tokenizer.clip()
