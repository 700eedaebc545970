"""The command `kakusan`. Each command is one module; none imports torch, numpy or PIL before it runs."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from typing import Protocol, cast

from ..errors import KakusanError
from ..messages import LANGUAGES, speak, tr
from .parser import Arguments, Parser
from .txt2img import is_drawing

COMMANDS = (
    "kakusan.cli.draw",
    "kakusan.cli.txt2img",
    "kakusan.cli.img2img",
    "kakusan.cli.again",
    "kakusan.cli.upscale",
    "kakusan.cli.mask",
    "kakusan.cli.translate",
    "kakusan.cli.similarity",
    "kakusan.cli.xyz",
    "kakusan.cli.sweep",
    "kakusan.cli.morph",
    "kakusan.cli.fork",
    "kakusan.cli.tokens",
    "kakusan.cli.samplers",
    "kakusan.cli.schedules",
    "kakusan.cli.profiles",
    "kakusan.cli.info",
    "kakusan.cli.verify",
    "kakusan.cli.sign",
    "kakusan.cli.pull",
    "kakusan.cli.convert",
    "kakusan.cli.merge",
    "kakusan.cli.train",
    "kakusan.cli.pictures",
)
"""Modules that are commands, in the order of the help."""


class Command(Protocol):
    """What such a module offers. HELP: one line in English and in Japanese; run returns the exit code."""

    NAME: str
    HELP: tuple[str, str]

    def add_arguments(self, parser: Parser) -> None:
        """Tell the parser what the command takes."""

    def run(self, args: Arguments) -> int:
        """Do it, and return the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (the process's own unless given) and return its exit code; errors are one line on stderr.

    0: done; 1: a fault of ours; 2: a request that cannot be carried out; 3: a file that cannot be read or written;
    4: a picture that does not hold what it says;
    130: stopped by Ctrl-C or SIGTERM; 141: nobody reads the output any more.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show Japanese is no reason to fail
    try:
        with _terminated_like_ctrl_c():
            code = _dispatch(list(sys.argv[1:] if argv is None else argv))
            print(end="", flush=True)
            return code
    except SystemExit as end:  # --help, --version
        return int(end.code or 0)
    except KakusanError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain(tr("stopped", "中断しました"))
        return 130
    except Exception as error:
        return _unexpected(error)
    finally:
        _let_go_of_stdout()


def _dispatch(words: list[str]) -> int:
    """Run the command that `words` name; words that name none are a prompt."""
    speak(_language(words))
    commands = {command.NAME: command for command in (cast(Command, import_module(name)) for name in COMMANDS)}
    start = _first_word(words)
    if start == len(words) or words[start] in ("-h", "--help", "--version"):
        return _general(commands, words)
    named = words[start] in commands
    rest = words[:start] + words[start + named :]
    command = commands[words[start] if named else "draw"]
    if command.NAME == "txt2img" and is_drawing(rest):
        command = commands["draw"]
    parser = Parser(prog=f"kakusan {command.NAME}", description=tr(*command.HELP))
    command.add_arguments(parser)
    args = parser.parse(rest)
    if not named and args.words == words[start : start + 1] and (near := _near(words[start], commands)):
        en = f"note: {words[start]!r} is drawn as a prompt; for the command, type: kakusan {near}"
        print(tr(en, f"注意: {words[start]!r} を絵にします。コマンドのつもりなら: kakusan {near}"), file=sys.stderr)
    return command.run(args)


def _general(commands: dict[str, Command], words: list[str]) -> int:
    """`kakusan --help` and `kakusan --version`."""
    width = max(map(len, commands))
    listing = "\n".join(f"  {name:{width}}  {tr(*command.HELP)}" for name, command in commands.items())
    parser = Parser(
        prog="kakusan",
        usage=tr('kakusan "words"  |  kakusan COMMAND ...', 'kakusan "ことば"  |  kakusan コマンド ...'),
        description=tr("Words in, picture out.", "ことばから絵を描きます。"),
        epilog=f"{tr('commands (each has --help)', 'コマンド (それぞれに --help があります)')}:\n{listing}\n\n"
        + tr('example: kakusan "a rocket at night" --count 4', '例: kakusan "夜のロケット" --count 4'),
    )
    parser.add_argument("--version", action="store_true", help=tr("show the version", "バージョンを表示"))
    if parser.parse(words).version:
        from importlib.metadata import version

        print(f"kakusan {version('kakusan')}")
    else:
        parser.print_help()
    return 0


def _first_word(words: list[str]) -> int:
    """Where the command or prompt is: behind --lang."""
    at = 0
    while at < len(words) and words[at].partition("=")[0] == "--lang":
        at += 1 if "=" in words[at] else 2
    return min(at, len(words))


def _language(words: list[str]) -> str | None:
    """What --lang says, wherever it stands; the parser complains later if it is none of ours."""
    options = words[: words.index("--")] if "--" in words else words
    for at, word in enumerate(options):
        name, equals, value = word.partition("=")
        if name == "--lang":
            value = value if equals else "".join(options[at + 1 : at + 2])
            return value if value in LANGUAGES else None
    return None


def _near(word: str, commands: dict[str, Command]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word.lower(), commands, 1, 0.75)), None)


def _complain(text: str) -> None:
    print(f"kakusan: {' '.join(text.split())}", file=sys.stderr)


def _unexpected(error: Exception) -> int:
    if isinstance(error, BrokenPipeError):
        return 141
    if os.environ.get("KAKUSAN_DEBUG") == "1":
        traceback.print_exc()
    hint = tr("KAKUSAN_DEBUG=1 shows the traceback", "KAKUSAN_DEBUG=1 で詳細を表示")
    _complain(f"{type(error).__name__}: {error} ({hint})")
    return 3 if isinstance(error, OSError) else 1


def _let_go_of_stdout() -> None:
    """What nobody takes any more is thrown away, or the interpreter would complain about it at its end."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _terminated_like_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
