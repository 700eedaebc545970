"""Words left to chance, every combination, styles, prompts of a file."""

import time
from collections import Counter
from pathlib import Path

import pytest

from kakusan.errors import FileError, KakusanError
from kakusan.prompts.matrix import combinations
from kakusan.prompts.requests import Request, read_requests
from kakusan.prompts.styles import Style, named, read_styles, styled
from kakusan.prompts.wildcards import Wildcards


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "animals").mkdir()
    files = {
        "colour": "# a comment\nred\n\n blue \n",
        "animals/cats": "a __colour__ {tiger|lion}",
        "beast": "__animals/cats__\ndragon",
        "a": "__b__",
        "b": "x\n__c__",
        "c": "{y|__a__}",
        "many": "__more__ __more__ __more__ __more__ __more__ __more__ __more__ __more__",
        "more": "__lots__ __lots__ __lots__ __lots__ __lots__ __lots__ __lots__ __lots__",
        "lots": " ".join(["wood"] * 4000),
        "empty": "# nothing\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_seed_chooses() -> None:
    chosen = Counter(Wildcards()("{red|green|blue}", seed) for seed in range(600))
    assert set(chosen) == {"red", "green", "blue"}
    assert all(150 < count < 250 for count in chosen.values())
    assert [Wildcards()("{a|b|c|d} {1|2|3}", seed) for seed in (0, 1, 2**40)] == ["a 1", "c 2", "a 3"]  # on every machine, for ever
    together = Counter((Wildcards()("{a|b}", seed), Wildcards()("{a|b}", seed, "negative")) for seed in range(400))
    assert len(together) == 4
    assert min(together.values()) > 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a|a}", {"a"}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{a|}x", {"ax", "x"}),
        ("{[a|b]|c}", {"[a|b]", "c"}),
        ("{2$$a|b}", {"a, b", "b, a"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{0-1$$a|b}", {"", "a", "b"}),
        ("{9$$a|b}", {"a, b", "b, a"}),
        ("{a} [b|c] {d", {"{a} [b|c] {d"}),
        (r"\{a|b\}", {"{a|b}"}),
        ("a}b{c|c}", {"a}bc"}),
        ("__colour__ __", {"__colour__ __"}),
    ],
)
def test_choices(text: str, expected: set[str]) -> None:
    assert {Wildcards()(text, seed) for seed in range(60)} == expected


def test_files(folder: Path) -> None:
    wildcards = Wildcards(folder)
    assert {wildcards("__colour__!", seed) for seed in range(30)} == {"red!", "blue!"}
    expected = {"dragon", *(f"a {colour} {cat}" for colour in ("red", "blue") for cat in ("tiger", "lion"))}
    assert {wildcards("__beast__", seed) for seed in range(100)} == expected
    assert {wildcards("{__colour__|x}", seed) for seed in range(60)} == {"red", "blue", "x"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__b__", "circle: b -> c -> a -> b"),
        ("{x|__a__}", "circle: a -> b -> c -> a"),
        ("__nothing__", "nothing.txt: the file of __nothing__ cannot be read"),
        ("__empty__", "no line to choose from"),
        ("__many__ __many__", "longer than 1000000 characters"),
        ("__a/../../x__", "leads out"),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_one_line(folder: Path, text: str, message: str) -> None:
    """Whatever the seed is."""
    for seed in range(4):
        with pytest.raises(KakusanError, match=message) as caught:
            Wildcards(folder)(text, seed)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileError, match="no such folder"):
        Wildcards(folder / "none")


def test_choices_may_be_nested_without_end() -> None:
    depth, start = 50_000, time.process_time()
    assert Wildcards()("{|" * depth + "a" + "}" * depth, 1).strip("a") == ""
    assert Wildcards()("{a{" * depth, 1) == "{a{" * depth
    assert time.process_time() - start < 20


def test_a_matrix_has_every_combination() -> None:
    assert combinations("a cat | with a hat,|at night") == ["a cat", "a cat, with a hat", "a cat, at night", "a cat, with a hat, at night"]
    assert combinations("a [b|c] {d|e}|f") == ["a [b|c] {d|e}", "a [b|c] {d|e}, f"]
    assert combinations("a") == ["a"]
    with pytest.raises(KakusanError, match="11 parts"):
        combinations("|" * 11)


def test_styles(tmp_path: Path) -> None:
    table = tmp_path / "styles.csv"
    table.write_text('\ufeffname,prompt,negative_prompt\nink,"ink, {prompt}, on paper",photo\nvivid,"vivid, bright",\n', encoding="utf-8")
    tables = tmp_path / "styles.toml"
    tables.write_text('[ink]\nprompt = "ink, {prompt}, on paper"\nnegative = "photo"\n[vivid]\nprompt = "vivid, bright"\n')
    expected = {"ink": Style("ink, {prompt}, on paper", "photo"), "vivid": Style("vivid, bright")}
    assert read_styles(table) == read_styles(tables) == expected
    assert styled("a cat", "dog", named(["ink", "vivid"], expected)) == ("ink, a cat, on paper, vivid, bright", "dog, photo")
    assert styled("", "", [expected["vivid"]]) == ("vivid, bright", "")
    with pytest.raises(KakusanError, match="no style called 'oil'; there are: ink, vivid"):
        named(["oil"], expected)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "title,prompt\nx,y\n", "no column called name"),
        ("a.csv", "", "no style in it"),
        ("a.toml", "[ink\n", "not a TOML file"),
        ("a.toml", "[ink]\nwords = 'x'\n", "ink: words is not prompt or negative"),
        ("a.toml", "ink = 3\n", "ink: ink is not"),
        ("a.csv", 'name,prompt\nx,"y', "not a CSV file"),
    ],
)
def test_damaged_styles_are_refused_in_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FileError, match=message) as caught:
        read_styles(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_lines_of_a_file() -> None:
    text = '\ufeffa cat\n\n# not this\na -- dog --negative "a hat" --steps 3 --cfg-scale 4.5\n'
    text += "--prompt a bird --seed 5 --styles ink,vivid\na --width 64"
    assert read_requests(text, "x") == [
        Request("a cat"),
        Request("a -- dog", "a hat", options={"steps": 3, "scale": 4.5}),
        Request("a bird", seed=5, styles=("ink", "vivid")),
        Request("a", width=64),
    ]
    assert read_requests("a --negative_prompt b c --sampler_name Euler a", "x") == [Request("a", "b c", options={"sampler": "Euler a"})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb --speed 3", "x:2: --speed is no option of a line"),
        ("a --steps", "x:1: --steps has no value"),
        ("a --steps many", "x:1: --steps is 'many'"),
        ('a --negative "b', "x:1: .*quotation"),
        ("# nothing\n", "x: no prompt in it"),
    ],
)
def test_lines_that_cannot_be_understood_are_named(text: str, message: str) -> None:
    with pytest.raises(KakusanError, match=message):
        read_requests(text, "x")
