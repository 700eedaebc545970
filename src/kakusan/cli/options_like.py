"""Options for drawing as other programs draw."""

from collections.abc import Mapping

from ..messages import tr
from .parser import Arguments, Parser

NAMES = ("a1111", "comfyui", "invokeai", "diffusers", "compvis")


def add_arguments(parser: Parser) -> None:
    """Whose noise and levels, and what may be different about them."""
    add = parser.add_argument
    like = tr(
        "noise, levels and steps as another program has them: see kakusan profiles",
        "乱数やステップを他のプログラムに合わせる: kakusan profiles",
    )
    add("--like", choices=NAMES, metavar="NAME", help=like)
    rng = tr("where that program drew its noise: cpu or cuda", "そのプログラムがノイズを引いた場所: cpu か cuda")
    add("--rng", type=str.lower, choices=("cpu", "cuda", "nv", "gpu"), metavar="WHERE", help=rng)
    ensd = tr("added to the seed for a sampler's own noise (A1111's ENSD)", "サンプラーが加えるノイズのシードへの加算 (A1111 の ENSD)")
    add("--ensd", type=int, metavar="N", help=ensd)
    eta = tr("how much noise a sampler adds at every step, if it has an eta", "サンプラーが毎ステップ加えるノイズの量 (eta があるもの)")
    add("--eta", type=float, metavar="X", help=eta)
    discard = tr("leave out the last noise level before 0", "0 の直前のノイズ水準を省く")
    add("--discard-penultimate", action="store_true", help=discard)


def given(args: Arguments, others: Mapping[str, object]) -> dict[str, object]:
    """What the options say, by the names of a recipe's fields. others: what other options say, of which the dialect may be the program's.

    Raises KakusanError on what cannot be.
    """
    from ..tasks.like import asked, worded
    from ..tasks.wording import Wording

    like = asked(args.like, args.rng, args.ensd, args.eta, args.discard_penultimate)
    wording = others.get("wording")
    told = isinstance(wording, Wording) and getattr(args, "dialect", None) is None
    return ({} if like is None else {"like": like}) | ({"wording": worded(like, wording)} if told and isinstance(wording, Wording) else {})
