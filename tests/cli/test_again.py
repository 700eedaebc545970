"""kakusan again, through the command line: our own pictures to the last bit, other programs' as told, any option over them."""

import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

import kakusan
from kakusan.cli import main
from kakusan.formats.folder import read_folder
from kakusan.formats.lora_names import Place, written
from kakusan.images import picture_bytes
from kakusan.memory import remembered

Captured = pytest.CaptureFixture[str]
QUICK = ["--steps", "3", "-q", "--no-grid"]
TINY: list[str] = []  # the words that name a model of random weights


@pytest.fixture(autouse=True)
def here(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TINY[:] = ["--model", str(folder)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("KAKUSAN_CACHE", str(tmp_path / "cache"))


def drawn(capsys: Captured, *words: str, code: int = 0) -> list[Path]:
    """Run a command, and return the pictures that it names."""
    assert main([*words]) == code, capsys.readouterr().err
    return [Path(line) for line in capsys.readouterr().out.split()]


def again(capsys: Captured, picture: Path, *words: str, model: list[str] | None = None) -> Path:
    (path,) = drawn(capsys, "again", str(picture), *words, "--outdir", "again", "-q", *(TINY if model is None else model))
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def pictures() -> None:
    """A picture and a mask in the folder."""
    ramp = np.linspace(0, 255, 96 * 64 * 3).reshape(64, 96, 3).astype(np.uint8)
    Image.fromarray(ramp).save("sketch.png")
    mask = np.zeros((64, 96), np.uint8)
    mask[16:48, 24:72] = 255
    Image.fromarray(mask).save("mask.png")


@pytest.mark.parametrize(
    "words",
    [
        ["a red apple", "--count", "2"],
        ["a (red:1.4) [apple:star:0.5] AND a (blue) car :0.6 BREAK night", "-n", "[blur]", "--pad-prompts", "--emphasis", "no_norm"],
        ["a red++ apple", "--dialect", "compel", "--sampler", "euler_ancestral", "--schedule", "exponential", "--scale", "2.5"],
        ["a red apple", "--count", "2", "--like", "a1111", "--sampler", "dpmpp_sde", "--ensd", "31337"],
        ["a red apple", "--count", "2", "--like", "comfyui", "--sampler", "euler_ancestral", "--rng", "cuda"],
        ["a red apple", "--count", "2", "--variation-strength", "0.4", "--variation-seed", "5", "--seed-size", "32x64"],
        ["a red apple", "--width", "128", "--height", "96", "--hires", "pixels", "--hires-strength", "0.5"],
        ["a red apple", "--width", "160", "--windows", "--tileable", "x"],
        ["a red apple", "--upscale", "2", "--upscale-method", "lanczos"],
        ["a red apple", "--width", "256", "--height", "256"],
    ],
    ids=["batch", "words", "compel", "a1111", "comfyui", "variations", "hires", "windows", "upscale", "watermark"],
)
def test_every_picture_of_a_call_comes_back_bit_for_bit_alone(words: list[str], capsys: Captured) -> None:
    for picture in drawn(capsys, *words, *QUICK, *TINY):
        made = again(capsys, picture)
        np.testing.assert_array_equal(pixels(made), pixels(picture))
        assert remembered(made).recipe == remembered(picture).recipe
        shutil.rmtree("again")


def test_the_embedded_models_pictures_need_no_model_named(capsys: Captured) -> None:
    for picture in drawn(capsys, "a red apple", "--count", "2", *QUICK):
        np.testing.assert_array_equal(pixels(again(capsys, picture, model=[])), pixels(picture))


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
def test_other_formats(kind: str, capsys: Captured) -> None:
    (picture,) = drawn(capsys, "りんご", *QUICK, *TINY, "--format", kind)
    np.testing.assert_array_equal(pixels(again(capsys, picture, "--format", kind)), pixels(picture))


@pytest.mark.parametrize(
    "words",
    [
        ["--image", "sketch.png", "--strength", "0.6", "--resize", "fill", "--width", "64", "--height", "64"],
        ["--image", "sketch.png", "--mask", "mask.png", "--mask-blur", "2", "--fill", "noise", "--strength", "0.9"],
        ["--image", "sketch.png", "--mask", "mask.png", "--only-masked", "--mask-padding", "8"],
    ],
    ids=["img2img", "inpaint", "only-masked"],
)
def test_pictures_out_of_pictures_need_them(words: list[str], capsys: Captured) -> None:
    pictures()
    (picture,) = drawn(capsys, "a red apple", *words, *QUICK, *TINY)
    assert main(["again", str(picture)]) == 2
    complaint = capsys.readouterr().err
    record = remembered(picture).record
    assert record
    assert record.inputs.image
    assert "give it with --image" in complaint
    assert record.inputs.image.sha256[:10] in complaint
    given = ["--image", "sketch.png", *(["--mask", "mask.png"] if "--mask" in words else [])]
    np.testing.assert_array_equal(pixels(again(capsys, picture, *given)), pixels(picture))
    Image.open("sketch.png").rotate(180).save("other.png")
    assert main(["again", str(picture), "--image", "other.png", *given[2:], "--outdir", "x", "--json", *TINY]) == 0
    assert any("another picture" in note for note in json.loads(capsys.readouterr().out)["notes"])


def test_a_picture_is_known_by_its_pixels_not_its_file(capsys: Captured) -> None:
    pictures()
    (picture,) = drawn(capsys, "a red apple", "--image", "sketch.png", *QUICK, *TINY)
    Image.open("sketch.png").save("sketch.webp", lossless=True)
    assert main(["again", str(picture), "--image", "sketch.webp", "--outdir", "x", "--json", *TINY]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []


def test_what_a_checker_hid_is_hidden_again(capsys: Captured) -> None:
    (picture,) = drawn(capsys, "a banana", "--seed", "3", "--safety-checker", "embedded", "-q")
    made = again(capsys, picture, model=[])
    assert not pixels(made).any()
    np.testing.assert_array_equal(pixels(made), pixels(picture))


def test_any_option_goes_over_it(capsys: Captured) -> None:
    (picture,) = drawn(capsys, "a (red:1.2) apple", *QUICK, *TINY, "--seed", "7", "--pad-prompts", "--sampler", "heun")
    was = remembered(picture).recipe
    made = remembered(again(capsys, picture, "--seed", "9", "--emphasis", "ignore", "--prompt", "a star")).recipe
    assert was
    assert made
    assert (made.seed, made.prompt, made.sampler, made.steps) == (9, "a star", "heun", 3)
    assert (made.wording.pad, made.wording.emphasis) == (True, "ignore")
    assert main(["again", str(picture), "a blue car", "--count", "3", "-q", "--no-grid", "--outdir", "three", *TINY]) == 0
    three = [remembered(Path(line)).recipe for line in capsys.readouterr().out.split()]
    assert [(one.prompt, one.seed) for one in three if one] == [("a blue car", 7), ("a blue car", 8), ("a blue car", 9)]


def test_pictures_of_words_may_become_pictures_of_pictures(capsys: Captured) -> None:
    pictures()
    (picture,) = drawn(capsys, "a red apple", *QUICK, *TINY)
    made = remembered(again(capsys, picture, "--image", "sketch.png", "--strength", "0.5")).recipe
    assert made
    assert (made.mode, made.strength, made.prompt) == ("img2img", 0.5, "a red apple")


def foreign(settings: str, model_hash: str) -> Path:
    info = PngInfo()
    info.add_text("parameters", f"a red apple\nSteps: 3, Sampler: Euler a, CFG scale: 3, Seed: 7, Size: 64x64, {settings}{model_hash}")
    Image.new("RGB", (64, 64)).save("foreign.png", pnginfo=info)
    return Path("foreign.png")


def test_other_programs_pictures(capsys: Captured) -> None:
    """Drawn as `--like a1111` would draw the same words, and what cannot be honoured is told."""
    picture = foreign("Face restoration: GFPGAN, Model: nice, Model hash: ", "1234567890")
    assert main(["again", str(picture)]) == 2
    assert "model nice 1234567890, which is not here" in capsys.readouterr().err
    assert main(["again", str(picture), *TINY, "--outdir", "x", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert any("GFPGAN" in note for note in told["notes"])
    assert any("another model" in note for note in told["notes"])
    words = ["a red apple", "--sampler", "euler_ancestral", "--schedule", "normal", "--scale", "3", "--seed", "7", "--like", "a1111"]
    (ours,) = drawn(capsys, *words, *QUICK, *TINY)
    np.testing.assert_array_equal(pixels(Path(told["files"][0])), pixels(ours))


def test_models_are_found_by_their_hash(folder: Path, capsys: Captured) -> None:
    (picture,) = drawn(capsys, "a red apple", *TINY, *QUICK)
    assert main(["again", str(picture)]) == 2
    assert "--models" in capsys.readouterr().err
    shutil.copytree(folder, "models/deep/renamed")
    np.testing.assert_array_equal(pixels(again(capsys, picture, "--models", "models", model=[])), pixels(picture))


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_info_tells_it_all(kind: str, capsys: Captured) -> None:
    (picture,) = drawn(capsys, "a red apple", *QUICK, *TINY, "--format", kind)
    assert main(["info", str(picture), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["program"], told["notes"], told["recipe"]["prompt"]) == ("kakusan", [], "a red apple")
    assert told["record"]["made"]["dtype"] == "float32"
    assert all(len(digest) == 64 for digest in told["record"]["model"].values())
    assert main(["info", str(picture), "--lang", "ja"]) == 0
    assert "作成環境" in capsys.readouterr().out
    other = foreign("Face restoration: GFPGAN, Model: nice", "")
    assert main(["info", str(other)]) == 0
    out = capsys.readouterr().out
    assert "AUTOMATIC1111" in out
    assert "GFPGAN cannot be honoured" in out


def test_what_cannot_be_drawn_again(capsys: Captured) -> None:
    Image.new("RGB", (8, 8)).save("mute.png")
    Path("text.png").write_text("no")
    for name, code, words in (("mute.png", 2, "does not say how"), ("text.png", 3, "not a picture"), ("none.png", 3, "no such file")):
        assert main(["again", name]) == code
        assert words in capsys.readouterr().err


def test_damaged_records_fall_back_to_the_parameters(capsys: Captured) -> None:
    (picture,) = drawn(capsys, "a red apple", *QUICK, *TINY)
    text = remembered(picture).parameters
    Path("cut.png").write_bytes(picture_bytes(Image.open(picture), "png", text, record='{"kakusan":1,"recipe":5}'))
    assert main(["again", "cut.png", "--outdir", "x", "--json", *TINY]) == 0
    told = json.loads(capsys.readouterr().out)
    assert any("record" in note for note in told["notes"])
    np.testing.assert_array_equal(pixels(Path(told["files"][0])), pixels(picture))


def test_python_saves_the_same_files(folder: Path, capsys: Captured) -> None:
    pictures()
    pipe = kakusan.load(folder)
    words, drawn_from = pipe("a red apple", count=2, steps=3, seed=7), pipe("a red apple", image="sketch.png", strength=0.5, seed=9)
    (_, second), (other,) = words.save("python", "webp"), drawn_from.save("python")
    assert [path.name for path in (second, other)] == ["00001-8.webp", "00002-9.png"]
    np.testing.assert_array_equal(pixels(again(capsys, second)), np.asarray(words.images[1]))
    np.testing.assert_array_equal(pixels(again(capsys, other, "--image", "sketch.png")), np.asarray(drawn_from.images[0]))
    assert remembered(second).recipe == words.recipes[1]


def test_a_prompt_in_japanese_comes_back_in_the_english_it_was_drawn_in(capsys: Captured) -> None:
    (picture,) = drawn(capsys, "赤いりんごと(青い:1.2)車", "--translate", "lexicon", *QUICK, *TINY)
    made = again(capsys, picture)
    np.testing.assert_array_equal(pixels(made), pixels(picture))
    was, now = remembered(picture).recipe, remembered(made).recipe
    assert was
    assert was == now
    assert was.translated.prompt == "赤いりんごと(青い:1.2)車"
    other = remembered(again(capsys, picture, "--prompt", "a star")).recipe
    assert other
    assert (other.prompt, other.translated.prompt) == ("a star", "")


def test_bombs_are_refused_before_they_are_decoded(capsys: Captured) -> None:
    """A picture of 100,000 x 100,000 pixels in a hundred bytes: what it says is read, its pixels are not."""
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"tEXt", b"parameters\0no recipe"), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    chunks = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts]
    Path("bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    assert main(["info", "bomb.png"]) == 0
    assert "no recipe" in capsys.readouterr().out
    assert main(["again", "bomb.png"]) == 2
    for words in (["verify", "bomb.png"], ["draw", "a", "--image", "bomb.png", *QUICK, *TINY]):
        assert main(words) == 3
        assert "bomb.png" in capsys.readouterr().err


def test_loras_learnt_words_wildcards_and_styles(folder: Path, capsys: Captured) -> None:
    model = read_folder(folder)
    torch.manual_seed(0)
    weight = model.unet.get_submodule("mid.attn.block.ff_in").weight
    stem = "lora_unet_" + written(model, Place("unet", "mid.attn.block.ff_in")).replace(".", "_")
    assert isinstance(weight, torch.Tensor)
    for name in ("loras", "embeddings", "wild"):
        Path(name).mkdir()
    lora = {f"{stem}.lora_down.weight": torch.randn(2, weight.shape[1]), f"{stem}.lora_up.weight": torch.randn(weight.shape[0], 2)}
    save_file(lora, "loras/ink.safetensors")
    torch.save({"string_to_param": {"*": torch.randn(2, model.text.config.width)}}, "embeddings/toy.pt")
    Path("wild/colour.txt").write_text("red\nblue\ngreen\n")
    words = ["a (toy:1.3) __colour__ {apple|star} <lora:ink:0.8>", "--lora", "ink:0.5", "--wildcards", "wild", "--count", "2"]
    plain = drawn(capsys, "a toy", *QUICK, *TINY, "--seed", "3", "--outdir", "plain")
    for picture in drawn(capsys, *words, *QUICK, *TINY, "--seed", "3"):
        made = again(capsys, picture)
        np.testing.assert_array_equal(pixels(made), pixels(picture))
        assert not np.array_equal(pixels(made), pixels(plain[0]))
        shutil.rmtree("again")
