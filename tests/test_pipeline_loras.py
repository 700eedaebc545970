"""LoRAs and learnt words in whole pictures: beside merged weights, in company, named in prompts, remembered."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from formats.adapters import kohya, merged, pairs
from formats.tiny import tiny_model
from kakusan.engine import Engine
from kakusan.errors import FileError, KakusanError
from kakusan.formats.embedding import Embedding, write_embedding
from kakusan.pipeline import Pipeline
from kakusan.run import run
from kakusan.tasks.learnt import Learnt, Use
from kakusan.tasks.recipe import Recipe


@pytest.fixture
def pipe(tmp_path: Path) -> Pipeline:
    """With a folder of two LoRAs, neither of them loaded."""
    pipe = Pipeline(tiny_model())
    pipe.loras.folder, pipe.embeddings.folder = tmp_path / "loras", tmp_path / "embeddings"
    (pipe.loras.folder / "more").mkdir(parents=True)
    save_file(kohya(pipe.model, pairs(pipe.model, seed=1)), pipe.loras.folder / "Ink.safetensors", {"ss_output_name": "old ink"})
    save_file(kohya(pipe.model, pairs(pipe.model, 3, seed=2, text=False)), pipe.loras.folder / "more/wash.safetensors")
    return pipe


def one(pipe: Pipeline, prompt: str, **given: object) -> Recipe:
    (recipe,) = pipe.recipes(prompt, seed=3, given={"steps": 2, **given})
    return recipe


def picture(pipe: Pipeline, recipe: Recipe) -> Tensor:
    return run(pipe.task(recipe), pipe.networks)


def with_merged(*sets: tuple[int, int, float, float]) -> Pipeline:
    """A pipeline whose weights have LoRAs in them: rank, seed, strength in the U-Net and in the text tower."""
    model = tiny_model()
    for rank, seed, unet, text in sets:
        made = pairs(model, rank, seed, text=bool(text))
        merged(model, made, lambda place, unet=unet, text=text, rank=rank: 2 / rank * (unet if place.network == "unet" else text))  # type: ignore[misc]
    return Pipeline(model)


def test_a_picture_equals_that_of_merged_weights(pipe: Pipeline) -> None:
    made = picture(pipe, one(pipe, "abc<lora:ink:0.5:0.8>"))
    wanted = picture(with_merged((4, 1, 0.8, 0.5)), one(with_merged(), "abc"))
    assert (made - wanted).abs().max() < 1e-4
    assert (made - picture(pipe, one(pipe, "abc"))).abs().max() > 0.01


def test_requests_with_their_own_loras_share_every_call(pipe: Pipeline) -> None:
    pipe.load_lora(pipe.loras.folder / "Ink.safetensors")
    prompts = ("abc <lora:Ink:0.8>", "abc <lora:Ink:-0.4> <lora:wash:1>", "abc")
    recipes = [one(pipe, prompt) for prompt in prompts]
    engine = Engine(pipe.networks, max_rows=16)
    jobs = [engine.submit(pipe.task(recipe)) for recipe in recipes]
    engine.run()
    assert engine.calls == jobs[0].calls
    sets = (((4, 1, 0.8, 0.8),), ((4, 1, -0.4, -0.4), (3, 2, 1.0, 0.0)), ())
    for job, recipe, own in zip(jobs, recipes, sets, strict=True):
        assert job.result is not None, job.error
        alone = picture(pipe, recipe)
        assert (job.result - alone).abs().max() < 1e-5
        assert (alone - picture(with_merged(*own), one(with_merged(), "abc"))).abs().max() < 1e-4


def test_what_is_unloaded_leaves_no_trace(pipe: Pipeline) -> None:
    before = {name: tensor.clone() for name, tensor in pipe.model.unet.state_dict().items()}
    plain = picture(pipe, one(pipe, "abc"))
    assert pipe.load_lora(pipe.loras.folder / "Ink.safetensors", "mine") == "mine"
    assert not torch.equal(picture(pipe, one(pipe, "abc", learnt=Learnt((Use("mine"),)))), plain)
    pipe.unload_lora("mine")
    assert all(torch.equal(tensor, before[name]) for name, tensor in pipe.model.unet.state_dict().items())
    assert torch.equal(picture(pipe, one(pipe, "abc")), plain)
    with pytest.raises(KakusanError, match="no LoRA 'mine'; there are: none"):
        pipe.unload_lora("mine")


def test_fused_and_given_back(pipe: Pipeline) -> None:
    plain = picture(pipe, one(pipe, "abc"))
    before = {name: tensor.clone() for name, tensor in pipe.model.unet.state_dict().items()}
    pipe.loras.fuse({"Ink": (0.8, 0.5)})
    wanted = picture(with_merged((4, 1, 0.8, 0.5)), one(with_merged(), "abc"))
    assert (picture(pipe, one(pipe, "abc")) - wanted).abs().max() < 1e-4
    with pytest.raises(KakusanError, match="unfuse"):
        pipe.unload_lora("Ink")
    pipe.loras.unfuse()
    pipe.unload_lora("Ink")
    assert all(torch.equal(tensor, before[name]) for name, tensor in pipe.model.unet.state_dict().items())
    assert torch.equal(picture(pipe, one(pipe, "abc")), plain)


@pytest.mark.parametrize("name", ["Ink", "ink", "INK", "old ink", "Old Ink"])
def test_names(name: str, pipe: Pipeline) -> None:
    assert one(pipe, f"a <lora:{name}:1>").learnt.hashes[0][0] == name
    assert list(pipe.loras.loaded) == ["Ink"]


def test_an_unknown_name_lists_those_that_are_there(pipe: Pipeline) -> None:
    with pytest.raises(KakusanError, match=r"no LoRA 'pen'; there are: Ink, wash \(folder .*loras/\)$") as caught:
        pipe("a <lora:pen:1>")
    assert "\n" not in str(caught.value)


def test_names_that_are_not_plain(pipe: Pipeline) -> None:
    for name in ("a:b", "a>b", "", "a,b", "a\nb"):
        with pytest.raises(KakusanError, match="is no name for a LoRA"):
            pipe.load_lora(pipe.loras.folder / "Ink.safetensors", name)
    (pipe.loras.folder / "Ink.safetensors").rename(pipe.loras.folder / "a,b.safetensors")
    assert pipe.load_lora(pipe.loras.folder / "a,b.safetensors") == "a_b"
    save_file(kohya(pipe.model, pairs(pipe.model)), pipe.loras.folder / "WASH.safetensors")
    with pytest.raises(KakusanError, match="several LoRAs"):
        one(pipe, "a <lora:Wash:1>")
    one(pipe, "a <lora:wash:1>")


def test_a_recipe_remakes_the_picture(pipe: Pipeline) -> None:
    first = pipe("abc <lora:ink:0.7>", steps=2, seed=1, loras={"wash": (0.5, 0.0)})
    recipe = Recipe.parse(first.recipes[0].parameters())
    assert recipe == first.recipes[0]
    assert [name for name, _ in recipe.learnt.hashes] == ["ink", "wash"]
    again = Pipeline(tiny_model())
    again.loras.folder = pipe.loras.folder
    (step,) = (step for step in again.steps([again.checked(recipe)]) if step.image)
    assert step.image.tobytes() == first.images[0].tobytes()


def test_another_file_of_the_same_name_is_told(pipe: Pipeline) -> None:
    recipe = replace(one(pipe, "abc <lora:ink:0.7>"), learnt=Learnt(hashes=(("ink", "0123456789ab"),)))
    assert pipe.checked(recipe).learnt.hashes[0][1] != "0123456789ab"
    assert any("LoRA ink is another file" in note for note in pipe.notes([recipe]))


def test_tileable_windowed_and_of_a_picture(pipe: Pipeline) -> None:
    """Every way of drawing takes LoRAs along."""
    from PIL import Image

    original = Image.new("RGB", (16, 16), "red")
    for given in (
        {"tileable": True},
        {"width": 32, "window": 16},
        {"width": 32, "hires": True},
        {"image": original},
        {"image": original, "mask": Image.new("L", (16, 16), 255)},
    ):
        plain, drawn = (pipe("abc", steps=2, seed=1, loras={"Ink": s}, **given).images[0].tobytes() for s in (0, 1))  # type: ignore[arg-type]
        assert plain != drawn
        assert pipe("abc", steps=2, seed=1, **given).images[0].tobytes() == plain  # type: ignore[arg-type]


def test_a_learnt_word_stands_for_its_vectors(pipe: Pipeline, tmp_path: Path) -> None:
    """One of the vectors of two known tokens is those tokens, in weights too."""
    b, c = pipe.model.tokenizer.encode("b")[0], pipe.model.tokenizer.encode("c")[0]
    vectors = pipe.model.text.token_embedding.weight.detach()[[b, c]]
    write_embedding(Embedding("", vectors), tmp_path / "My-Toy.safetensors")
    assert pipe.load_embedding(tmp_path / "My-Toy.safetensors") == "My-Toy"
    for said, meant in (("a my-toy", "a b c"), ("a (My-Toy:1.3), d", "a (b c:1.3), d")):
        recipe = one(pipe, said)
        assert recipe.learnt.words[0][0] == "My-Toy"
        assert Recipe.parse(recipe.parameters()) == recipe
        assert (picture(pipe, recipe) - picture(pipe, one(pipe, meant))).abs().max() < 1e-5


def test_a_word_in_the_folder_is_known(pipe: Pipeline) -> None:
    pipe.embeddings.folder.mkdir()
    write_embedding(Embedding("", torch.randn(2, 24)), pipe.embeddings.folder / "toy.safetensors")
    write_embedding(Embedding("", torch.randn(2, 768)), pipe.embeddings.folder / "sd1.safetensors")
    assert one(pipe, "a toy").learnt.words
    assert one(pipe, "x", negative="toy").learnt.words
    with pytest.raises(FileError, match=r"for Stable Diffusion 1 \(768\); this model is of another width \(24\)"):
        one(pipe, "sd1")
