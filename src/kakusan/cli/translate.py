"""`kakusan translate`: a Japanese prompt in English, as it would be drawn."""

from ..messages import tr
from .parser import Arguments, Parser
from .table import print_json

NAME = "translate"
HELP = ("a Japanese prompt in English, as other models are given it", "日本語のプロンプトを英語に (ほかのモデルに渡す形で)")


def add_arguments(parser: Parser) -> None:
    """Texts, and who translates."""
    add = parser.add_argument
    add("texts", nargs="+", metavar="PROMPT", help=tr("prompts", "プロンプト"))
    how = tr("lexicon (default), marian or marian:FOLDER", "lexicon (既定値), marian, marian:フォルダー")
    add("--by", metavar="HOW", default="lexicon", help=how)
    add("--json", action="store_true", help=tr("print JSON: one object, or a list of them", "結果を JSON で出力"))


def run(args: Arguments) -> int:
    """Print the English, a line for each prompt, and what was not known."""
    import sys

    from ..prompts.japanese import translate
    from ..prompts.japanese.translators import translator

    by = translator(args.by)
    told = []
    for text in args.texts:
        english, unknown = by.function(text)
        pieces = translate(text).pieces if args.by == "lexicon" else ()
        said = [{"text": piece.text, "english": piece.english, "kind": piece.kind} for piece in pieces]
        told.append({"text": text, "english": english, "unknown": list(unknown), "pieces": said})
        if not args.json:
            print(english)
            if unknown:
                words = ", ".join(unknown)
                print(tr(f"note: without a translation: {words}", f"注意: 訳せなかった言葉: {words}"), file=sys.stderr)
    if args.json:
        print_json(told[0] if len(told) == 1 else told)
    return 0
