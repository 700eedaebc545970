"""`kakusan again`: a picture drawn again from what its file tells, whichever program made it."""

import time
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import KakusanError
from ..images import check_writable
from ..messages import tr
from ..prompts.requests import Request
from . import draw, options_editing, options_lora, options_safety
from .parser import Arguments, Parser
from .progress import said_if_slow

if TYPE_CHECKING:
    from ..memory.reading import Memory
    from ..memory.record import Inputs
    from ..pipeline import Pipeline
    from ..tasks.recipe import Recipe

NAME = "again"
HELP = ("draw a picture again from what its file tells, or draw it otherwise", "画像に残る生成情報から同じ絵を描き直す")
NOT_ASKED = frozenset({"prompt", "seed", "width", "height", "model", "model_hash", "version", "mode", "safety", "watermark"})
"""Fields of a recipe that are no options of a call, or stand elsewhere in it."""
OF_A_PICTURE = frozenset({"strength", "fill", "rule", "noise_level", "area"})


def add_arguments(parser: Parser) -> None:
    """The picture, and every option of `kakusan draw`; what is left out is as it was."""
    add = parser.add_argument
    add("picture", metavar="PICTURE", type=Path, help=tr("a PNG, JPEG or WebP file", "画像 (PNG、JPEG、WebP)"))
    add("words", nargs="*", metavar="PROMPT", help=tr("draw this instead", "代わりに描くもの"))
    models = tr("where to look for its model, by its hash", "モデルをハッシュで探すフォルダー")
    add("--models", metavar="FOLDER", type=Path, help=models)
    draw.add_options(parser)


def run(args: Arguments) -> int:
    """Draw it, save it, and tell what could not be honoured."""
    start = time.monotonic()
    check_writable(args.outdir)
    with said_if_slow(tr("looking ...", "調べています ..."), args.quiet):
        from ..memory.reading import remembered
        from ..prompts.japanese.translators import OFF

        memory = remembered(args.picture)
        recipe = told(memory, args.picture)
        usual = _usual()
        options = overridden(recipe, draw.given(args), draw.given(usual), args.image is not None)
        prompt = recipe.prompt
        if args.words or args.prompt is not None:
            prompt = draw.prompt(args)
            options.pop("translated")  # told of the words before
        elif not args.negative:
            options.setdefault("translator", OFF)  # the words are those that were drawn, in whatever language
        _fill(args, usual, memory, recipe)
        options["resize"] = args.resize or "crop"
        model, notes = model_of(memory, args)
    with said_if_slow(tr("loading the model ...", "モデルを読み込んでいます ..."), args.quiet):
        from ..loading import load

        pipe = load(model, device=args.device, **options_safety.loading(args))
        options_lora.prepare(pipe, args)
    _hide(pipe, recipe, args)
    return draw.drawn(pipe, [Request(prompt)], args, options, [*memory.notes, *notes, *_differences(memory, pipe)], start)


def told(memory: "Memory", picture: Path) -> "Recipe":
    """The recipe of a picture. Raises KakusanError if there is none."""
    if memory.recipe is None:
        why = f" ({'; '.join(memory.notes)})" if memory.notes else ""
        raise KakusanError(
            f"{picture}: does not say how it was made, so it cannot be drawn again{why}",
            f"{picture}: 生成情報がないので描き直せません{why}",
        )
    return memory.recipe


def overridden(recipe: "Recipe", given: dict[str, Any], usual: dict[str, Any], from_picture: bool) -> dict[str, Any]:
    """The options of a call: the recipe's fields, and over them what was given on the command line, field by field within groups.

    given, usual: what the options say, and what they would say if none were given. from_picture: a picture to begin with was given.
    """
    options = {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name not in NOT_ASKED}
    if from_picture and recipe.mode == "txt2img":
        options = {name: value for name, value in options.items() if name not in OF_A_PICTURE} | {"area": usual["area"]}
    options["large"] = replace(recipe.large, upscale=0, upscaler="")
    for name, value in given.items():
        if value != usual.get(name):
            options[name] = _merged(options.get(name), value, usual.get(name))
    return options


def _merged(was: object, value: object, usual: object) -> object:
    """A group of options: as it was, but for what was given."""
    if type(was) is not type(value) or not is_dataclass(value) or isinstance(value, type) or type(usual) is not type(value):
        return value
    given = {f.name: getattr(value, f.name) for f in fields(value) if getattr(value, f.name) != getattr(usual, f.name)}
    return replace(was, **given)  # type: ignore[type-var]


def _usual() -> Arguments:
    """The arguments of a command line without options."""
    parser = Parser(prog="kakusan again")
    add_arguments(parser)
    return parser.parse(["picture"])


def _fill(args: Arguments, usual: Arguments, memory: "Memory", recipe: "Recipe") -> None:
    """What `kakusan draw` takes from its arguments rather than from a recipe, as it was for this picture."""
    inputs = memory.record.inputs if memory.record else None
    if args.image is None and recipe.mode != "txt2img":
        raise _needs(recipe, inputs)
    args.seed = recipe.seed if args.seed is None else args.seed
    asked = (inputs.width or None, inputs.height or None) if inputs and recipe.mode != "txt2img" else (recipe.width, recipe.height)
    if args.width is None and args.height is None and recipe.mode != "upscale" and not (recipe.mode == "txt2img" and args.image):
        args.width, args.height = asked
    if args.resize is None and inputs is not None:
        args.resize = inputs.resize
    if memory.program == "kakusan" and args.watermark == usual.watermark:
        args.watermark = recipe.watermark or "off"
    if args.upscale is None and recipe.large.upscale:
        args.upscale, args.upscale_method = recipe.large.upscale, args.upscale_method or recipe.large.upscaler


def _needs(recipe: "Recipe", inputs: "Inputs | None") -> KakusanError:
    """What to say where a picture was made of another one that is not at hand."""
    image = inputs.image if inputs else None
    which = f" ({image.width}x{image.height}, {image.sha256[:10]})" if image else ""
    mask = recipe.mode == "inpaint"
    return KakusanError(
        f"drawn from a picture{which}; give it with --image" + (", and its mask with --mask" if mask else ""),
        f"元の画像{which} から描かれています。--image で渡してください" + ("。マスクは --mask で渡します" if mask else ""),
    )


def model_of(memory: "Memory", args: Arguments) -> tuple[str | Path | None, list[str]]:
    """The model to draw with: the one named, else the one found by its hash; and what to tell of it. None is the embedded model.

    Raises KakusanError if there is none.
    """
    from ..evaluation.again import embedded_model, input_notes
    from ..memory.models import find, matches

    notes = input_notes(memory, args.image, args.mask, args.depth)
    recipe = memory.recipe
    if args.model is not None:
        path = Path(args.model)
        if path.exists() and matches(memory, path) is False:
            was = recipe and (recipe.model_hash or recipe.model)
            notes.append(tr(f"another model than the one it was drawn with ({was})", f"元のモデル ({was}) とは別のモデルです"))
        return args.model, notes
    if (ours := embedded_model(memory)) is not None:
        return ours or options_editing.model(args), notes
    found = find(memory, (), args.models)
    if found is None:
        name = " ".join(part for part in (recipe and recipe.model, recipe and recipe.model_hash) if part) or "?"
        raise KakusanError(
            f"drawn with the model {name}, which is not here; name it with --model, or a folder of models with --models",
            f"モデル {name} で描かれていますが見つかりません。--model でモデルを、または --models でフォルダーを指定してください",
        )
    if found.exact is False:
        notes.append(tr(f"{found.path}: of the same name, but another hash", f"{found.path}: 名前は同じですがハッシュが違います"))
    return found.path, notes


def _hide(pipe: "Pipeline", recipe: "Recipe", args: Arguments) -> None:
    """What a safety checker hid is hidden again, unless something else is asked for."""
    if args.safety is None and args.safety_checker is None and recipe.safety:
        pipe.checker, pipe.safety = (lambda pictures: [True] * len(pictures)), recipe.safety  # type: ignore[assignment]


def _differences(memory: "Memory", pipe: "Pipeline") -> list[str]:
    """What can change the last bits of a picture: another torch, another device."""
    if memory.record is None:
        return []
    from ..memory.record import made

    was, now = memory.record.made, made(str(pipe.device), str(pipe.dtype))
    parts = [(getattr(was, name), getattr(now, name)) for name in ("torch", "device", "dtype", "cpu")]
    there, here = (", ".join(pair[i] for pair in parts if pair[0] != pair[1]) for i in (0, 1))
    text = tr(
        f"drawn on {there}; here {here}: the last bits may differ", f"{there} で描かれました。ここは {here}。わずかに違う場合があります"
    )
    return [text] if there and any(pair[0] != pair[1] for pair in parts[:3]) else []
