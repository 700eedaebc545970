"""`kakusan info`: what is in a model or a file of weights, or how a picture was made."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..messages import tr
from .parser import Arguments, Parser
from .table import print_json, print_table

if TYPE_CHECKING:
    from torch.nn import Module

    from ..formats.model import Model
    from ..memory.reading import Memory

NAME = "info"
HELP = ("tell what is in a model, or how a picture was made", "モデルの中身、または画像の作り方を表示")
PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})


def add_arguments(parser: Parser) -> None:
    """What to look at, and how to print."""
    what = tr(
        "a model folder, a checkpoint or a picture (default: the model that comes along)",
        "モデルのフォルダー、チェックポイント、画像のどれか (既定値: 付属のモデル)",
    )
    parser.add_argument("path", nargs="?", metavar="PATH", type=Path, help=what)
    parser.add_argument("--config", metavar="YAML", type=Path, help=tr("a checkpoint's original .yaml", "チェックポイントの元の .yaml"))
    probe = tr("find out what a checkpoint predicts by evaluating it once", "チェックポイントが何を予測するかを 1 回の計算で調べる")
    parser.add_argument("--probe", action="store_true", help=probe)
    parser.add_argument("--json", action="store_true", help=tr("print JSON", "JSON で出力"))


def run(args: Arguments) -> int:
    """Print a picture's parameters, what a file of weights is, or a model's networks, schedule, defaults and card."""
    if args.path is None or args.path.is_dir():
        return _model(args.path, args.json)
    if _is_picture(args.path):
        return _picture(args.path, args.json)
    from .weights import tell

    return tell(args)


def _is_picture(path: Path) -> bool:
    """By how it begins, or by its name."""
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        start = b""
    return start.startswith(PICTURES) or start[8:] == b"WEBP" or path.suffix.lower() in PICTURE_SUFFIXES


def _picture(path: Path, as_json: bool) -> int:
    from ..memory.reading import remembered

    memory = remembered(path)
    recipe, record = memory.recipe, memory.record
    if as_json:
        facts: dict[str, Any] = {"parameters": memory.parameters, "recipe": recipe and asdict(recipe)}
        facts |= {"program": memory.program or None, "profile": memory.profile or None, "notes": list(memory.notes)}
        print_json(facts | {"record": record and json.loads(record.text()), "texts": sorted(memory.extra)})
        return 0
    text = memory.parameters or (recipe.parameters() if recipe else "")
    print(text or tr("This picture does not say how it was made.", "この画像には生成情報がありません。"))
    rows = _remembered(memory)
    if rows:
        print()
        print_table(rows)
    return 0


def _remembered(memory: "Memory") -> list[tuple[str, str]]:
    """What a picture's file tells besides the text: who made it, with what, of what, and what of it kakusan cannot do."""
    rows = []
    if memory.program and memory.program != "kakusan":
        rows.append((tr("program", "プログラム"), memory.program))
    if memory.recipe and memory.recipe.model and memory.program != "kakusan":
        rows.append((tr("model", "モデル"), f"{memory.recipe.model} {memory.recipe.model_hash}".strip()))
    if memory.record is not None:
        made, inputs = memory.record.made, memory.record.inputs
        rows.append((tr("made with", "作成環境"), f"kakusan {made.kakusan}, torch {made.torch}, {made.device} {made.dtype}, {made.cpu}"))
        rows += [(tr("weights", "重み"), f"{name} {digest}") for name, digest in memory.record.model.items()]
        named = ((tr("picture", "元の画像"), inputs.image), (tr("mask", "マスク"), inputs.mask), (tr("depth", "奥行き"), inputs.depth))
        rows += [(name, f"{one.width}x{one.height}, {one.sha256}") for name, one in named if one is not None]
    return rows + [(tr("note", "注意"), note) for note in memory.notes]


def _model(path: Path | None, as_json: bool) -> int:
    from ..formats.folder import PARTS, read_folder
    from ..formats.summary import words
    from ..loading import EMBEDDED
    from ..pipeline import Pipeline

    model = read_folder(path or EMBEDDED)
    sizes = {name: _size(network) for name in PARTS if (network := getattr(model, name)) is not None}
    drawing = Pipeline(model).defaults
    schedule = model.schedule
    told = words(model.family, model.variant, schedule.prediction)
    if as_json:
        figures = {name: {"parameters": count, "stored_as": dtype} for name, (count, dtype) in sizes.items()}
        defaults = {name: getattr(drawing, name) for name in ("width", "height", "steps", "sampler", "schedule", "scale")}
        plain = {"name": model.name, "networks": figures, "schedule": asdict(schedule), "defaults": defaults, "card": model.card}
        print_json({**plain, **_as_of_files(path or EMBEDDED, model, sizes)})
        return 0
    print(f"{model.name}\n")
    rows = [(tr("network", "ネットワーク"), tr("parameters", "パラメーター数"), tr("stored as", "保存形式"))]
    print_table(rows + [(name, f"{count:,}", dtype) for name, (count, dtype) in sizes.items()])
    noise = f"{schedule.kind} {schedule.beta_start:g} - {schedule.beta_end:g}, {schedule.steps}, {schedule.prediction}"
    usual = f"{drawing.width} x {drawing.height}, {drawing.steps} steps, {drawing.sampler}, {drawing.schedule}, scale {drawing.scale:g}"
    print()
    print_table([(tr("family", "系統"), told), (tr("noise", "ノイズ"), noise), (tr("usually", "既定値"), usual)])
    if model.card:
        print(f"\n{_without_front_matter(model.card).strip()}")
    return 0


def _as_of_files(path: Path, model: "Model", sizes: dict[str, tuple[int, str]]) -> dict[str, Any]:
    """The same facts under the names that they have for a file of weights."""
    from ..formats.hashes import folder_hash
    from ..formats.summary import MODEL

    return {
        "format": "folder",
        "kind": MODEL[0],
        "family": model.family,
        "variant": model.variant,
        "prediction": model.schedule.prediction.replace("_", "-"),
        "dtype": {name: dtype for name, (_, dtype) in sizes.items()},
        "parameters": {name: count for name, (count, _) in sizes.items()},
        "ema": "none",
        "sha256": None,
        "short_hash": folder_hash(path / "unet"),
        "metadata": {},
        "tensors": sum(len(getattr(model, name).state_dict()) for name in sizes),
        "extra": [],
    }


def _size(network: "Module") -> tuple[int, str]:
    """How many numbers, and of which types."""
    weights = list(network.parameters())
    return sum(w.numel() for w in weights), ", ".join(sorted({str(w.dtype).removeprefix("torch.") for w in weights}))


def _without_front_matter(card: str) -> str:
    """A model card without the block of settings between two lines of dashes that model hubs read."""
    return card.split("\n---\n", 1)[-1] if card.startswith("---\n") else card
