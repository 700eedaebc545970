"""Options for prompts in Japanese."""

from ..messages import tr
from .parser import Arguments, Parser


def add_arguments(parser: Parser) -> None:
    """Who translates, or the English itself."""
    add = parser.add_argument
    how = tr(
        "who puts Japanese into English: lexicon, off, marian, marian:FOLDER (default: lexicon, for models that know no Japanese)",
        "日本語を英語にする方法: lexicon, off, marian, marian:フォルダー (既定値: 日本語を知らないモデルでは lexicon)",
    )
    add("--translate", metavar="HOW", help=how)
    english = tr(
        "the prompt's English, instead of a translation; the Japanese is kept beside it", "翻訳の代わりに使う英語。元の日本語も記録します"
    )
    add("--english", metavar="TEXT", help=english)


def given(args: Arguments) -> dict[str, object]:
    """What the options say, by the name that `Pipeline.recipes` knows. Raises KakusanError on an unknown translator."""
    from ..errors import KakusanError
    from ..prompts.japanese.translators import by_hand, translator

    if args.english is None:
        return {} if args.translate is None else {"translator": translator(args.translate)}
    prompt = " ".join(getattr(args, "words", [])) or args.prompt
    if args.translate is not None or not prompt:
        raise KakusanError(
            "--english is for one prompt, and takes the place of --translate; leave one out",
            "--english は 1 つのプロンプト用で、--translate の代わりです。片方を外してください",
        )
    return {"translator": by_hand(args.english, prompt)}
