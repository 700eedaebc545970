"""kakusan info, convert and merge on files of the published models' true structure, scaled down, and on folders."""

import functools
import hashlib
import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from formats import originals
from formats.originals import FAMILIES, averaged_tensors, config, write_config
from kakusan.cli import convert, main
from kakusan.cli.parser import Parser
from kakusan.messages import speak
from pages import blocks

Captured = pytest.CaptureFixture[str]
DOCS = Path(__file__).parents[2] / "docs"
QUICK = ("--steps", "1", "--width", "64", "--height", "64", "--quiet")
UNET = "model.diffusion_model."


@functools.cache
def _drawn(name: str, seed: int) -> dict[str, Tensor]:
    return originals.tensors(FAMILIES[name], seed)


def tensors(name: str, seed: int = 0) -> dict[str, Tensor]:
    return dict(_drawn(name, seed))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a, b, c: SD1 with other weights each; full: with averages beside them; paint: inpainting; old.ckpt: the first as torch saves it."""
    folder = tmp_path_factory.mktemp("files")
    for seed, name in enumerate("abc"):
        save_file(tensors("sd1", seed), folder / f"{name}.safetensors", metadata={"title": name})
    save_file(averaged_tensors(tensors("sd1")), folder / "full.safetensors")
    save_file(tensors("sd1 inpainting", 5), folder / "paint.safetensors")
    torch.save({"epoch": 3, "global_step": 470000, "state_dict": tensors("sd1")}, folder / "old.ckpt")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAKUSAN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def told(capsys: Captured, *words: object) -> dict[str, object]:
    capsys.readouterr()
    assert main(["info", "--json", *map(str, words)]) == 0
    report: dict[str, object] = json.loads(capsys.readouterr().out)
    return report


def refused(capsys: Captured, code: int, *words: object) -> str:
    """What is said, on one line, by a command that ends with `code` and leaves nothing behind."""
    capsys.readouterr()
    before = set(Path().rglob("*"))
    assert main(list(map(str, words))) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kakusan: ")
    assert err.count("\n") == 1
    assert set(Path().rglob("*")) - {Path("cache"), Path("cache/hashes.json")} == before - {Path("cache"), Path("cache/hashes.json")}
    return err


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], t) and one[name].dtype == t.dtype for name, t in other.items())


def test_info_of_a_checkpoint(files: Path, capsys: Captured) -> None:
    report = told(capsys, files / "old.ckpt")
    state = tensors("sd1")
    count = sum(t.numel() for name, t in state.items() if name.startswith(UNET))
    digest = hashlib.sha256((files / "old.ckpt").read_bytes()).hexdigest()
    assert report == {
        "format": "ckpt",
        "kind": "a whole model",
        "family": "sd1",
        "variant": "",
        "prediction": "epsilon",
        "dtype": {"unet": "float32", "autoencoder": "float32", "text": "float32"},
        "parameters": {"unet": count, "autoencoder": report["parameters"]["autoencoder"], "text": report["parameters"]["text"]},
        "ema": "leftovers",
        "sha256": digest,
        "short_hash": digest[:10],
        "metadata": {"epoch": "3", "global_step": "470000"},
        "tensors": len(state),
        "extra": [],
    }
    assert main(["info", str(files / "old.ckpt")]) == 0
    text = capsys.readouterr().out
    for line in (
        r"family +sd1",
        r"predicts +epsilon \(.*\)",
        rf"short hash +{digest[:10]}",
        rf"unet +{count:,} +float32",
        "  global_step: 470000",
    ):
        assert re.search(f"^{line}$", text, re.M), line
    speak("ja")
    assert main(["info", str(files / "old.ckpt"), "--lang", "ja"]) == 0
    assert re.search(r"^系統 +sd1$", capsys.readouterr().out, re.M)
    speak(None)


@pytest.mark.parametrize(
    ("name", "words", "prediction"),
    [
        ("sd1 inpainting", "sd1 inpainting", "epsilon"),
        ("sd2 base", "sd2", "epsilon"),
        ("sd2 768", "sd2 v-prediction", "v-prediction"),
        ("sd2 inpainting", "sd2 inpainting", "epsilon"),
        ("sd2 depth", "sd2 depth", "epsilon"),
        ("x4", "sd_x4 v-prediction", "v-prediction"),
    ],
)
def test_info_names_every_family(name: str, words: str, prediction: str, capsys: Captured) -> None:
    """Also without the .yaml beside the file, of which SD2's prediction is known."""
    save_file({n: t.half() if t.is_floating_point() else t for n, t in tensors(name).items()}, "x.safetensors")
    write_config(config(FAMILIES[name]), Path("x.yaml"))
    assert main(["info", "x.safetensors"]) == 0
    assert re.search(rf"^family +{words}$", capsys.readouterr().out, re.M)
    report = told(capsys, "x.safetensors")
    assert report["prediction"] == prediction
    assert set(report["dtype"].values()) == {"float16"}
    Path("x.yaml").rename("other.yaml")
    assert told(capsys, "x.safetensors", "--config", "other.yaml") == report
    alone = told(capsys, "x.safetensors")
    assert (alone["family"], alone["variant"]) == (report["family"], report["variant"])
    if name in ("sd2 base", "sd2 768"):
        assert alone["prediction"] is None
        assert main(["info", "x.safetensors"]) == 0
        assert "epsilon or v-prediction" in capsys.readouterr().out


def test_info_of_what_is_no_model(here: Path, capsys: Captured) -> None:
    state = tensors("sd1")
    alone = {name.removeprefix("first_stage_model."): t for name, t in state.items() if name.startswith("first_stage_model.")}
    for names, kind in (
        (
            {"lora_unet_x.lora_up.weight": torch.zeros(8, 4), "lora_unet_x.alpha": torch.tensor(4.0)},
            "a LoRA, to be used together with a model",
        ),
        ({"emb_params": torch.zeros(3, 768)}, "a textual inversion: words for a prompt"),
        ({"conditioner.embedders.0.x": torch.zeros(1)} | state, "a model of Stable Diffusion XL"),
        ({"seven": torch.zeros(7)}, "none of the kinds that kakusan knows"),
        (alone, "an autoencoder alone (VAE)"),
        ({name.removeprefix(UNET): t for name, t in state.items() if name.startswith(UNET)}, "a U-Net alone"),
    ):
        save_file(names, "x.safetensors")
        report = told(capsys, "x.safetensors")
        assert report["kind"] == kind
        assert sum(report["parameters"].values()) == sum(t.numel() for t in names.values() if t.is_floating_point())
        assert main(["info", "x.safetensors"]) == 0
        assert kind in capsys.readouterr().out
    lora = {"lora_unet_x.lora_up.weight": torch.randn(8, 4)}
    save_file(lora, "x.safetensors", metadata={"ss_tags": "x" * 5000})
    assert main(["info", "x.safetensors"]) == 0
    text = capsys.readouterr().out
    assert hashlib.sha256(lora["lora_unet_x.lora_up.weight"].numpy().tobytes()).hexdigest()[:12] in text
    assert max(map(len, text.splitlines())) < 200


def test_info_shows_what_is_strange_and_obeys_nothing(files: Path, capsys: Captured) -> None:
    state = load_file(files / "full.safetensors") | {"some\x1b[31m.addition": torch.zeros(2)}
    save_file(state, "x.safetensors", metadata={"evil": "a\x1b]0;title\x07\nb"})
    assert main(["info", "x.safetensors"]) == 0
    text = capsys.readouterr().out
    assert "both raw and averaged weights" in text
    assert r"tensors of no network that kakusan knows: 1 (some\x1b[31m.addition)" in text
    assert r"  evil: a\x1b]0;title\x07\nb" in text
    assert "\x1b" not in text
    report = told(capsys, "x.safetensors")
    assert (report["ema"], report["extra"]) == ("full", ["some\x1b[31m.addition"])


def test_a_probe_tells_what_the_file_does_not(capsys: Captured) -> None:
    save_file(tensors("sd2 base"), "x.safetensors")
    write_config(config(FAMILIES["sd2 base"]), Path("y.yaml"))
    assert told(capsys, "x.safetensors")["prediction"] is None
    assert told(capsys, "x.safetensors", "--config", "y.yaml", "--probe")["prediction"] == "epsilon"


def test_info_of_damaged_files(files: Path, capsys: Captured) -> None:
    whole = (files / "a.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(whole[:-100])
    Path("empty.safetensors").touch()
    Path("page.ckpt").write_text("<!DOCTYPE html><html></html>")
    Path("cut.ckpt").write_bytes((files / "old.ckpt").read_bytes()[:-5000])
    for name in ("cut.safetensors", "empty.safetensors", "page.ckpt", "cut.ckpt", "missing.ckpt"):
        assert name in refused(capsys, 3, "info", name)
        assert name in refused(capsys, 3, "convert", name, "out.safetensors")
        assert name in refused(capsys, 3, "merge", files / "a.safetensors", name, "out.safetensors", "--ratio", 0.5)


def test_info_of_a_folder_has_the_same_names(folder: Path, files: Path, capsys: Captured) -> None:
    report, other = told(capsys, folder), told(capsys, files / "a.safetensors")
    assert other.keys() <= report.keys()
    assert (report["format"], report["variant"], report["prediction"]) == ("folder", "", "epsilon")
    assert report["parameters"]["unet"] == report["networks"]["unet"]["parameters"]


def test_a_checkpoint_becomes_safetensors(files: Path, capsys: Captured) -> None:
    assert main(["convert", str(files / "old.ckpt"), "new.safetensors"]) == 0
    assert capsys.readouterr().out == "new.safetensors\n"
    assert same(load_file("new.safetensors"), tensors("sd1"))
    with safe_open("new.safetensors", "pt") as file:
        assert file.metadata() == {"epoch": "3", "global_step": "470000"}
    assert "new.safetensors: already there" in refused(capsys, 3, "convert", files / "a.safetensors", "new.safetensors")
    assert main(["convert", "new.safetensors", "new.safetensors", "--dtype", "fp16", "--force", "-q"]) == 0
    halves = load_file("new.safetensors")
    assert halves["betas"].dtype == torch.float32
    assert torch.equal(halves[f"{UNET}time_embed.0.weight"], tensors("sd1")[f"{UNET}time_embed.0.weight"].half())
    for wrong in ("new.ckpt", "new.bin"):
        assert "kakusan writes safetensors files only" in refused(capsys, 2, "convert", files / "a.safetensors", wrong)


def test_averages_and_autoencoder_are_chosen(files: Path, capsys: Captured) -> None:
    state = tensors("sd1")
    for option, factor in (("--ema", 0.5), ("--no-ema", 1.0)):
        assert main(["convert", str(files / "full.safetensors"), f"x{option}.safetensors", option]) == 0
        found = load_file(f"x{option}.safetensors")
        assert not [name for name in found if name.startswith("model_ema.")]
        assert torch.equal(found[f"{UNET}time_embed.0.weight"], state[f"{UNET}time_embed.0.weight"] * factor)
    assert main(["convert", str(files / "full.safetensors"), "x", "--ema"]) == 0
    assert "averaged weights (EMA) are used" in capsys.readouterr().err
    weights = load_file("x/unet/diffusion_pytorch_model.safetensors")
    assert torch.equal(weights["time_embedding.linear_1.weight"], state[f"{UNET}time_embed.0.weight"] * 0.5)
    other = tensors("sd1", 1)
    vaes = (files / "b.safetensors", Path("vae/vae/diffusion_pytorch_model.safetensors"))
    assert main(["convert", str(vaes[0]), "vae"]) == 0
    for vae in vaes:
        out = f"{vae.stem}.safetensors"
        assert main(["convert", str(files / "a.safetensors"), out, "--vae", str(vae)]) == 0
        for name, tensor in load_file(out).items():
            assert torch.equal(tensor, (other if name.startswith("first_stage_model.") else state)[name]), name


def test_file_to_folder_and_back(files: Path, capsys: Captured) -> None:
    """The folder is diffusers', which draws with it; the file again has all tensors of the first."""
    assert main(["convert", str(files / "a.safetensors"), "folder"]) == 0
    assert main(["convert", "folder", "back.safetensors"]) == 0
    state, back = tensors("sd1"), load_file("back.safetensors")
    assert back.keys() >= {name for name in state if not name.startswith("model_ema.")}
    for name, tensor in state.items():
        if not name.startswith("model_ema."):
            torch.testing.assert_close(back[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    pipe = StableDiffusionPipeline.from_pretrained("folder")
    weight = pipe.unet.time_embedding.linear_1.weight
    assert torch.equal(weight, state[f"{UNET}time_embed.0.weight"])
    assert told(capsys, "folder")["family"] == "sd1"
    assert "folder: already there" in refused(capsys, 3, "convert", files / "a.safetensors", "folder")
    assert main(["convert", "folder", "folder", "--dtype", "bf16", "--force", "--vae", str(files / "b.safetensors")]) == 0
    assert set(told(capsys, "folder")["dtype"].values()) == {"bfloat16"}
    for option in (["--ema"], ["--config", "x.yaml"]):
        assert "leave --config and --ema out" in refused(capsys, 2, "convert", "folder", "again", *option)
    assert "for writing folders" in refused(capsys, 2, "convert", files / "a.safetensors", "x.safetensors", "--prediction", "epsilon")


def test_what_cannot_be_known_is_said(capsys: Captured) -> None:
    save_file(tensors("sd2 768"), "x.safetensors")
    assert "give its original .yaml as config" in refused(capsys, 3, "convert", "x.safetensors", "folder")
    write_config(config(FAMILIES["sd2 base"]), Path("y.yaml"))
    assert main(["convert", "x.safetensors", "folder", "--config", "y.yaml", "--prediction", "v-prediction"]) == 0
    assert json.loads(Path("folder/scheduler/scheduler_config.json").read_text())["prediction_type"] == "v_prediction"


def test_weights_that_fp16_cannot_hold_are_refused(files: Path, capsys: Captured) -> None:
    state = tensors("sd1")
    state[f"{UNET}time_embed.0.bias"] = torch.full((128,), 1e6)
    save_file(state, "x.safetensors")
    for out in ("y.safetensors", "y"):
        assert "1e+06, too much for fp16; use bf16" in refused(
            capsys, 3 if "." in out else 2, "convert", "x.safetensors", out, "--dtype", "fp16"
        )


def test_merge(files: Path, capsys: Captured) -> None:
    a, b, c = (tensors("sd1", seed) for seed in range(3))
    paths = [str(files / f"{name}.safetensors") for name in "abc"]
    name = f"{UNET}time_embed.0.weight"
    assert main(["merge", *paths[:2], "ab.safetensors", "--ratio", "0.25"]) == 0
    assert capsys.readouterr().out == "ab.safetensors\n"
    torch.testing.assert_close(load_file("ab.safetensors")[name], 0.75 * a[name] + 0.25 * b[name])
    assert main(["merge", "--mode", "add-difference", "--ratio", "1", "--dtype", "fp16", "--vae", paths[2], *paths, "abc.safetensors"]) == 0
    found = load_file("abc.safetensors")
    torch.testing.assert_close(found[name], (a[name] + b[name] - c[name]).half())
    assert torch.equal(found["first_stage_model.quant_conv.weight"], c["first_stage_model.quant_conv.weight"].half())
    assert torch.equal(found["betas"], a["betas"])
    recipe = json.loads(told(capsys, "abc.safetensors")["metadata"]["sd_merge_recipe"])
    assert recipe["primary_model_hash"] == hashlib.sha256(Path(paths[0]).read_bytes()).hexdigest()
    assert (recipe["interp_method"], recipe["save_as_half"], recipe["bake_in_vae"]) == ("Add difference", True, "c.safetensors")
    assert main(["merge", str(files / "paint.safetensors"), paths[0], "paint.safetensors", "--ratio", "0.5"]) == 0
    assert told(capsys, "paint.safetensors")["variant"] == "inpainting"
    assert main(["merge", str(files / "full.safetensors"), paths[1], "full.safetensors", "--ratio", "0.5"]) == 0
    assert "the averaged weights (EMA) of" in capsys.readouterr().err


def test_merges_that_cannot_be(files: Path, capsys: Captured) -> None:
    a, b = files / "a.safetensors", files / "b.safetensors"
    save_file(tensors("sd2 base"), "sd2.safetensors")
    assert "not of one family" in refused(capsys, 2, "merge", a, "sd2.safetensors", "x.safetensors", "--ratio", 0.5)
    assert "give the inpainting model first" in refused(capsys, 2, "merge", a, files / "paint.safetensors", "x.safetensors", "--ratio", 0.5)
    assert "ratio is 2.0" in refused(capsys, 2, "merge", a, b, "x.safetensors", "--ratio", 2)
    assert "weighted merges two models" in refused(capsys, 2, "merge", a, b, b, "x.safetensors", "--ratio", 0.5, "--mode", "weighted")
    assert "--ratio" in refused(capsys, 2, "merge", a, b, "x.safetensors")
    assert "safetensors files only" in refused(capsys, 2, "merge", a, b, "x.ckpt", "--ratio", 0.5)
    assert "is a folder" in refused(capsys, 3, "merge", a, files, "x.safetensors", "--ratio", 0.5)
    Path("y.safetensors").touch()
    assert "already there" in refused(capsys, 3, "merge", a, b, "y.safetensors", "--ratio", 0.5)
    state = tensors("sd1")
    state[f"{UNET}time_embed.0.bias"] = torch.full((128,), float("nan"))
    save_file(state, "nan.safetensors")
    assert "nan.safetensors: model.diffusion_model.time_embed.0.bias holds" in refused(
        capsys, 3, "merge", a, "nan.safetensors", "x.safetensors", "--ratio", 0.5
    )


def test_progress_of_what_takes_long(files: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kakusan.cli.transfer.PATIENCE", 0.0)
    monkeypatch.setattr("kakusan.cli.transfer.LINES_EVERY", 0.0)
    words = ["merge", str(files / "a.safetensors"), str(files / "b.safetensors"), "ab.safetensors", "--ratio", "0.5", "--force"]
    assert main(words) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "merging: 100%"
    assert "hashing: 100%" in lines
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(words) == 0
    assert "merging" in capsys.readouterr().err
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_every_command_of_the_page(files: Path, capsys: Captured) -> None:
    """On small files; pictures are small too. The Japanese page has the same."""
    page = DOCS / "checkpoints.md"
    for name, original in (("model", "a"), ("a", "a"), ("b", "b"), ("c", "c"), ("vae", "b"), ("full", "full")):
        Path(f"{name}.safetensors").symlink_to(files / f"{original}.safetensors")
    Path("old.ckpt").symlink_to(files / "old.ckpt")
    write_config(config(FAMILIES["sd1"]), Path("model.yaml"))
    (program,) = blocks(page, "python")
    exec(compile(program, page.name, "exec"), {})
    assert capsys.readouterr().out.startswith("sd1 ")
    commands = [shlex.split(line) for block in blocks(page, "sh") for line in block.splitlines()]
    assert len(commands) == 14
    for program, *words in sorted(commands, key=lambda words: words[1:] == ["info", "folder"]):  # of a folder made further down
        assert program == "kakusan"
        assert main([*words, *(QUICK if "--model" in words else ())]) == 0, words
        assert capsys.readouterr().out


@pytest.mark.parametrize("page", ["checkpoints.md", "checkpoints.ja.md"])
def test_the_page_names_the_programs_options(page: str) -> None:
    parser = Parser("kakusan convert")
    convert.add_arguments(parser)
    told = set(re.findall(r"`(--[a-z-]+)`", "".join(re.findall(r"^\| `--.*? \|", (DOCS / page).read_text(encoding="utf-8"), re.M))))
    known = {option for option in parser._option_string_actions if option.startswith("--")}
    assert told == known - {"--help", "--lang", "--quiet"}
