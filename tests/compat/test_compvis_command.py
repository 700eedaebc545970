"""kakusan txt2img and img2img as commands: their flags, files and complaints, and the page about them."""

import re
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from formats.tiny import tiny_model
from kakusan.cli import main
from kakusan.cli.parser import Parser
from kakusan.compat.compvis import flags, opening, pictures
from kakusan.errors import KakusanError
from kakusan.formats.folder import write_folder
from kakusan.loading import load
from kakusan.models.autoencoder import Autoencoder
from pages import blocks

DOCS = Path(__file__).parents[2] / "docs"
Captured = pytest.CaptureFixture[str]
SIZE = ["--H", "16", "--W", "24", "--device", "cpu"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, in English."""
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "KAKUSAN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")


def test_full_strength_is_one_level_less_where_the_table_ends(folders: dict[str, Path], capsys: Captured) -> None:
    pictures.truncated(torch.zeros(3, 32, 32)).save("in.png")
    assert main(["img2img", "--init-img", "in.png", "--ckpt", str(folders["epsilon"]), "--steps", "5", "--strength", "1"]) == 0
    assert "note: strength 1 is drawn in 4 steps, the most there are\n" in capsys.readouterr().err


def test_sizes_are_cut_to_multiples(tmp_path: Path) -> None:
    Image.new("RGB", (200, 130)).save("in.png")
    assert pictures.read_picture(Path("in.png"), 32).shape == (3, 128, 192)
    assert pictures.read_picture(Path("in.png"), 64).shape == (3, 128, 192)
    assert pictures.read_picture(Path("in.png"), 32, side=64).shape == (3, 64, 96)
    Image.new("RGB", (20, 130)).save("in.png")
    with pytest.raises(KakusanError, match=r"in.png: 20 x 130 pixels; both must be at least 32"):
        pictures.read_picture(Path("in.png"), 32)


def test_files_are_numbered_on(folders: dict[str, Path], capsys: Captured) -> None:
    common = ["txt2img", "--ckpt", str(folders["epsilon"]), *SIZE, "--steps", "2", "--n_iter", "1", "--outdir", "o"]
    assert main(common) == 0
    assert capsys.readouterr().out.split() == [f"o/samples/0000{i}.png" for i in range(3)] + ["o/grid-0000.png"]
    Path("o/samples/00001.png").unlink()
    assert main([*common, "--skip_grid"]) == 0
    assert capsys.readouterr().out.split() == [f"o/samples/0000{i}.png" for i in (3, 4, 5)], "2 is there: none is written over"
    assert main([*common, "--skip_save"]) == 0
    assert capsys.readouterr().out.split() == ["o/grid-0001.png"]
    assert main([*common, "--skip_save", "--n_samples", "1"]) == 0
    assert Image.open("o/grid-0002.png").size == (24, 16), "one alone has no border"


def test_pictures_for_img2img_are_cut_to_64_for_version_2(checkpoints: dict[str, Path], capsys: Captured) -> None:
    Image.new("RGB", (100, 70)).save("in.png")
    for family, size in (("sd1", (96, 64)), ("sd2 768", (64, 64))):
        ckpt = checkpoints[family]
        words = ["--ckpt", str(ckpt), "--config", str(ckpt.with_suffix(".yaml")), "--n_samples", "1", "--steps", "4"]
        assert main(["img2img", "--init-img", "in.png", *words]) == 0
        assert Image.open(capsys.readouterr().out.split()[0]).size == size


def test_configurations_that_do_not_fit(checkpoints: dict[str, Path], capsys: Captured) -> None:
    Path("none.yaml").write_text("model: {target: os.system}")
    Path("cut.ckpt").write_bytes(checkpoints["sd1"].read_bytes()[:100_000])
    ckpt, other = str(checkpoints["sd1"]), str(checkpoints["sd2 768"].with_suffix(".yaml"))
    for words, code in ((["--config", "none.yaml"], 2), (["--config", other], 2), (["--ckpt", "cut.ckpt"], 3)):
        assert main(["txt2img", "--ckpt", ckpt, *words]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("kakusan: ")
        assert err.count("\n") == 1
        assert (f"(with --config {words[1]})" in err) == (code == 2)


def test_every_command_of_the_page(checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """In few steps and small, which --steps and --H at the end see to. The Japanese page has the same commands."""
    model = tiny_model(towers=False)
    model.settings = {"defaults": {"steps": 2}}
    write_folder(model, Path("embedded"), torch.float32)
    monkeypatch.setattr("kakusan.loading.EMBEDDED", Path("embedded"))
    monkeypatch.setattr("kakusan.compat.compvis.img2img.MULTIPLE", {"quick_gelu": 8})
    Path("sd-v1-4.ckpt").symlink_to(checkpoints["sd1"])
    Path("v1-inference.yaml").symlink_to(checkpoints["sd1"].with_suffix(".yaml"))
    Path("prompts.txt").write_text("a red apple\na green pear\n")
    Image.new("RGB", (64, 64)).save("sketch.png")
    commands = [shlex.split(line) for block in blocks(DOCS / "reference-scripts.md", "sh") for line in block.splitlines()]
    assert len(commands) == 6
    for name, script, *words in commands:
        assert name == "kakusan"
        quick = ["--steps", "2"] + (["--H", "64", "--W", "64"] if script == "txt2img" and "--ckpt" in words else [])
        assert main([script, *words, *quick]) == 0, words
    assert Path("again/samples/00001.png").exists()


@pytest.mark.parametrize("page", ["reference-scripts.md", "reference-scripts.ja.md"])
def test_the_page_names_every_flag(page: str) -> None:
    told = set(re.findall(r"`(--[\w-]+)`", "".join(re.findall(r"^\| (`--.*?) \|", (DOCS / page).read_text(encoding="utf-8"), re.M))))
    parser = Parser("txt2img")
    flags.add_txt2img(parser)
    assert told == set(parser._option_string_actions) - {"-h", "--help", "--lang"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--ckpt", "none.ckpt"], 2, "none.ckpt: no such checkpoint"),
        (["--ckpt", "MODEL", "--config", "none.yaml"], 2, "none.yaml: no such configuration"),
        (["--config", "none.yaml"], 2, "--config is given without --ckpt"),
        (["--H", "100"], 2, "--H is 100; it must be a multiple of 8"),
        (["--W", "-64"], 2, "--W is -64; it must be a multiple of 8"),
        (["--W", "100000"], 2, "up to 8192: try 8192"),
        (["--ddim_steps", "300"], 2, "ddim_steps is 300"),
        (["--plms", "--ddim_eta", "1"], 2, "ddim_eta is 1.0; PLMS"),
        (["--ddim_eta", "-1"], 2, "ddim_eta is -1.0"),
        (["--plms", "--dpm_solver"], 2, "choose one"),
        (["--dpm", "--steps", "1"], 2, "needs at least 2"),
        (["--n_iter", "0"], 2, "--n_iter is 0"),
        (["--n_samples", "0"], 2, "--n_samples is 0"),
        (["--sampler", "eulr"], 2, "no prompt"),
        (["--prompt", "a", "--sampler", "eulr"], 2, "unknown sampler 'eulr'; did you mean euler?"),
        (["--ddim_stps", "3"], 2, "did you mean --ddim_steps?"),
        (["--seed", "-1"], 2, "seed is -1"),
        (["--C", "5"], 2, "--C is 5; this model's latents have 4 channels"),
        (["--f", "0"], 2, "--f is 0"),
        (["--device", "toaster"], 2, "device 'toaster' is not there"),
        (["--from-file", "none.txt"], 3, "none.txt: cannot be read"),
        (["--from-file", "empty.txt"], 2, "empty.txt: holds no prompts"),
        (["--outdir", "empty.txt"], 3, "cannot be written"),
        (["--ckpt", "empty"], 3, "empty"),
        (["--laion400m"], 2, "that checkpoint is not there"),
    ],
)
def test_what_cannot_be_done(words: list[str], code: int, said: str, folders: dict[str, Path], capsys: Captured) -> None:
    Path("empty.txt").touch()
    Path("empty").mkdir()
    words = [str(folders["epsilon"]) if word == "MODEL" else word for word in words]
    for language in ("en", "ja"):
        assert main(["txt2img", *words, "--lang", language]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("kakusan: ")
        assert err.count("\n") == 1
        assert "KAKUSAN_DEBUG" not in err
        assert said in err if language == "en" else not err.isascii()
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "no picture; name one with --init-img"),
        (["--init-img", "none.png"], 3, "none.png: not a picture"),
        (["--init-img", "in.png", "--plms"], 2, "leave out --plms"),
        (["--init-img", "in.png", "--strength", "1.5"], 2, "strength is 1.5"),
        (["--init-img", "in.png", "--ckpt", "none.ckpt"], 2, "none.ckpt: no such checkpoint"),
    ],
)
def test_what_img2img_cannot_do(words: list[str], code: int, said: str, capsys: Captured) -> None:
    Image.new("RGB", (64, 64)).save("in.png")
    assert main(["img2img", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_laion400m_is_refused_where_its_checkpoint_is_there_too(capsys: Captured) -> None:
    opening.LAION_CKPT.parent.mkdir(parents=True)
    opening.LAION_CKPT.touch()
    assert main(["txt2img", "--laion400m"]) == 2
    err = capsys.readouterr().err
    assert "BERT" in err
    assert "is not there" not in err


def test_other_kinds_of_models_are_refused(
    tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    pipe = load(folders["epsilon"], device="cpu")
    pipe.model.unet.config = replace(pipe.model.unet.config, in_channels=9)
    monkeypatch.setattr("kakusan.loading.load", lambda *_, **__: pipe)
    assert main(["txt2img", "--ckpt", str(folders["epsilon"])]) == 2
    assert "a model for inpainting" in capsys.readouterr().err


def test_the_default_checkpoint_is_found(folders: dict[str, Path], capsys: Captured) -> None:
    opening.CKPT.parent.mkdir(parents=True)
    opening.CKPT.write_bytes(b"no checkpoint")
    assert main(["txt2img", "--prompt", "x"]) == 3
    assert str(opening.CKPT) in capsys.readouterr().err


def test_words_and_flags_of_draw_go_there(folders: dict[str, Path], capsys: Captured) -> None:
    model = ["--model", str(folders["epsilon"]), "--device", "cpu"]
    for words in (
        ["a", "red", "apple", *model],
        ["--prompt", "x", "--steps", "2", *model],
        ["-p", "x", "-q", *model],
        [*model, "--", "-x"],
    ):
        assert main(["txt2img", *words]) == 0
        assert capsys.readouterr().out.startswith("outputs/0")
    assert main(["txt2img", "--help"]) == 0
    assert "--ddim_eta" in capsys.readouterr().out


@pytest.mark.parametrize("script", ["txt2img", "img2img"])
def test_as_a_module(script: str) -> None:
    module = [sys.executable, "-m", f"kakusan.compat.compvis.{script}"]
    done = subprocess.run([*module, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: kakusan {script}")
    done = subprocess.run([*module, "--ckpt", "none.ckpt"] + (["--init-img", "x.png"] if script == "img2img" else []), capture_output=True)
    assert done.returncode == 2
    assert done.stderr == b"kakusan: none.ckpt: no such checkpoint; check the path\n"


def test_ctrl_c_keeps_the_batches_that_are_finished(folders: dict[str, Path], capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, calls = Autoencoder.decode, []

    def stopping(self: Autoencoder, latent: Tensor) -> Tensor:
        calls.append(len(latent))
        if len(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
        return decode(self, latent)

    monkeypatch.setattr(Autoencoder, "decode", stopping)
    words = ["--ckpt", str(folders["epsilon"]), *SIZE, "--steps", "2", "--outdir", "o"]
    assert main(["txt2img", *words]) == 130
    out, err = capsys.readouterr()
    assert out.split() == [f"o/samples/0000{i}.png" for i in range(3)]
    assert "stopped after 3 of 6 pictures" in err
    assert sorted(path.name for path in Path("o").rglob("*.png")) == ["00000.png", "00001.png", "00002.png"]


def test_a_prompt_that_is_cut_is_told(folders: dict[str, Path], capsys: Captured) -> None:
    common = ["txt2img", "--ckpt", str(folders["epsilon"]), *SIZE, "--steps", "1", "--n_iter", "1", "--n_samples", "1", "--skip_grid"]
    assert main([*common, "--prompt", "(abc) " * 30]) == 0
    assert "note: only the first 75 of 150 tokens are read, as by the original script" in capsys.readouterr().err
    assert main([*common, "--prompt", "(abc)"]) == 0
    assert "tokens" not in capsys.readouterr().err
