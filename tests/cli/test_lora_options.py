"""LoRAs and learnt words from the command line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from kakusan.cli import main
from kakusan.formats.folder import read_folder
from kakusan.formats.lora_names import Place, written
from kakusan.formats.model import Model
from kakusan.images import parameters

UNET = ("down.0.attn.0.block.attn2.to_k", "mid.attn.block.ff_in", "up.0.res.0.conv1")


@pytest.fixture
def work(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the LoRA `ink` and the word `toy`."""
    monkeypatch.chdir(tmp_path)
    model = read_folder(folder)
    save_file(tensors(model, 1), "ink.safetensors", {"ss_output_name": "inky"})
    torch.save({"string_to_param": {"*": torch.randn(2, model.text.config.width)}}, "toy.pt")
    return tmp_path


def tensors(model: Model, seed: int) -> dict[str, torch.Tensor]:
    generator, made = torch.Generator().manual_seed(seed), {}
    for name in UNET:
        weight = model.unet.get_submodule(name).weight
        assert isinstance(weight, torch.Tensor)
        stem = "lora_unet_" + written(model, Place("unet", name)).replace(".", "_")
        made[f"{stem}.lora_down.weight"] = torch.randn(2, *weight.shape[1:], generator=generator)
        made[f"{stem}.lora_up.weight"] = torch.randn(weight.shape[0], 2, *[1] * (weight.ndim - 2), generator=generator)
    return made


def draw(folder: Path, out: str, *options: str, prompt: str = "a red apple") -> tuple[bytes, str]:
    """The picture's pixels, and what it says of itself."""
    assert main(["draw", prompt, "--model", str(folder), "--seed", "1", "-q", "--outdir", out, *options]) == 0
    (file,) = Path(out).glob("*.png")
    return Image.open(file).tobytes(), parameters(file)


def test_a_file_with_strengths(folder: Path, work: Path) -> None:
    plain, _ = draw(folder, "plain")
    made, said = draw(folder, "made", "--lora", "ink.safetensors:0.8:0.5")
    assert made != plain
    assert 'Loras: "<lora:ink:0.5:0.8>", Lora hashes: "ink: ' in said
    assert draw(folder, "none", "--lora", "ink.safetensors:0")[0] == plain


def test_a_folder_and_a_tag(folder: Path, work: Path) -> None:
    Path("mine").mkdir()
    shutil.copy("ink.safetensors", "mine/Ink.safetensors")
    wanted, _ = draw(folder, "file", "--lora", "ink.safetensors:0.8")
    assert draw(folder, "name", "--lora-folder", "mine", "--lora", "INKY:0.8")[0] == wanted
    assert draw(folder, "tag", "--lora-folder", "mine", prompt="a red apple<lora:ink:0.8>")[0] == wanted


def test_a_learnt_word(folder: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "words").mkdir()
    shutil.copy("toy.pt", "words/apple.pt")
    plain, _ = draw(folder, "plain")
    made, said = draw(folder, "made", "--embedding-folder", "words")
    assert made != plain
    assert 'TI hashes: "apple: ' in said
    assert draw(folder, "file", "--embedding", "words/apple.pt")[0] == made


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--lora", "none.safetensors"], 3, "none.safetensors: is not there"),
        (["--lora", "pen"], 2, "no LoRA 'pen'; there are: none (folder loras/)"),
        (["--lora", "ink.safetensors:1000"], 2, "its strength is 1000.0"),
        (["--lora", ""], 2, "--lora is empty"),
        (["--lora", "toy.pt"], 3, "toy.pt: not a LoRA"),
        (["--embedding", "ink.safetensors"], 3, "holds 6 embeddings"),
    ],
)
def test_what_cannot_be_is_one_line(
    options: list[str], code: int, told: str, folder: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["draw", "a red apple", "--model", str(folder), "-q", *options]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_info_tells_what_they_are(folder: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "ink.safetensors"]) == 0
    out = capsys.readouterr().out
    assert "a LoRA, to be used together with a model" in out
    assert "LoRA, kohya's names" in out
    assert "U-Net 3" in out
    assert main(["info", "ink.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lora"] == {
        "family": "",
        "names": "kohya",
        "form": "LoRA",
        "ranks": {"2": 3},
        "layers": {"unet": 3},
    }
    assert main(["info", "toy.pt"]) == 0
    assert "2 vectors of width 16" in capsys.readouterr().out
    save_file({"emb_params": torch.zeros(4, 768)}, "sd1.safetensors")
    assert main(["info", "sd1.safetensors"]) == 0
    assert "Stable Diffusion 1" in capsys.readouterr().out
