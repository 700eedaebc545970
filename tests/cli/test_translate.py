"""`kakusan translate`, and drawing from Japanese on the command line."""

import json
from pathlib import Path

import pytest
from PIL import Image

from kakusan.cli import main
from kakusan.prompts.japanese.translators import LEXICON

Captured = pytest.CaptureFixture[str]


def test_the_command(capsys: Captured) -> None:
    assert main(["translate", "馬に乗る宇宙飛行士", "(赤い猫:1.3)"]) == 0
    assert capsys.readouterr().out == "astronaut riding horse\n(red cat:1.3)\n"
    assert main(["translate", "赤いゼンデイヤ", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["english"] == "red zendeiya"
    assert told["unknown"] == ["ゼンデイヤ"]
    assert told["pieces"][0] == {"text": "赤い", "english": "red", "kind": "word"}
    assert main(["translate", "--by", "deepl", "猫"]) == 2
    assert main(["--lang", "ja", "translate", "ゼンデイヤ"]) == 0
    assert "訳せなかった言葉: ゼンデイヤ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "prompt"), [(["--translate", "lexicon"], "red apple"), (["--english", "a crimson apple"], "a crimson apple")]
)
def test_drawing(options: list[str], prompt: str, folder: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["赤いりんご", *options, "--model", str(folder), "--steps", "1", "--outdir", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert f"note: in English: {prompt}\n" in said.err
    kept = Image.open(said.out.strip()).info["parameters"]
    assert kept.startswith(f"{prompt}\nSteps: 1")
    assert "Original prompt: 赤いりんご" in kept


def test_a_model_that_knows_japanese_is_given_it(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["赤いりんご", "--model", str(folder), "--steps", "1", "--outdir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"][0].startswith("赤いりんご\n")
    assert main(["赤いりんご", "--english", "x", "--translate", "off", "--model", str(folder)]) == 2


def test_words_left_to_chance_are_translated(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    assert (
        main(["{赤い|青い}猫", "--translate", "lexicon", "--model", str(folder), "--steps", "1", "--outdir", str(tmp_path), "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["parameters"][0].split("\n")[0] in ("red cat", "blue cat", "{red|blue} cat")


def test_again_draws_the_words_that_were_drawn(folder: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Japanese that was drawn as Japanese stays so, although the model would have it translated; a translation is not made anew."""
    draw = ["赤いりんご", "--model", str(folder), "--steps", "1", "--seed", "5", "--outdir"]
    monkeypatch.setattr("kakusan.pipeline.usual_translator", lambda model: LEXICON)
    for option, prompt in (("off", "赤いりんご"), ("lexicon", "red apple")):
        assert main([*draw, str(tmp_path / option), "--translate", option]) == 0
        first = capsys.readouterr().out.strip()
        assert main(["again", first, "--model", str(folder), "--outdir", str(tmp_path / option)]) == 0
        second = capsys.readouterr().out.strip()
        assert Image.open(second).info["parameters"] == Image.open(first).info["parameters"]
        assert Image.open(second).info["parameters"].startswith(prompt)
        assert Image.open(second).tobytes() == Image.open(first).tobytes()
