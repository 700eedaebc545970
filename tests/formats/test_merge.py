"""kakusan.formats.merge: against the formulas in torch, and the web UI's rules for what is merged."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from formats.memory import Memory
from kakusan.errors import FileError, KakusanError
from kakusan.formats.merge import FIRST, Blend, Merged, recipe
from kakusan.formats.safetensors import SafetensorsFile
from kakusan.formats.stream import write_source

OTHER = "model.diffusion_model.time_embed.0.bias"
IDS = "cond_stage_model.transformer.text_model.embeddings.position_ids"


def model(seed: int, channels: int = 4, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    return {
        FIRST: draw(8, channels, 3, 3),
        OTHER: draw(8),
        "first_stage_model.quant_conv.bias": draw(8),
        "betas": draw(1000),
        "low_scale_model.betas": draw(1000),
        "nothing.of.the.kind": draw(3),
        "model_ema.decay": draw(),
        IDS: torch.arange(77)[None] + seed,
    }


def merged(*models: dict[str, Tensor], mode: str = "weighted", ratio: float = 0.3, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    sources = [Memory(tensors, file=name) for tensors, name in zip(models, "ABC", strict=False)]
    source = Merged(sources, Blend(mode, ratio), dtype)  # type: ignore[arg-type]
    found = {name: source.read(name) for name in source.tensors}
    assert all(found[name].dtype == stored.dtype and found[name].shape == stored.shape for name, stored in source.tensors.items())
    return found


def test_weighted_sum() -> None:
    a, b = model(1), model(2)
    found = merged(a, b)
    assert set(found) == set(a)
    for name in a:
        blended = name in (FIRST, OTHER, "first_stage_model.quant_conv.bias")
        wanted = torch.lerp(a[name].double(), b[name].double(), 0.3) if blended else a[name]
        torch.testing.assert_close(found[name], wanted.to(a[name].dtype), rtol=1e-6, atol=1e-6 if blended else 0)
    for ratio, wanted in ((0.0, a), (1.0, b)):
        assert torch.equal(merged(a, b, ratio=ratio)[FIRST], wanted[FIRST])


def test_add_difference() -> None:
    a, b, c = model(1), model(2), model(3)
    found = merged(a, b, c, mode="add-difference", ratio=0.7)
    torch.testing.assert_close(found[OTHER], a[OTHER] + 0.7 * (b[OTHER] - c[OTHER]))
    assert torch.equal(found["betas"], a["betas"])
    assert torch.equal(merged(a, b, b, mode="add-difference", ratio=5.0)[OTHER], a[OTHER])


def test_only_the_names_in_a_decide() -> None:
    a, b, c = model(1), model(2), model(3)
    del b[OTHER], c["first_stage_model.quant_conv.bias"]
    b["model.diffusion_model.more"] = torch.ones(1)
    found = merged(a, b)
    assert set(found) == set(a)
    assert torch.equal(found[OTHER], a[OTHER])
    assert not torch.equal(found[FIRST], a[FIRST])
    found = merged(a, b, c, mode="add-difference")
    assert torch.equal(found["first_stage_model.quant_conv.bias"], a["first_stage_model.quant_conv.bias"])


@pytest.mark.parametrize(("channels", "what"), [(9, "inpainting"), (8, "instruct-pix2pix")])
def test_a_plain_model_into_one_with_more_channels(channels: int, what: str) -> None:
    a, b, c = model(1, channels), model(2), model(3)
    for found, wanted in (
        (merged(a, b), a[FIRST][:, :4] * 0.7 + b[FIRST] * 0.3),
        (merged(a, b, c, mode="add-difference"), a[FIRST][:, :4] + 0.3 * (b[FIRST] - c[FIRST])),
    ):
        torch.testing.assert_close(found[FIRST][:, :4], wanted)
        assert torch.equal(found[FIRST][:, 4:], a[FIRST][:, 4:])
    assert Merged([Memory(a), Memory(b)], Blend("weighted", 0.5)).beside == what
    with pytest.raises(KakusanError, match=f"B: is for {what} and A is not; give the {what} model first") as error:
        merged(b, a)
    assert error.value.exit_code == 2


def test_other_families_and_other_numbers_of_models_are_refused() -> None:
    a, b = model(1), model(2)
    with pytest.raises(KakusanError, match=r"A and B: not of one family, model\.diffusion.*bias is \[8\] in one and \[9\] in the other"):
        merged(a, b | {OTHER: torch.zeros(9)})
    with pytest.raises(KakusanError, match="A and B: not of one family"):
        merged(a, model(2, channels=5))
    with pytest.raises(KakusanError, match="B and C: not of one family"):
        merged(a, b, model(3, 9), mode="add-difference")
    with pytest.raises(KakusanError, match="B: has no weights in common with A"):
        merged(a, {"x": torch.zeros(2)})
    for models, mode in (((a, b, b), "weighted"), ((a, b), "add-difference")):
        with pytest.raises(KakusanError, match="weighted merges two models, add-difference three"):
            merged(*models, mode=mode)
    for ratio in (-0.1, 1.1, float("nan"), float("inf")):
        with pytest.raises(KakusanError, match="ratio is"):
            Blend("weighted", ratio)
    assert Blend("add-difference", -1.5).ratio == -1.5


def test_half_precision_is_computed_in_full() -> None:
    """Rounded once, at the end: never further than half a step from the exact result."""
    a, b = model(1, dtype=torch.float16), model(2, dtype=torch.float16)
    exact = 0.7 * a[FIRST].double() + 0.3 * b[FIRST].double()
    found = merged(a, b)[FIRST]
    assert found.dtype == torch.float16
    assert torch.equal(found, exact.to(torch.float32).half())
    full = merged(a, b, dtype=torch.float32)[FIRST]
    torch.testing.assert_close(full.double(), exact, rtol=1e-6, atol=1e-6)
    halves = merged(model(1), model(2), dtype=torch.float16)
    assert halves[OTHER].dtype == halves["nothing.of.the.kind"].dtype == torch.float16
    assert halves["betas"].dtype == halves["model_ema.decay"].dtype == torch.float32
    assert merged(a, model(2))[OTHER].dtype == torch.float32  # the wider of the two


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_named(bad: float) -> None:
    b = model(2)
    b[OTHER][3] = bad
    with pytest.raises(FileError, match=rf"B: {OTHER} holds numbers that are none"):
        merged(model(1), b)


def test_a_result_too_large_for_half_precision_is_named() -> None:
    a, b, c = (model(seed) | {OTHER: torch.full((8,), 40000.0) * sign} for seed, sign in ((1, 1), (2, 1), (3, -1)))
    with pytest.raises(FileError, match=rf"A: {OTHER} becomes 120000, too much for its type; use bf16"):
        merged(a, b, c, mode="add-difference", ratio=1.0, dtype=torch.float16)
    assert merged(a, b, c, mode="add-difference", ratio=1.0, dtype=torch.bfloat16)[OTHER][0] == 119808


def test_the_recipe_tells_what_was_merged(tmp_path: Path) -> None:
    """Also through two generations, under the keys that the web UI reads."""
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for seed, path in enumerate(paths):
        write_source(Memory(model(seed, dtype=torch.float16), {"title": path.stem, path.stem: "1", f"modelspec.{path.stem}": "1"}), path)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    first = Merged([SafetensorsFile(path) for path in paths[:2]], Blend("weighted", 0.25))
    first.metadata = recipe(first, tmp_path / "ab.safetensors", half=False, vae=None)
    write_source(first, tmp_path / "ab.safetensors")
    second = Merged([SafetensorsFile(path) for path in (tmp_path / "ab.safetensors", *paths[1:])], Blend("add-difference", 1.0))
    told = recipe(second, tmp_path / "abc.safetensors", half=True, vae=Path("x/kl.pt"))
    assert (told["title"], told["a"], told["b"], told["c"]) == ("a", "1", "1", "1")
    assert [name for name in told if name.startswith("modelspec.")] == ["modelspec.a"]
    made, models = json.loads(told["sd_merge_recipe"]), json.loads(told["sd_merge_models"])
    parent = hashlib.sha256((tmp_path / "ab.safetensors").read_bytes()).hexdigest()
    assert [made[f"{which}_model_hash"] for which in ("primary", "secondary", "tertiary")] == [parent, *digests[1:]]
    assert (made["interp_method"], made["multiplier"], made["save_as_half"]) == ("Add difference", 1.0, True)
    assert (made["custom_name"], made["bake_in_vae"], made["is_inpainting"]) == ("abc", "kl.pt", False)
    assert set(models) == {parent, *digests}
    assert models[parent]["name"] == "ab.safetensors"
    assert models[parent]["sd_merge_recipe"]["interp_method"] == "Weighted sum"
    assert models[digests[0]]["sd_merge_recipe"] is None
    assert torch.equal(load_file(tmp_path / "ab.safetensors")[FIRST], first.read(FIRST))
