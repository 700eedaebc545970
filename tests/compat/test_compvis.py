"""kakusan.compat.compvis: pictures, files, noise and formulas of the reference scripts, against those written out in ldm_scripts."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from compat.conftest import PREDICTIONS
from compat.ldm_scripts import ABAR, Original, grid_pixels, ldm_timesteps, pixels
from formats import originals
from formats.tiny import tiny_model
from kakusan.cli import main
from kakusan.compat.compvis import levels, opening, pictures
from kakusan.errors import KakusanError
from kakusan.formats.folder import write_folder
from kakusan.formats.model import Model
from kakusan.formats.single import read_single
from kakusan.schedules import NoiseSchedule

Captured = pytest.CaptureFixture[str]
SIZE = ["--H", "16", "--W", "24", "--device", "cpu"]
SHAPE = (4, 8, 12)  # c h w of such a picture's latents


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder, in English."""
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "KAKUSAN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")


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
        ("ddim", 13, 0.0, 7.5),
        ("ddim", 10, 1.0, 7.5),
        ("ddim", 10, 0.5, 1.0),
        ("plms", 10, 0.0, 7.5),
        ("plms", 13, 0.0, 1.0),
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
    Path("words.txt").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")  # a mark at the start, as some editors leave
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
    ("steps", "strength", "eta", "scale"), [(8, 0.75, 0.0, 5.0), (15, 1.0, 0.0, 5.0), (10, 0.4, 1.0, 1.0), (10, 0.05, 0.0, 5.0)]
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
    noise = np.random.default_rng(0).integers(0, 256, (33, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save("in.png")
    numbers = ["--ddim_steps", str(steps), "--strength", str(strength), "--ddim_eta", str(eta), "--scale", str(scale), "--n_iter", "2"]
    common = ["--prompt", "an apple", "--ckpt", str(folders[prediction]), "--device", "cpu"]
    assert main(["img2img", "--init-img", "in.png", *common, *numbers]) == 0
    small = Image.open("in.png").convert("RGB").resize((32, 32), Image.Resampling.LANCZOS)
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


@pytest.mark.parametrize(("family", "sampler"), [("sd1", "plms"), ("sd2 768", "ddim")])
def test_checkpoints_of_the_true_structure(family: str, sampler: str, checkpoints: dict[str, Path], images: list[Tensor]) -> None:
    ckpt = checkpoints[family]
    words = ["--prompt", "an apple", "--H", "64", "--W", "64", "--ddim_steps", "5", "--n_iter", "1", "--seed", "42", "--device", "cpu"]
    words += ["--ckpt", str(ckpt), "--config", str(ckpt.with_suffix(".yaml")), *(["--plms"] if sampler == "plms" else [])]
    assert main(["txt2img", *words]) == 0
    model = read_single(ckpt, config=ckpt.with_suffix(".yaml"))
    assert model.schedule.prediction == originals.FAMILIES[family].prediction
    agree(images, Original(model, 42, 7.5).txt2img([["an apple"] * 3], 1, (3, 4, 8, 8), sampler, 5))


def test_without_a_checkpoint_the_embedded_model_draws_in_its_own_way(
    folders: dict[str, Path], models: dict[str, Model], images: list[Tensor], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    model = tiny_model(towers=False)
    model.schedule, model.settings = NoiseSchedule(), {"defaults": {"steps": 5, "scale": 2.5}, "words": ["apple"]}
    write_folder(model, Path("embedded"), torch.float32)
    monkeypatch.setattr("kakusan.loading.EMBEDDED", Path("embedded"))
    assert main(["txt2img", "--prompt", "apple", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert len(out.split()) == 7
    assert err.splitlines()[0] == f"note: no --ckpt, and no {opening.CKPT}: the small model inside kakusan draws, in its own size"
    agree(images, Original(models["epsilon"], 42, 2.5).txt2img([["apple"] * 3], 2, (3, 4, 8, 8), "ddim", 5))
    assert main(["img2img", "--init-img", out.split()[0], "--prompt", "a zebra", "--skip_grid"]) == 2, "16 pixels are too few"
    capsys.readouterr()
    Image.new("RGB", (640, 480)).save("in.png")
    monkeypatch.setattr("kakusan.compat.compvis.img2img.MULTIPLE", {"quick_gelu": 8})
    assert main(["img2img", "--init-img", "in.png", "--prompt", "a zebra", "--skip_grid"]) == 0
    out, err = capsys.readouterr()
    assert Image.open(out.split()[0]).size == (16, 16)
    assert "zebra" in err
