"""kakusan draw and info with a real pipeline over a tiny model of random weights."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from kakusan import images
from kakusan.cli import main
from kakusan.cli.album import Album
from kakusan.models.autoencoder import Autoencoder
from kakusan.pipeline import Step
from kakusan.tasks.recipe import Recipe

Captured = pytest.CaptureFixture[str]
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def draw(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a quick drawing into ./outputs."""
    monkeypatch.chdir(tmp_path)
    return ["--model", str(folder)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pixels(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_one_picture(draw: list[str], capsys: Captured) -> None:
    assert main(["a red apple", *draw, "--seed", "7"]) == 0
    out, err = capsys.readouterr()
    assert out == "outputs/00000-7.png\n"
    assert err.startswith("picture 1 of 1 ")
    assert err.splitlines()[-1].startswith("seed 7 ")
    assert names(Path("outputs")) == ["00000-7.png"]
    recipe = Recipe.parse(images.parameters(Path(out.strip())))
    assert recipe.prompt == "a red apple"
    assert (recipe.width, recipe.height, recipe.steps, recipe.seed) == (64, 64, 2, 7)
    assert pixels(out.strip()).shape == (64, 64, 3)


def test_everything_said_is_in_the_recipe(draw: list[str], capsys: Captured) -> None:
    options = "--negative blur --steps 3 --sampler euler_ancestral --schedule exponential --scale 2.5 --seed 3 --width 96 --height 32"
    assert main(["draw", "--prompt", "赤い りんご", *options.split(), *draw, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    recipe = Recipe.parse(report["parameters"][0])
    assert (recipe.prompt, recipe.negative, recipe.width, recipe.height) == ("赤い りんご", "blur", 96, 32)
    assert (recipe.steps, recipe.sampler, recipe.schedule) == (3, "euler_ancestral", "exponential")
    assert (recipe.scale, recipe.seed) == (2.5, 3)
    assert images.parameters(Path(report["files"][0])) == report["parameters"][0]
    assert pixels(report["files"][0]).shape == (32, 96, 3)
    assert (report["seeds"], report["notes"], report["grid"], report["interrupted"]) == ([3], [], None, False)
    assert report["seconds"] > 0


def test_several_pictures_and_their_grid(draw: list[str], capsys: Captured) -> None:
    assert main(["a", "red", "apple", "--count", "3", "--seed", "7", *draw, "-q"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    files = out.split()
    assert [Path(f).name for f in files] == ["00000-7.png", "00001-8.png", "00002-9.png", "00003-grid.png"]
    sheet = pixels(files[3])
    assert sheet.shape == (128, 128, 3)
    np.testing.assert_array_equal(sheet[:64, 64:], pixels(files[1]))
    assert main(["a red apple", "--count", "2", "--seed", "8", *draw, "-q", "--no-grid"]) == 0
    again = capsys.readouterr().out.split()
    assert [Path(f).name for f in again] == ["00004-8.png", "00005-9.png"]
    assert np.abs(pixels(again[0]).astype(int) - pixels(files[1])).max() <= 1  # in a batch of another size


def test_the_seed_is_chosen_and_told(draw: list[str], capsys: Captured) -> None:
    seeds = []
    for _ in range(2):
        assert main(["a", *draw]) == 0
        out, err = capsys.readouterr()
        seeds.append(re.search(r"^seed (\d+) ", err, re.MULTILINE)[1])
        assert out.strip().endswith(f"-{seeds[-1]}.png")
    assert seeds[0] != seeds[1]


def test_estimates_on_the_way(draw: list[str], capsys: Captured) -> None:
    assert main(["a", "--steps", "5", "--sampler", "euler", "--show-steps", "2", "--seed", "1", "--count", "2", *draw, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    numbers = [Path(f).name[:5] for f in report["files"]]
    wanted = [f"{n}-{seed}-{part}.png" for n, seed in zip(numbers, (1, 2), strict=True) for part in ("step002", "step004", "steps")]
    assert sorted(Path(f).name for f in report["steps"]) == sorted(wanted)
    for number, seed, file in zip(numbers, (1, 2), report["files"], strict=True):
        strip = pixels(f"outputs/{number}-{seed}-steps.png")
        assert strip.shape == (64, 192, 3)
        np.testing.assert_array_equal(strip[:, 64:128], pixels(f"outputs/{number}-{seed}-step004.png"))
        np.testing.assert_array_equal(strip[:, 128:], pixels(file))


def test_notes_on_unknown_words(draw: list[str], capsys: Captured) -> None:
    assert main(["a red zeppelin", *draw]) == 0
    assert re.search(r"^note: .*zeppelin", capsys.readouterr().err, re.MULTILINE)
    assert main(["a red zeppelin", *draw, "--json", "--lang", "ja"]) == 0
    out, err = capsys.readouterr()
    (note,) = json.loads(out)["notes"]
    assert note.endswith("zeppelin")
    assert f"注意: {note}" in err


def test_words_that_are_prompts(draw: list[str], capsys: Captured) -> None:
    for words, prompt in (([""], ""), (["--", "-dark"], "-dark"), (["--prompt=-dark"], "-dark"), (["--steps", "1", "x y"], "x y")):
        assert main([*draw, *words] if "--" in words else [*words, *draw]) == 0
        assert Recipe.parse(images.parameters(Path(capsys.readouterr().out.strip()))).prompt == prompt
    assert main(["smaplers", *draw]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("note: 'smaplers' is drawn as a prompt; for the command, type: kakusan samplers\n")
    assert Recipe.parse(images.parameters(Path(out.strip()))).prompt == "smaplers"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--sampler", "eulr"], 2, r"unknown sampler 'eulr'.*euler"),
        (["--schedule", "karas"], 2, r"unknown schedule 'karas'.*karras"),
        (["--width", "100"], 2, r"width is 100.*multiple of 8"),
        (["--height", "0"], 2, r"height is 0"),
        (["--height", "-64"], 2, r"height is -64"),
        (["--width", "100000000"], 2, r"width is 100000000"),
        (["--steps", "0"], 2, r"steps is 0"),
        (["--steps", "-3"], 2, r"steps is -3"),
        (["--steps", "5000"], 2, r"steps is 5000"),
        (["--count", "0"], 2, r"0 pictures"),
        (["--count", "-1"], 2, r"-1 pictures"),
        (["--scale", "nan"], 2, r"scale is nan"),
        (["--scale", "inf"], 2, r"scale is inf"),
        (["--seed", "-1"], 2, r"seed is -1"),
        (["--seed", str(2**64)], 2, r"seed is 18446744073709551616"),
        (["--device", "toaster"], 2, r"toaster"),
        (["--device", "meta"], 2, r"meta"),
        (["--model", "missing"], 3, r"missing"),
        (["--model", "empty"], 3, r"empty"),
        (["--model", "file"], 3, r"file"),
        (["--outdir", "file"], 3, r"file: cannot be written"),
        (["--outdir", "file/deeper"], 3, r"file/deeper: cannot be written"),
    ],
)
def test_what_cannot_be_done(words: list[str], code: int, said: str, draw: list[str], capsys: Captured) -> None:
    Path("empty").mkdir()
    Path("file").touch()
    for language in ("en", "ja"):
        assert main(["a", *draw, *words, "--lang", language]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("kakusan: ")
        assert err.count("\n") == 1
        assert "KAKUSAN_DEBUG" not in err
        assert re.search(said, err) if language == "en" else not err.isascii()
        assert names(Path()) == ["empty", "file"]


def test_damaged_models(damaged: Path, draw: list[str], capsys: Captured) -> None:
    for words in (["a", "--model", str(damaged)], ["info", str(damaged)]):
        assert main(words) == 3
        out, err = capsys.readouterr()
        assert out == ""
        assert "unet" in err
        assert err.count("\n") == 1
    assert not Path("outputs").exists()


def test_a_disk_that_fills(draw: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second file cannot be written: the first stays, nothing is left of the second."""
    calls = []

    def filling(_: int) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", filling)
    assert main(["a", "--count", "2", "--seed", "1", *draw]) == 3
    out, err = capsys.readouterr()
    assert out == "outputs/00000-1.png\n"
    assert "00001-2.png: cannot be written (No space left on device)" in err.splitlines()[-1]
    assert names(Path("outputs")) == ["00000-1.png"]


def test_ctrl_c_while_a_file_is_written(draw: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures that were finished in the same call of the network are saved too, and here that is all of them."""
    take, handler = Album.take, signal.getsignal(signal.SIGINT)

    def stopping(self: Album, step: Step) -> None:
        if step.image is not None and not self.files:
            signal.raise_signal(signal.SIGINT)
        take(self, step)

    monkeypatch.setattr(Album, "take", stopping)
    assert main(["a", "--count", "2", "--seed", "1", *draw]) == 0
    assert capsys.readouterr().out.split() == ["outputs/00000-1.png", "outputs/00001-2.png", "outputs/00002-grid.png"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_between_pictures(draw: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of the first call of the decoder are kept and listed, those of the second are not made."""
    decode, calls = Autoencoder.decode, []

    def stopping(self: Autoencoder, latent: Tensor) -> Tensor:
        calls.append(len(latent))
        if len(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
        return decode(self, latent)

    monkeypatch.setattr(Autoencoder, "decode", stopping)
    assert main(["a", "--count", "20", "--seed", "1", *draw, "--steps", "1", "--json"]) == 130
    report = json.loads(capsys.readouterr().out)
    assert report["interrupted"] is True
    assert len(report["files"]) == len(report["parameters"]) == calls[0] < 20
    assert [Path(file).name for file in report["files"]] == names(Path("outputs"))
    assert report["seeds"] == list(range(1, calls[0] + 1))
    assert report["grid"] is None
    for file in report["files"]:
        Image.open(file).load()


def _heeds_ctrl_c() -> None:
    """A shell's background jobs, and so these tests in one of them, are born deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_signals_end_a_drawing(folder: Path, tmp_path: Path) -> None:
    words = ["a", "--model", str(folder), "--steps", "1000", "--show-steps", "1", "--count", "2"]
    for number in (signal.SIGINT, signal.SIGTERM):
        outdir = tmp_path / number.name
        command = [sys.executable, "-m", "kakusan", *words, "--outdir", str(outdir)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_heeds_ctrl_c)
        deadline = time.monotonic() + 60
        while not list(outdir.glob("*-step002.png")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "stopped after 0 of 2 pictures" in err
        listed = out.split()
        assert sorted(Path(path).name for path in listed) == names(outdir)
        for path in listed:
            Image.open(path).load()


def test_a_bar_on_a_terminal(folder: Path, tmp_path: Path) -> None:
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "kakusan", "a", "--model", str(folder), "--outdir", str(tmp_path / "o"), "--seed", "5", "--lang", "ja"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, text=True, env=os.environ | {"TERM": "xterm", "COLUMNS": "90"})
    os.close(end)
    seen = b""
    with ThreadPoolExecutor(1) as pool:
        out = pool.submit(process.communicate)
        while True:
            try:
                data = os.read(terminal, 4096)
            except OSError:
                break
            if not data:
                break
            seen += data
    os.close(terminal)
    text = seen.decode()
    assert out.result()[0] == f"{tmp_path / 'o'}/00000-5.png\n"
    assert process.returncode == 0
    assert "描画中" in text
    assert "it/s" in text
    assert "シード 5" in text


def test_two_commands_in_one_folder(draw: list[str], capsys: Captured) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(main, [["a", "--count", "3", "--seed", "1", *draw]] * 2)) == [0, 0]
    assert len(names(Path("outputs"))) == 8
    for path in Path("outputs").iterdir():
        Image.open(path).load()


def test_info_of_a_model(folder: Path, capsys: Captured) -> None:
    assert main(["info", str(folder)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("tiny\n")
    assert re.search(r"^unet +[\d,]+ +float16$", text, re.MULTILINE)
    assert "scaled_linear 0.00085 - 0.012" in text
    assert "64 x 64, 2 steps" in text
    assert text.endswith("# Tiny\n\nRandom weights.\n")
    assert main(["info", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["networks"]["text"]["parameters"] > 49408 * 16
    assert report["networks"]["text"]["stored_as"] == "float16"
    assert report["schedule"]["prediction"] == "epsilon"
    assert report["defaults"]["steps"] == 2
    assert report["defaults"]["width"] == 64


@pytest.mark.parametrize("page", ["command-line.md", "command-line.ja.md"])
def test_every_command_of_the_page(page: str, folder: Path, draw: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kakusan.loading.EMBEDDED", folder)
    blocks = re.findall(r"^```sh\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(commands) == 10
    for name, *words in commands:
        assert name == "kakusan"
        assert main(words) == 0, words
        assert capsys.readouterr().out
