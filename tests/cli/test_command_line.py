"""kakusan.cli: help, languages, lists, complaints; what needs no model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from kakusan import images
from kakusan.cli import COMMANDS, main
from kakusan.cli.parser import Parser
from kakusan.cli.table import columns
from kakusan.errors import KakusanError
from kakusan.memory.record import rebuilt
from kakusan.messages import speak
from kakusan.samplers.names import NAMES
from kakusan.schedules import DESCRIPTIONS
from kakusan.tasks.recipe import Recipe

Captured = pytest.CaptureFixture[str]


def complaint(captured: Captured) -> str:
    """The one line on stderr, and nothing on stdout."""
    out, err = captured.readouterr()
    assert out == ""
    assert err.startswith("kakusan: ")
    assert err.count("\n") == 1
    return err


def test_help_is_light_and_quick() -> None:
    code = (
        "import sys, time; from kakusan.cli import main;"
        "codes = [main(a) for a in (['--help'], ['txt2img', '--help'], ['img2img', '--help'], ['samplers'],"
        "['schedules'], ['info', '--help'], ['--lang', 'ja'])]; seconds = time.process_time();"
        "print(codes, [m for m in ('torch', 'numpy', 'PIL', 'rich') if m in sys.modules], file=sys.stderr); print(seconds, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules, seconds = done.stderr.splitlines()
    assert modules == "[0, 0, 0, 0, 0, 0, 0] []"
    assert float(seconds) < 0.5


def test_every_command_is_in_the_help(capsys: Captured) -> None:
    assert main([]) == 0
    bare = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == bare
    for name in COMMANDS:
        assert f"\n  {sys.modules[name].NAME} " in bare


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_in_both_languages(name: str, capsys: Captured) -> None:
    command = sys.modules[name].NAME
    assert main([command, "--help"]) == 0
    english = capsys.readouterr().out
    assert english.startswith(f"usage: kakusan {command} [-h]")
    assert english.isascii()
    assert main([command, "--help", "--lang=ja"]) == 0
    japanese = capsys.readouterr().out
    assert japanese.startswith(f"使い方: kakusan {command} [-h]")
    assert "オプション:" in japanese
    assert not {"usage", "options:", "arguments:", "show this"} & set(japanese.split())
    assert max(map(columns, japanese.splitlines())) <= 100
    assert [w for w in english.split() if w.startswith("--")][:9] == [w for w in japanese.split() if w.startswith("--")][:9]


def test_language_of_the_environment(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "ja_JP.UTF-8")
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("使い方:")
    assert main(["--help", "--lang", "en"]) == 0
    assert capsys.readouterr().out.startswith("usage:")
    assert main(["--help"]) == 0  # one call's --lang does not stick
    assert capsys.readouterr().out.startswith("使い方:")


def test_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("kakusan 0.")


def test_lists(capsys: Captured) -> None:
    for command, names in (("samplers", [row.name for row in NAMES]), ("schedules", list(DESCRIPTIONS))):
        assert main([command]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == names
        assert main([command, "--json", "--lang", "ja"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert [row["name"] for row in rows] == names
        assert all(columns(row["about"]) > len(row["about"]) for row in rows)  # Japanese


def test_columns_are_even_in_japanese(capsys: Captured) -> None:
    assert main(["schedules", "--lang", "ja"]) == 0
    starts = {
        columns(line[: line.index(row.ja)]) for line, row in zip(capsys.readouterr().out.splitlines(), DESCRIPTIONS.values(), strict=True)
    }
    assert len(starts) == 1


@pytest.mark.parametrize(
    ("words", "english", "japanese"),
    [
        (["a", "--steps", "x"], "argument --steps: invalid int value: 'x'", "--steps は整数で指定してください: 'x'"),
        (["a", "--scale", "x"], "argument --scale: invalid float value: 'x'", "--scale は数で指定してください: 'x'"),
        (["a", "--steps"], "argument --steps: expected one argument", "--steps には値が 1 つ必要です"),
        (
            ["a", "--stps", "3"],
            "unrecognized arguments: --stps 3; did you mean --steps?",
            "知らない引数です: --stps 3。--steps ではありませんか",
        ),
        (["a", "--qqq"], "unrecognized arguments: --qqq", "知らない引数です: --qqq"),
        (["a", "--json=1"], "argument --json: ignored explicit argument '1'", "--json に値 '1' は付けられません"),
        (["train"], "the following arguments are required: part", "part を指定してください"),
        (["draw"], 'no prompt; try: kakusan "a red apple"', 'プロンプトがありません。例: kakusan "赤いりんご"'),
        (["a", "--prompt", "b"], "the prompt is given twice; leave out --prompt", "プロンプトが 2 つあります。--prompt を外してください"),
        (["a", "--show-steps", "0"], "--show-steps is 0; it must be at least 1", "--show-steps が 0 です。1 以上にしてください"),
        (["a", "\udcff"], "the prompt is not valid UTF-8", "プロンプトの文字コードが UTF-8 ではありません"),
    ],
)
def test_wrong_arguments(words: list[str], english: str, japanese: str, capsys: Captured) -> None:
    assert main(words) == 2
    assert complaint(capsys) == f"kakusan: {english}\n"
    assert main([*words, "--lang", "ja"] if words[-1] != "--steps" else ["--lang", "ja", *words]) == 2
    assert complaint(capsys) == f"kakusan: {japanese}\n"


def test_wrong_language(capsys: Captured) -> None:
    for words in (["--lang", "fr", "a"], ["a", "--lang=fr"], ["--lang"], ["samplers", "--lang"]):
        assert main(words) == 2
        assert "argument --lang: " in complaint(capsys)


def test_all_of_argparses_complaints_that_can_come_are_translated() -> None:
    speak("ja")
    parser = Parser("p")
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("--a", choices=("x", "y"))
    one.add_argument("--b", nargs="+", type=lambda text: int(text))
    one.add_argument("--c", nargs=2)
    for words in ([], ["--a", "z"], ["--a", "x", "--b", "1"], ["--b"], ["--b", "q"], ["--c", "1"]):
        with pytest.raises(KakusanError) as caught:
            parser.parse(words)
        assert caught.value.ja != caught.value.en
    speak(None)


def test_unexpected_errors_are_one_line(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("kakusan.cli.samplers.print_table", broken)
    assert main(["samplers"]) == 1
    assert complaint(capsys) == "kakusan: ZeroDivisionError: two lines (KAKUSAN_DEBUG=1 shows the traceback)\n"
    monkeypatch.setenv("KAKUSAN_DEBUG", "1")
    assert main(["samplers"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupted_early(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kakusan.cli.samplers.print_table", stopped)
    assert main(["samplers"]) == 130
    assert complaint(capsys) == "kakusan: stopped\n"


def test_broken_pipes_and_full_disks() -> None:
    environment = os.environ | {"LANG": "C.UTF-8"}
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "kakusan", "samplers"], stdout=writer, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "kakusan", "samplers"], stdout=full, stderr=subprocess.PIPE, text=True, env=environment
            )
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1


def test_a_terminal_without_japanese() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    for words in (["samplers"], ["samplers", "--json"], ["nothing", "--steps", "x"]):
        done = subprocess.run([sys.executable, "-m", "kakusan", *words, "--lang", "ja"], capture_output=True, env=environment)
        assert done.returncode in (0, 2)
        assert (done.stdout + done.stderr).isascii()
        if "--json" in words:
            assert json.loads(done.stdout)[0]["about"] == NAMES[0].ja


def test_info_of_pictures(tmp_path: Path, capsys: Captured) -> None:
    recipe = Recipe("赤いりんご", "", 8, 8, 3, "euler", "karras", 7.0, 5)
    picture = Image.new("RGB", (8, 8))
    for name, text in (("ours.png", recipe.parameters()), ("mute.png", ""), ("other.png", "{}")):
        images.save_png(picture, tmp_path / name, text)
    assert main(["info", str(tmp_path / "ours.png")]) == 0
    assert capsys.readouterr().out == recipe.parameters() + "\n"
    assert main(["info", "--json", str(tmp_path / "ours.png")]) == 0
    told = json.loads(capsys.readouterr().out)["recipe"]
    assert rebuilt(Recipe, told, "", []) == recipe
    assert main(["info", str(tmp_path / "mute.png")]) == 0
    assert "does not say" in capsys.readouterr().out
    assert main(["info", "--json", str(tmp_path / "other.png")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["parameters"], told["recipe"], told["program"], told["record"]) == ("{}", None, None, None)
    assert "of no form" in told["notes"][0]
    (tmp_path / "text.png").write_text("no picture")
    assert main(["info", str(tmp_path / "text.png")]) == 3
    assert "not a picture" in complaint(capsys)


def test_unwritable_folders_are_found_before_anything_is_loaded(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kakusan.pipeline", None)  # importing it would fail
    (tmp_path / "file").touch()
    assert main(["a", "--outdir", str(tmp_path / "file" / "deeper")]) == 3
    assert "cannot be written" in complaint(capsys)


def test_names_of_commands_differ() -> None:
    names = [sys.modules[name].NAME for name in COMMANDS]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and name.isascii() for name in names)
