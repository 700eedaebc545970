"""Command-line arguments, explained in English or Japanese: argparse with its own words translated."""

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import NoReturn
from unicodedata import east_asian_width

from ..errors import KakusanError
from ..messages import LANGUAGES, language, tr

Arguments = argparse.Namespace

JAPANESE = (
    (r"the following arguments are required: (.*)", r"\1 を指定してください"),
    (r"one of the arguments (.*) is required", r"\1 のどれかを指定してください"),
    (r"unrecognized arguments: (.*)", r"知らない引数です: \1"),
    (r"ambiguous option: (.*) could match (.*)", r"\1 はあいまいです: \2"),
    (r"argument (.*?): expected one argument", r"\1 には値が 1 つ必要です"),
    (r"argument (.*?): expected (?:at least one|\d+) arguments?", r"\1 の値の数が違います"),
    (r"argument (.*?): not allowed with argument (.*)", r"\1 と \2 は同時に使えません"),
    (r"argument (.*?): ignored explicit argument (.*)", r"\1 に値 \2 は付けられません"),
    (r"argument (.*?): invalid int value: (.*)", r"\1 は整数で指定してください: \2"),
    (r"argument (.*?): invalid float value: (.*)", r"\1 は数で指定してください: \2"),
    (r"argument (.*?): invalid choice: (.*?) \(choose from (.*)\)", r"\1 に \2 は使えません (\3 から選択)"),
    (r"argument (.*?): invalid .*? value: (.*)", r"\1 の値が正しくありません: \2"),
)
"""argparse's complaints, and how they are said in Japanese."""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help whose lines are broken by what they take up on the screen, where a Japanese character is two columns wide."""

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: "Iterable[argparse._MutuallyExclusiveGroup]",
        prefix: str | None = None,
    ) -> None:
        """The first line of the help, which begins in the language in force."""
        super().add_usage(usage, actions, groups, tr("usage: ", "使い方: ") if prefix is None else prefix)

    def _split_lines(self, text: str, width: int) -> list[str]:
        if language() != "ja":
            return super()._split_lines(text, width)
        lines, room = [""], width
        for character in text:
            columns = 2 if east_asian_width(character) in "FW" else 1
            if columns > room:
                lines.append("")
                room = width
            lines[-1] += character
            room -= columns
        return lines


class Parser(argparse.ArgumentParser):
    """A parser that raises its complaints as KakusanError, knows --lang, and never guesses at abbreviated options."""

    def __init__(self, prog: str, usage: str | None = None, description: str | None = None, epilog: str | None = None):
        super().__init__(prog, usage, description, epilog, formatter_class=Formatter, add_help=False, allow_abbrev=False)
        self._positionals.title = tr("arguments", "引数")
        self._optionals.title = tr("options", "オプション")
        self.add_argument("-h", "--help", action="help", help=tr("show this help", "この説明を表示"))
        self.add_argument(
            "--lang",
            choices=LANGUAGES,
            metavar="LANG",
            help=tr("language of all messages, en or ja (default: from LANG)", "表示の言語、en か ja (既定値: 環境変数 LANG)"),
        )

    def parse(self, words: Sequence[str]) -> Arguments:
        """The arguments in `words`. Raises KakusanError on any that are wrong, naming the option that was perhaps meant."""
        args, unknown = self.parse_known_args(words)
        if unknown:
            near = self._near(unknown[0])
            meant_en, meant_ja = (f"; did you mean {near}?", f"。{near} ではありませんか") if near else ("", "")
            what = " ".join(unknown)
            raise KakusanError(f"unrecognized arguments: {what}{meant_en}", f"知らない引数です: {what}{meant_ja}")
        return args

    def error(self, message: str) -> NoReturn:
        """Raise a complaint of argparse's in both languages."""
        for english, japanese in JAPANESE:
            if found := re.fullmatch(english, message, re.DOTALL):
                raise KakusanError(message, found.expand(japanese))
        raise KakusanError(message, message)

    def _near(self, word: str) -> str | None:
        from difflib import get_close_matches

        return next(iter(get_close_matches(word.partition("=")[0], self._option_string_actions, 1, 0.6)), None)
