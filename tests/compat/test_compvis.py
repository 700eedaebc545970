"""kakusan.compat.compvis: pictures, files, noise and formulas of the reference scripts, against those written out in ldm_scripts."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from compat.ldm_scripts import ABAR, Original, grid_pixels, ldm_timesteps, pixels
from formats.tiny import tiny_model
from kakusan.cli import main
from kakusan.compat.compvis import levels, opening, pictures
from kakusan.errors import KakusanError
from kakusan.formats.folder import write_folder
from kakusan.formats.model import Model
from kakusan.pipeline import load
from kakusan.schedules import NoiseSchedule

Captured = pytest.CaptureFixture[str]
SIZE = ["--H", "16", "--W", "24", "--device", "cpu"]
SHAPE = (4, 8, 12)  # c h w of such a picture's latents
PREDICTIONS = ("epsilon", "v_prediction")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same random networks, as models that predict noise and v."""
    paths = {}
    for prediction in PREDICTIONS:
        model = tiny_model(towers=False)
        model.schedule = NoiseSchedule(prediction=prediction)
        paths[prediction] = tmp_path_factory.mktemp("models") / prediction
        write_folder(model, paths[prediction], torch.float32)
    return paths


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, Model]:
    return {prediction: load(path, device="cpu").model for prediction, path in folders.items()}


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every picture (3 H W, 0 to 1) before it becomes whole numbers."""
    taken: list[Tensor] = []

    def truncated(image: Tensor) -> Image.Image:
        taken.append((image + 1) / 2)
        return pictures.truncated(image)

    monkeypatch.setattr("kakusan.compat.compvis.batches.truncated", truncated)
    return taken


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def agree(ours: list[Tensor], theirs: list[Tensor], tolerance: float = 1e-5) -> None:
    assert len(ours) == len(theirs)
    error = (torch.stack(ours) - torch.stack(theirs)).norm() / torch.stack(theirs).norm()
    assert error < tolerance, f"{error:.1e}"


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize(
    ("sampler", "steps", "eta", "scale"),
    [
        ("ddim", 7, 0.0, 7.5),
        ("ddim", 30, 0.0, 7.5),
        ("ddim", 20, 1.0, 7.5),
        ("ddim", 10, 0.5, 1.0),
        ("plms", 10, 0.0, 7.5),
        ("plms", 30, 0.0, 1.0),
        ("plms", 2, 0.0, 3.0),
        ("dpm", 2, 0.0, 7.5),
        ("dpm", 14, 0.0, 7.5),
        ("dpm", 15, 0.0, 3.0),
    ],
)
def test_txt2img(
    prediction: str,
    sampler: str,
    steps: int,
    eta: float,
    scale: float,
    folders: dict[str, Path],
    models: dict[str, Model],
    images: list[Tensor],
) -> None:
    flags = {"ddim": [], "plms": ["--plms"], "dpm": ["--dpm_solver"]}[sampler]
    numbers = ["--ddim_steps", str(steps), "--ddim_eta", str(eta), "--scale", str(scale), "--seed", "7"]
    assert main(["txt2img", "--prompt", "an apple", "--ckpt", str(folders[prediction]), *SIZE, *flags, *numbers]) == 0
    theirs = Original(models[prediction], 7, scale).txt2img([["an apple"] * 3], 2, (3, *SHAPE), sampler, steps, eta)
    agree(images, theirs)
    saved = [np.asarray(Image.open(f"outputs/txt2img-samples/samples/{i:05}.png")) for i in range(6)]
    assert np.abs(np.stack(saved).astype(int) - np.stack(pixels(theirs))).max() <= 1
    np.testing.assert_array_equal(np.asarray(Image.open("outputs/txt2img-samples/grid-0000.png")), grid_pixels(saved, 3))


def test_defaults(folders: dict[str, Path], models: dict[str, Model], images: list[Tensor]) -> None:
    """Seed 42, 50 steps of DDIM, scale 7.5, 2 x 3 pictures; the size is 512 x 512 but here, to be done soon."""
    assert main(["txt2img", "--ckpt", str(folders["epsilon"]), *SIZE]) == 0
    prompt = "a painting of a virus monster playing guitar"
    agree(images, Original(models["epsilon"], 42, 7.5).txt2img([[prompt] * 3], 2, (3, *SHAPE), "ddim", 50), 1e-4)


def test_fixed_code(folders: dict[str, Path], models: dict[str, Model], images: list[Tensor]) -> None:
    common = ["txt2img", "--prompt", "x", "--ckpt", str(folders["epsilon"]), *SIZE, "--steps", "4", "--n_samples", "2", "--fixed_code"]
    assert main([*common, "--plms"]) == 0
    agree(images, Original(models["epsilon"], 42, 7.5).txt2img([["x"] * 2], 2, (2, *SHAPE), "plms", 4, fixed=True))
    agree(images[:2], images[2:], 1e-6)
    images.clear()
    assert main([*common, "--ddim_eta", "1"]) == 0
    agree(images, Original(models["epsilon"], 42, 7.5).txt2img([["x"] * 2], 2, (2, *SHAPE), "ddim", 4, 1, fixed=True))


@pytest.mark.parametrize("repeat", [1, 2])
def test_prompts_from_a_file(repeat: int, folders: dict[str, Path], models: dict[str, Model], images: list[Tensor]) -> None:
    """In batches; the last one is as small as what is left, with the first rows of the noise."""
    lines = ["an apple", "りんご", "", "b", "c"]
    Path("words.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["--from-file", "words.txt", "--repeat", str(repeat), "--n_samples", "3", "--n_iter", "2", "--steps", "5", "--ddim_eta", "1"]
    assert main(["txt2img", "--ckpt", str(folders["epsilon"]), *SIZE, *words]) == 0
    data = list(chain.from_iterable([line] * repeat for line in lines))
    batches = [data[i : i + 3] for i in range(0, len(data), 3)]
    agree(images, Original(models["epsilon"], 42, 7.5).txt2img(batches, 2, (3, *SHAPE), "ddim", 5, 1))


def test_many_pictures_at_a_time_go_through_the_network_in_parts(
    folders: dict[str, Path], models: dict[str, Model], images: list[Tensor]
) -> None:
    words = ["--prompt", "x", "--n_samples", "11", "--n_iter", "2", "--steps", "4", "--ddim_eta", "1", "--n_rows", "4"]
    assert main(["txt2img", "--ckpt", str(folders["epsilon"]), *SIZE, *words]) == 0
    agree(images, Original(models["epsilon"], 42, 7.5).txt2img([["x"] * 11], 2, (11, *SHAPE), "ddim", 4, 1))
    assert Image.open("outputs/txt2img-samples/grid-0000.png").size == (4 * 26 + 2, 6 * 18 + 2)


@pytest.mark.parametrize(
    ("steps", "strength", "eta", "scale"), [(10, 0.75, 0.0, 5.0), (30, 1.0, 0.0, 5.0), (10, 0.4, 1.0, 1.0), (10, 0.05, 0.0, 5.0)]
)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_img2img(
    prediction: str,
    steps: int,
    strength: float,
    eta: float,
    scale: float,
    folders: dict[str, Path],
    models: dict[str, Model],
    images: list[Tensor],
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (33, 70, 3), dtype=np.uint8)
    Image.fromarray(noise).save("in.png")
    numbers = ["--ddim_steps", str(steps), "--strength", str(strength), "--ddim_eta", str(eta), "--scale", str(scale), "--n_iter", "2"]
    common = ["--prompt", "an apple", "--ckpt", str(folders[prediction]), "--device", "cpu"]
    assert main(["img2img", "--init-img", "in.png", *common, *numbers]) == 0
    small = Image.open("in.png").convert("RGB").resize((64, 32), Image.Resampling.LANCZOS)
    image = 2.0 * torch.from_numpy(np.asarray(small).astype(np.float32) / 255).permute(2, 0, 1) - 1
    theirs = Original(models[prediction], 42, scale).img2img(image, ["an apple"] * 2, 2, steps, strength, eta)
    agree(images, theirs)
    saved = [np.asarray(Image.open(f"outputs/img2img-samples/samples/{i:05}.png")) for i in range(4)]
    np.testing.assert_array_equal(np.asarray(Image.open("outputs/img2img-samples/grid-0000.png")), grid_pixels(saved, 2))


def test_img2img_with_a_fixed_code(folders: dict[str, Path], models: dict[str, Model], images: list[Tensor]) -> None:
    image = torch.zeros(3, 32, 32)
    pictures.truncated(image).save("in.png")
    image = pictures.read_picture(Path("in.png"), 32)
    common = ["--prompt", "x", "--ckpt", str(folders["epsilon"]), "--device", "cpu", "--steps", "4", "--n_iter", "2", "--fixed_code"]
    assert main(["img2img", "--init-img", "in.png", *common]) == 0
    agree(images, Original(models["epsilon"], 42, 5.0).img2img(image, ["x"] * 2, 2, 4, 0.75, fixed=True))


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


@pytest.mark.parametrize(("steps", "count"), [(50, 50), (30, 31), (7, 8), (1, 1), (29, 30), (400, 500), (500, 500)])
def test_timesteps(steps: int, count: int) -> None:
    assert list(levels.timesteps(1000, steps)) == ldm_timesteps(steps)
    assert (len(levels.timesteps(1000, steps)) == count) or steps == 29
    walk = levels.ddim(NoiseSchedule(), steps, 0.0)
    wanted = [np.sqrt((1 - ABAR[t]) / ABAR[t]) for t in (*ldm_timesteps(steps), 0)]
    assert walk.sigmas == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("steps", [300, 333, 501, 1000, 1001, 0, -1])
def test_timesteps_beyond_the_table(steps: int) -> None:
    with pytest.raises(KakusanError, match=rf"ddim_steps is {steps}; .*: try (\d+)") as caught:
        levels.timesteps(1000, steps)
    assert levels.timesteps(1000, int(str(caught.value).rsplit(" ", 1)[1]))


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


def test_other_latent_sizes(folders: dict[str, Path], models: dict[str, Model], images: list[Tensor]) -> None:
    """--f divides the size; odd latents work."""
    words = ["--ckpt", str(folders["epsilon"]), "--prompt", "x", "--H", "40", "--W", "24", "--f", "8", "--steps", "4", "--n_iter", "1"]
    assert main(["txt2img", *words]) == 0
    agree(images, Original(models["epsilon"], 42, 7.5).txt2img([["x"] * 3], 1, (3, 4, 5, 3), "ddim", 4))


def test_numbers_of_an_nvidia_gpu(folders: dict[str, Path], models: dict[str, Model], images: list[Tensor]) -> None:
    """--rng nv: other start noise than the CPU's, and the picture's own latents are drawn on the CPU all the same."""
    words = ["--ckpt", str(folders["epsilon"]), "--prompt", "x", *SIZE, "--steps", "4", "--n_iter", "2", "--rng", "nv"]
    assert main(["txt2img", *words]) == 0
    from kakusan.noise import SeededNoise

    original, stream = Original(models["epsilon"], 42, 7.5), SeededNoise(42, source="nv")
    original.randn = stream.randn  # type: ignore[method-assign, assignment]
    agree(images, original.txt2img([["x"] * 3], 2, (3, *SHAPE), "ddim", 4))


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
    monkeypatch.setattr("kakusan.pipeline.load", lambda *_, **__: pipe)
    assert main(["txt2img", "--ckpt", str(folders["epsilon"])]) == 2
    assert "a model for inpainting" in capsys.readouterr().err


def test_without_a_checkpoint_the_embedded_model_draws_in_its_own_way(
    folders: dict[str, Path], models: dict[str, Model], images: list[Tensor], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    model = tiny_model(towers=False)
    model.schedule, model.settings = NoiseSchedule(), {"defaults": {"steps": 5, "scale": 2.5}, "words": ["apple"]}
    write_folder(model, Path("embedded"), torch.float32)
    monkeypatch.setattr("kakusan.pipeline.EMBEDDED", Path("embedded"))
    assert main(["txt2img", "--prompt", "apple", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert len(out.split()) == 7
    assert err.splitlines()[0] == f"note: no --ckpt, and no {opening.CKPT}: the small model inside kakusan draws, in its own size"
    agree(images, Original(models["epsilon"], 42, 2.5).txt2img([["apple"] * 3], 2, (3, 4, 8, 8), "ddim", 5))
    assert main(["img2img", "--init-img", out.split()[0], "--prompt", "a zebra", "--skip_grid"]) == 2, "16 pixels are too few"
    capsys.readouterr()
    Image.new("RGB", (640, 480)).save("in.png")
    monkeypatch.setattr("kakusan.compat.compvis.img2img.MULTIPLE", {"other": 8})
    assert main(["img2img", "--init-img", "in.png", "--prompt", "a zebra", "--skip_grid"]) == 0
    out, err = capsys.readouterr()
    assert Image.open(out.split()[0]).size == (16, 16)
    assert "zebra" in err


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
