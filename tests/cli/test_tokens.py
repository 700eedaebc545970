"""kakusan tokens: what a prompt is, told without torch; and the options of how prompts are read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kakusan.cli import main
from kakusan.cli.options_wording import add_arguments, wording
from kakusan.cli.parser import Parser
from kakusan.prompts.prompt import DIALECTS
from kakusan.prompts.tokenizer import Tokenizer
from kakusan.tasks.wording import EMPHASES, USUALLY, Wording

Captured = pytest.CaptureFixture[str]


def told(captured: Captured, *words: str) -> dict:
    assert main(["tokens", *words, "--json"]) == 0
    return json.loads(captured.readouterr().out)


def test_words_and_what_they_weigh(capsys: Captured) -> None:
    report = told(capsys, "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).")
    ((chunk,),) = [stage["chunks"] for stage in report["parts"][0]["stages"]]
    weights = {word["text"]: word["weight"] for word in chunk["words"]}
    assert weights == {"a": 1.1, "house": 1.573, "on": 1.0, "hill": 0.55, ", sun ,": 1.1, "sky": 1.4641, ".": 1.1}
    assert main(["tokens", "a (red:1.2) apple", "--dialect", "plain"]) == 0
    assert "1.200" not in capsys.readouterr().out


def test_a_long_prompt_shows_where_its_chunks_end(capsys: Captured) -> None:
    report = told(capsys, "red " * 60 + ", " + "blue " * 40)
    (stage,) = report["parts"][0]["stages"]
    assert [chunk["tokens"] for chunk in stage["chunks"]] == [61, 40]
    assert (stage["tokens"], stage["counted"]) == (101, 115)
    report = told(capsys, "red " * 60 + ", " + "blue " * 40, "--comma", "0")
    assert [chunk["tokens"] for chunk in report["parts"][0]["stages"][0]["chunks"]] == [75, 26]
    assert main(["tokens", "a cat BREAK a dog", "--lang", "en"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("4 tokens in 2 chunks of 75\nchunk 1: 2  1.000  a cat\nchunk 2: 2  1.000  a dog\n")


def test_what_is_said_when_and_beside_what(capsys: Captured) -> None:
    report = told(capsys, "[a cat:a dog:0.5] AND a tree :0.5", "--steps", "10", "--sampler", "Heun")
    assert report["evaluations"] == 20
    assert [part["weight"] for part in report["parts"]] == [1.0, 0.5]
    assert [(stage["first"], stage["last"]) for stage in report["parts"][0]["stages"]] == [(1, 11), (12, 20)]
    assert told(capsys, "a cat <lora:x:0.5>")["tags"] == [{"kind": "lora", "name": "x", "text": 0.5, "unet": 0.5}]


def test_it_speaks_japanese_and_reads_it(capsys: Captured) -> None:
    assert main(["tokens", "赤い(りんご:1.3) BREAK [猫:犬:10]", "--lang", "ja"]) == 0
    out = capsys.readouterr().out
    assert "1.300  りんご" in out
    assert "20 回の計算のうち 1 から 11 回目:" in out
    assert "区切り 2" in out


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; from kakusan.cli import main; assert main(['tokens', 'a (red:1.2) [cat|dog]']) == 0;"
        "print([m for m in ('torch', 'numpy', 'PIL', 'rich') if m in sys.modules], file=sys.stderr)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr == "[]\n"


def test_other_models_have_other_tokens(tmp_path: Path, capsys: Captured) -> None:
    Tokenizer.clip(pad=0).save(tmp_path / "model" / "tokenizer")
    report = told(capsys, "astronauts riding", "--model", str(tmp_path / "model"))
    assert report["parts"][0]["stages"][0]["tokens"] == len(Tokenizer.clip().encode("astronauts riding")) == 2
    (tmp_path / "sd.safetensors").write_bytes(b"")
    assert told(capsys, "astronauts riding", "--model", str(tmp_path / "sd.safetensors")) == report
    assert main(["tokens", "cat", "--model", str(tmp_path / "none")]) == 3
    assert main(["tokens", "cat", "--steps", "0"]) == 2
    assert main(["tokens", "cat", "--sampler", "none"]) == 2
    assert capsys.readouterr().err.count("\n") == 3


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], USUALLY),
        (["--dialect", "comfyui", "--clip-skip", "2"], Wording("comfyui", clip_skip=2)),
        (["--emphasis", "no_norm", "--comma", "0", "--old-timelines"], Wording(emphasis="no_norm", backtrack=0, old_timelines=True)),
        (["--pad-prompts"], Wording(pad=True)),
    ],
)
def test_options_say_how_prompts_are_read(words: list[str], meant: Wording) -> None:
    parser = Parser(prog="draw")
    add_arguments(parser)
    assert wording(parser.parse(words)) == meant


def test_options_know_every_dialect_and_emphasis() -> None:
    from kakusan.cli import options_wording

    assert options_wording.DIALECTS == DIALECTS
    assert tuple(EMPHASES) == options_wording.EMPHASES
