"""What the U-Net is told, against formulas written out here over transformers' text tower with the same random weights.

The formulas are AUTOMATIC1111's (modules/sd_hijack_clip.py, sd_emphasis.py, sd_samplers_cfg_denoiser.py), ComfyUI's
(comfy/sd1_clip.py) and Compel's (embeddings_provider.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from formats.tiny import tiny_model
from kakusan.errors import KakusanError
from kakusan.guidance import Composed
from kakusan.models.clip_text import ClipTextConfig
from kakusan.pipeline import Pipeline
from kakusan.prompts.chunks import Chunk, chunked
from kakusan.prompts.prompt import Piece
from kakusan.prompts.tokenizer import Tokenizer, byte_tokens
from kakusan.run import run
from kakusan.tasks.conditions import Line, Manner, Stretch, Told, Vocabulary, Words, of_tokens, words_of
from kakusan.tasks.recipe import Recipe
from kakusan.tasks.wording import Wording, timeline
from models.peers import texts

LENGTH, START, END = 14, 512, 513
ROOM = LENGTH - 2
TOWER = ClipTextConfig(514, 24, 3, 3, positions=LENGTH, feedforward=48, projection=8, end_token=END)


def tokenizer(pad: int = END) -> Tokenizer:
    tokens = [*byte_tokens(), *(f"{token}</w>" for token in byte_tokens()), "<|startoftext|>", "<|endoftext|>"]
    return Tokenizer({token: i for i, token in enumerate(tokens)}, [], pad=pad, length=LENGTH)


@dataclass(frozen=True)
class Pair:
    """The same text tower twice: as a pipeline's, and as transformers'."""

    pipe: Pipeline
    theirs: nn.Module

    def row(self, text: str) -> list[int]:
        return self.pipe.model.tokenizer.padded(text)

    def states(self, ids: list[int], skip: int = 1, hidden: tuple[int, ...] = ()) -> Tensor:
        """clip skip as AUTOMATIC1111 counts; hidden: places that are masked out. l d"""
        mask = torch.ones(1, len(ids), dtype=torch.int64)
        mask[0, list(hidden)] = 0
        with torch.no_grad():
            out = self.theirs(input_ids=torch.tensor([ids]), attention_mask=mask, output_hidden_states=True)
            norm = dict(self.theirs.named_modules())["text_model.final_layer_norm"]
            return out.last_hidden_state[0] if skip == 1 else norm(out.hidden_states[-skip])[0]

    def told(self, prompt: str, evaluation: int = 0, **given: object) -> Composed:
        return self.conditions(self.words(prompt, **given))(evaluation)

    def words(self, prompt: str, vocabulary: Vocabulary | None = None, **given: object) -> Words:
        (recipe,) = self.pipe.recipes(prompt, 1, 3, {"sampler": "euler", "steps": 6, **given})
        return words_of(recipe, vocabulary or Vocabulary(self.pipe.model.tokenizer))

    def conditions(self, words: Words) -> Told:
        told = Told(words)
        asked = told.begin()
        with torch.inference_mode():
            work = next(asked)
            columns = [torch.stack(column) if isinstance(column[0], Tensor) else column for column in zip(*work.rows, strict=True)]
            assert len(columns) == 1, "further columns go through `run`"
            reply = list(self.pipe.networks["text"](*columns))
        with pytest.raises(StopIteration):
            asked.send(reply)
        return told

    def seen(self, words: Words) -> Composed:
        """What is told at evaluation 0, read as a task reads it."""
        told, found = Told(words), []

        def task():  # type: ignore[no-untyped-def]
            yield from told.begin()
            found.append(told(0))
            return torch.zeros(())

        run(task(), self.pipe.networks)
        return found[0]


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def pair(request: pytest.FixtureRequest) -> Pair:
    """SD1's kind of tower with its padding, and SD2's."""
    ours, theirs = texts(replace(TOWER, activation=request.param))
    words = tokenizer(END if request.param == "quick_gelu" else 0)
    model = replace(tiny_model(towers=False), text=ours, tokenizer=words)
    return Pair(Pipeline(model), theirs)


def close(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-5, atol=2e-5)


def test_a_plain_prompt_is_its_states_as_ever(pair: Pair) -> None:
    told = pair.told("cat", negative="dog")
    close(told.conds[0].context, pair.states(pair.row("cat")))
    close(told.uncond.context, pair.states(pair.row("dog")))
    assert told.weights == (1.0,)
    with torch.inference_mode():
        both = pair.pipe.model.text(torch.tensor([pair.row("cat"), pair.row("dog")]))
    assert torch.equal(told.conds[0].context, both[0])


WEIGHTED, WEIGHTS = "ab(cd:1.5)e[f]", [1.0, 1.0, 1.5, 1.5, 1.0, 1 / 1.1]
"""Six tokens: weights of brackets end a word, so that each letter that ends one is another token."""


def weighted(pair: Pair) -> tuple[list[int], Tensor]:
    """Ids of the text above, in its pieces, and a weight for each (l 1)."""
    split = pair.pipe.model.tokenizer
    ids = [id for piece in ("ab", "cd", "e", "f") for id in split.encode(piece)]
    row = [START, *ids, END, *[split.pad] * (ROOM - len(ids))]
    return row, torch.tensor([1.0, *WEIGHTS, *[1.0] * (LENGTH - 1 - len(WEIGHTS))])[:, None]


def test_weights_multiply_and_the_mean_is_restored(pair: Pair) -> None:
    row, weight = weighted(pair)
    z = pair.states(row)
    close(pair.told(WEIGHTED).conds[0].context, z * weight * (z.mean() / (z * weight).mean()))


@pytest.mark.parametrize("emphasis", ["ignore", "no_norm", "comfyui"])
def test_other_things_that_weights_do(pair: Pair, emphasis: str) -> None:
    row, weight = weighted(pair)
    z, empty = pair.states(row), pair.states(pair.row(""))
    want = {"ignore": z, "no_norm": z * weight, "comfyui": empty + weight * (z - empty)}[emphasis]
    close(pair.told(WEIGHTED, wording=Wording(emphasis=emphasis)).conds[0].context, want)


def test_with_no_emphasis_brackets_are_text_but_timelines_are_not(pair: Pair) -> None:
    told = pair.conditions(pair.words("[(ab:1.5):(c) BREAK d:2]", wording=Wording(emphasis="none")))
    close(told(0).conds[0].context, pair.states(pair.row("(ab:1.5)")))
    close(told(3).conds[0].context, pair.states(pair.row("(c) BREAK d")))


def test_compel_blends_with_the_prompt_without_what_counts_less(pair: Pair) -> None:
    pieces = (Piece("ab"), Piece("cd", 1.5), Piece("e", 0.25), Piece("f", 0.75))
    ids = [id for piece in pieces for id in pair.pipe.model.tokenizer.encode(piece.text)]
    row = [START, *ids, END, *[pair.pipe.model.tokenizer.pad] * (ROOM - len(ids))]
    weight = torch.tensor([1, 1, 1, 1.5, 1.5, 0.25, 0.75, *[1.0] * (LENGTH - 7)])[:, None]
    empty = pair.states(pair.row(""))

    def base(*hidden: int) -> Tensor:
        return empty + weight * (pair.states(row, hidden=hidden) - empty)

    shares = [1.0, math.tan(0.75 * math.pi / 2), math.tan(0.25 * math.pi / 2)]
    want = sum(share * z for share, z in zip(shares, [base(), base(5), base(6)], strict=True)) / sum(shares)
    line = Line((Stretch(chunks_of(pair, pieces)),))
    manner = Manner(chunks_of(pair, ())[0], "compel")
    close(pair.seen(Words((line,), (line,), manner)).conds[0].context, want)


def chunks_of(pair: Pair, pieces: tuple[Piece, ...]) -> tuple[Chunk, ...]:
    return chunked(pieces, pair.pipe.model.tokenizer)


def test_chunks_follow_one_another_each_with_its_own_mean(pair: Pair) -> None:
    told = pair.told("abc BREAK (de:1.4)", negative="f")
    z = pair.states(pair.row("de"))
    weight = torch.tensor([1, 1.4, 1.4, *[1.0] * (LENGTH - 3)])[:, None]
    second = z * weight * (z.mean() / (z * weight).mean())
    close(told.conds[0].context, torch.cat([pair.states(pair.row("abc")), second]))
    letters = "abcdefghijklmnopqrstuvwxyz"
    ids = pair.pipe.model.tokenizer.encode(letters)
    rows = [[START, *ids[:12], END], [START, *ids[12:24], END], [START, *ids[24:], END, *[pair.pipe.model.tokenizer.pad] * 10]]
    close(pair.told(letters).conds[0].context, torch.cat([pair.states(row) for row in rows]))


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_clip_skip_is_an_earlier_layer_then_the_final_norm(pair: Pair, skip: int) -> None:
    words = pair.words("(ab:1.3)", negative="c", wording=Wording(clip_skip=skip, emphasis="no_norm"))
    told = pair.seen(words)
    weight = torch.tensor([1, 1.3, 1.3, *[1.0] * (LENGTH - 3)])[:, None]
    close(told.conds[0].context, weight * pair.states(pair.row("ab"), skip))
    close(told.uncond.context, pair.states(pair.row("c"), skip))


def test_rows_of_any_clip_skip_share_a_call(pair: Pair) -> None:
    reading = [pair.words("ab", wording=Wording(clip_skip=skip)) for skip in (2, 3)]
    (one,), (other,) = ([row for row in next(Told(words).begin()).rows if row[0][1] != END] for words in reading)
    ids, how = (torch.stack([one[0], other[0]]), type(one[1])(torch.stack([one[1].skip, other[1].skip])))
    with torch.inference_mode():
        got = pair.pipe.networks["text"](ids, how)
    close(got[0], pair.states(pair.row("ab"), 2))
    close(got[1], pair.states(pair.row("ab"), 3))


@dataclass(frozen=True)
class Learnt:
    name: str
    vectors: Tensor


def test_an_embedding_takes_the_place_of_token_embeddings(pair: Pair) -> None:
    vectors = torch.randn(2, 24, generator=torch.Generator().manual_seed(1))
    known = Vocabulary(pair.pipe.model.tokenizer, [Learnt("xy", vectors)])
    told = pair.seen(pair.words("a (XY:1.2) b", known, negative="c", wording=Wording(emphasis="no_norm")))
    table = dict(pair.theirs.named_parameters())["text_model.embeddings.token_embedding.weight"]
    kept = table.data.clone()
    table.data[[250, 251]] = vectors  # two ids that the text does not use
    (a,), (b,) = (pair.pipe.model.tokenizer.encode(text) for text in "ab")
    row = [START, a, 250, 251, b, END, *[pair.pipe.model.tokenizer.pad] * 8]
    weight = torch.tensor([1, 1, 1.2, 1.2, *[1.0] * 10])[:, None]
    want = weight * pair.states(row)
    table.data[:] = kept
    close(told.conds[0].context, want)
    close(told.uncond.context, pair.states(pair.row("c")))


def test_prompts_of_different_lengths_are_told_as_if_run_apart(pair: Pair) -> None:
    told = pair.told("abc BREAK de", negative="f")
    short, long = pair.states(pair.row("f")), told.conds[0].context
    assert told.uncond.context.shape == long.shape
    unet = pair.pipe.networks["unet"]
    x, sigma = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2)), torch.tensor([1.5])
    with torch.inference_mode():
        close(
            unet(x, sigma, told.uncond._replace(context=told.uncond.context[None])),
            unet(x, sigma, told.uncond._replace(context=short[None])),
        )
    three = pair.told("a BREAK b BREAK c", negative="d BREAK e")
    assert len(three.uncond.context) == len(three.conds[0].context) == 6 * LENGTH


def test_padded_prompts_are_filled_up_with_the_empty_one(pair: Pair) -> None:
    told = pair.told("a BREAK b BREAK c", negative="f", wording=Wording(pad=True))
    nothing = pair.states(pair.row(""))
    close(told.uncond.context, torch.cat([pair.states(pair.row("f")), nothing, nothing]))
    assert len(told.conds[0].context) == 3 * LENGTH
    many = pair.told(" BREAK ".join("a" * 7), negative=" BREAK ".join("b" * 6))  # 42 chunks if repeated
    assert len(many.uncond.context) == 7 * LENGTH
    close(many.uncond.context[-LENGTH:], nothing)


def test_parts_of_different_lengths_repeat_the_last_state(pair: Pair) -> None:
    told = pair.told("ab AND c BREAK d :0.5", negative="")
    one = pair.states(pair.row("ab"))
    assert told.weights == (1.0, 0.5)
    close(told.conds[0].context, torch.cat([one, one[-1:].expand(LENGTH, -1)]))


def test_stages_of_one_prompt_share_their_mean_and_their_length(pair: Pair) -> None:
    told = pair.conditions(pair.words("[(ab:1.4):cde BREAK f:2]", negative=""))
    first, second, empty = (pair.states(pair.row(text)) for text in ("ab", "cde", ""))
    weight = torch.tensor([1, 1.4, 1.4, *[1.0] * (LENGTH - 3)])[:, None]
    factor = torch.stack([first, second]).mean() / torch.stack([first * weight, second]).mean()
    close(told(2).conds[0].context, torch.cat([first * weight * factor, empty]))
    close(told(3).conds[0].context, torch.cat([second * factor, pair.states(pair.row("f"))]))


def drawn(pipe: Pipeline, recipe: Recipe, told: Callable[[Tensor], object]) -> Tensor:
    """The recipe's task over a U-Net that only shrinks x by how its context is, and tells what it was told."""

    def unet(x: Tensor, sigma: Tensor, cond) -> Tensor:  # type: ignore[no-untyped-def]
        told(cond.context)
        return toy(x, cond.context)

    networks = {"text": pipe.networks["text"], "unet": unet, "decode": lambda z: z, "encode": pipe.networks["encode"]}
    return run(pipe.task(recipe), networks)


def toy(x: Tensor, context: Tensor) -> Tensor:
    return 0.5 * x + context.mean((1, 2))[:, None, None, None]


@pytest.mark.parametrize(
    ("sampler", "calls", "last"), [("euler", 6, 2), ("dpmpp_2m", 6, 2), ("euler_ancestral", 6, 2), ("heun", 11, 2), ("dpm_2", 11, 2)]
)
def test_a_prompt_changes_after_the_call_that_its_number_says(pair: Pair, sampler: str, calls: int, last: int) -> None:
    """Calls are counted from 0 and compared with `<=`, by AUTOMATIC1111's denoiser, so the first text holds for one call more."""
    assert changes(pair, "[ab:cd:2]", sampler) == ["ab"] * (last + 1) + ["cd"] * (calls - last - 1)


@pytest.mark.parametrize(("sampler", "calls", "last"), [("euler", 6, 3), ("dpmpp_2m", 6, 3), ("heun", 11, 6), ("dpmpp_sde", 11, 6)])
def test_fractions_are_of_all_calls(pair: Pair, sampler: str, calls: int, last: int) -> None:
    assert timeline(sampler, 6) == 2 * last
    assert changes(pair, "[ab:cd:0.5]", sampler) == ["ab"] * (last + 1) + ["cd"] * (calls - last - 1)


def test_texts_take_turns_from_the_second_call_on(pair: Pair) -> None:
    assert changes(pair, "[ab|cd|ef]", "euler") == ["ab", "ab", "cd", "ef", "ab", "cd"]


def test_the_negative_prompt_changes_too(pair: Pair) -> None:
    assert changes(pair, "ab", "euler", "[cd:ef:1]", row=1) == ["cd", "cd", "ef", "ef", "ef", "ef"]


def changes(pair: Pair, prompt: str, sampler: str, negative: str = "", row: int = 0) -> list[str]:
    """Which of the texts each call of the U-Net was given."""
    (recipe,) = pair.pipe.recipes(prompt, 1, 3, {"sampler": sampler, "steps": 6, "negative": negative, "schedule": "karras"})
    seen: list[Tensor] = []
    drawn(pair.pipe, recipe, lambda context: seen.append(context[row]))
    known = {text: pair.states(pair.row(text)) for text in ("ab", "cd", "ef")}
    return [min(known, key=lambda text: float((known[text] - context).abs().max())) for context in seen]


def test_the_second_of_two_passes_has_a_timeline_of_its_own(pair: Pair) -> None:
    (recipe,) = pair.pipe.recipes("[ab:cd:1.5]", 1, 3, {"sampler": "euler", "steps": 6})
    first, again = (words_of(recipe, Vocabulary(pair.pipe.model.tokenizer), again) for again in (False, True))
    assert [[first.prompt[0].at(i) for i in range(6)], [again.prompt[0].at(i) for i in range(6)]] == [[0] * 6, [0, 0, 0, 0, 1, 1]]


def test_composed_prompts_are_added_up_in_every_step(pair: Pair) -> None:
    (recipe,) = pair.pipe.recipes("ab AND cd :0.5 AND ef :-0.25", 1, 3, {"sampler": "euler", "steps": 4, "negative": "x", "scale": 3.0})
    got = drawn(pair.pipe, recipe, lambda context: None)
    states = [pair.states(pair.row(text))[None] for text in ("ab", "cd", "ef", "x")]
    levels = pair.pipe.sigmas(recipe)
    x = (
        math.hypot(1, levels[0])
        * torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(3))[:, :, : got.shape[1], : got.shape[2]]
    )
    x = math.hypot(1, levels[0]) * torch.randn((1, *got.shape), generator=torch.Generator().manual_seed(3))
    for sigma, after in pairwise(levels):
        *prompts, u = (toy(x, state) for state in states)
        denoised = u + sum(w * 3.0 * (c - u) for w, c in zip((1, 0.5, -0.25), prompts, strict=True))
        x = x + (after - sigma) * (x - denoised) / sigma
    torch.testing.assert_close(got, x[0], rtol=1e-4, atol=1e-4)


def test_what_cannot_be_is_one_line(pair: Pair) -> None:
    wrong: list[dict[str, object]] = [{"dialect": "french"}, {"emphasis": "loud"}, {"clip_skip": 0}, {"clip_skip": 4}]
    for given in wrong:
        with pytest.raises(KakusanError) as caught:
            pair.pipe("ab", steps=1, **given)
        assert "\n" not in str(caught.value)
    (recipe,) = pair.pipe.recipes("ab AND cd", 1, 3, {"second": "ef", "blend": 0.5})
    with pytest.raises(KakusanError, match="2 parts cannot be blended with one of 1"):
        pair.pipe.task(recipe)


def test_wording_comes_back_from_the_text_of_a_picture(pair: Pair) -> None:
    for wording in (Wording("comfyui"), Wording("compel", "no_norm", 2), Wording(old_timelines=True, pad=True), Wording(backtrack=0)):
        (recipe,) = pair.pipe.recipes("ab", 1, 3, {"wording": wording})
        assert Recipe.parse(recipe.parameters()) == recipe
    text = "ab\nSteps: 5, Sampler: Euler, CFG scale: 3, Seed: 9, Size: 8x8, Clip skip: 2, Emphasis: No norm"
    assert Recipe.parse(text).wording == Wording("a1111", "no_norm", 2)
    told = pair.pipe("ab", steps=1, seed=1, clip_skip=2, emphasis="no_norm", dialect="comfyui").recipes[0].parameters()
    assert "Clip skip: 2, Prompt dialect: comfyui, Emphasis: No norm" in told


def test_a_long_prompt_is_told_to_the_user(pair: Pair) -> None:
    (note, *_) = pair.pipe("abcdefghijk, lm", steps=1, seed=1).notes
    assert note.startswith("14 tokens are read in 2 chunks, with the ends at: ")


def test_a_program_that_cuts_long_prompts_is_drawn_after_and_told(pair: Pair) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    result = pair.pipe(letters, steps=1, seed=1, like="diffusers")
    assert result.recipes[0].wording == Wording("plain", cut=True)
    assert Recipe.parse(result.recipes[0].parameters()) == result.recipes[0]
    assert result.notes[0] == "of 26 tokens only the first 12 are read, up to: abcdefghijkl | mnopqrstuvwx"
    told = pair.told(letters, wording=Wording("plain", cut=True))
    close(told.conds[0].context, pair.states(pair.row(letters)))


def test_tokens_that_are_given_are_told_as_they_are(pair: Pair) -> None:
    told = pair.conditions(of_tokens(pair.row("(ab:1.5)"), pair.row("")))
    close(told(0).conds[0].context, pair.states(pair.row("(ab:1.5)")))
