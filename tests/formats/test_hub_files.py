"""Which of a repository's files are fetched: what is needed, each thing once, nothing that runs."""

import pytest

from kakusan.errors import KakusanError
from kakusan.formats.hub_files import chosen

PARTS = {
    "unet": ("config.json", "diffusion_pytorch_model"),
    "vae": ("config.json", "diffusion_pytorch_model"),
    "text_encoder": ("config.json", "model"),
    "safety_checker": ("config.json", "model"),
}
REST = (
    *("tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/special_tokens_map.json", "tokenizer/tokenizer_config.json"),
    *("scheduler/scheduler_config.json", "feature_extractor/preprocessor_config.json"),
)


def weights(part: str, kind: str, mark: str = "") -> str:
    stem = "pytorch_model" if (PARTS[part][1], kind) == ("model", "bin") else PARTS[part][1]
    return f"{part}/{stem}{mark}.{kind}"


EVERYTHING = {
    *("model_index.json", "README.md", "LICENSE", ".gitattributes", "v1-5-pruned.ckpt", "v1-5-pruned.safetensors", "v1-inference.yaml"),
    *("setup.py", "unet/modeling.py", "unet/model.onnx", "unet/diffusion_flax_model.msgpack", "text_encoder/tf_model.h5", "logs/run.txt"),
    *("picture.png", "unet/openvino_model.xml", "unet/train/state.json"),
    *(weights(part, kind, mark) for part in PARTS for kind in ("safetensors", "bin") for mark in ("", ".fp16", ".non_ema")),
    *(f"{part}/config.json" for part in PARTS),
    *REST,
}


def test_a_whole_model_once_and_nothing_else() -> None:
    wanted = {weights(part, "safetensors") for part in PARTS} | {f"{part}/config.json" for part in PARTS}
    assert set(chosen("o/n", EVERYTHING)) == {*wanted, *REST, "model_index.json", "README.md", "LICENSE"}


def test_a_variant_instead_of_the_plain_weights() -> None:
    names = set(chosen("o/n", EVERYTHING, variant="fp16"))
    assert {name for name in names if name.endswith((".safetensors", ".bin"))} == {weights(part, "safetensors", ".fp16") for part in PARTS}
    mixed = EVERYTHING - {weights("vae", kind, ".fp16") for kind in ("safetensors", "bin")}
    assert weights("vae", "safetensors") in chosen("o/n", mixed, variant="fp16")
    with pytest.raises(KakusanError, match="no weights of the variant 'ema'"):
        chosen("o/n", EVERYTHING, variant="ema")


def test_bin_only_where_there_are_no_safetensors() -> None:
    names = EVERYTHING - {weights("unet", "safetensors", mark) for mark in ("", ".fp16")}
    found = chosen("o/n", names)
    assert weights("unet", "bin") in found
    assert weights("text_encoder", "bin") not in found
    halves = {name for name in EVERYTHING if ".fp16." in name or name.endswith((".json", ".txt"))}
    assert weights("unet", "safetensors", ".fp16") in chosen("o/n", halves)


@pytest.mark.parametrize(
    ("index", "shards"),
    [
        ("model.safetensors.index.json", ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")),
        ("pytorch_model.bin.index.json", ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")),
        ("model.safetensors.index.fp16.json", ("model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors")),
        ("pytorch_model.bin.index.fp16.json", ("pytorch_model-00001-of-00002.fp16.bin", "pytorch_model-00002-of-00002.fp16.bin")),
    ],
)
def test_shards_come_with_their_index(index: str, shards: tuple[str, str]) -> None:
    others = {"model-00001-of-00003.ckpt", "other-00001-of-00002.safetensors", "model.onnx"}
    variant = "fp16" if "fp16" in index else None
    assert set(chosen("o/n", {"config.json", index, *shards, *others}, variant=variant)) == {"config.json", index, *shards}


def test_a_part_alone() -> None:
    assert set(chosen("o/n", EVERYTHING, subfolder="vae")) == {"vae/config.json", weights("vae", "safetensors"), "README.md", "LICENSE"}
    with pytest.raises(KakusanError, match="no folder 'controlnet'"):
        chosen("o/n", EVERYTHING, subfolder="controlnet")
    alone = {"config.json", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin", "vae-ft.ckpt", "README.md"}
    assert set(chosen("o/n", alone)) == {"config.json", "diffusion_pytorch_model.safetensors", "README.md"}
    clip = {"config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5", "vocab.json", "merges.txt", "tokenizer.json"}
    assert set(chosen("o/n", clip)) == clip - {"pytorch_model.bin", "tf_model.h5"}


def test_single_files() -> None:
    assert chosen("o/n", EVERYTHING, file="v1-5-pruned.ckpt") == ["v1-5-pruned.ckpt", "README.md", "LICENSE"]
    assert chosen("o/n", {"a/x.safetensors", "a/x.yaml"}, file="a/x.safetensors") == ["a/x.safetensors", "a/x.yaml"]
    assert chosen("o/n", {"x.ckpt", "x.safetensors", "x.png"}) == ["x.safetensors"]
    assert chosen("o/n", {"x.ckpt"}) == ["x.ckpt"]
    for names, file, said in (
        ({"x.safetensors", "y.safetensors"}, None, "several models; name one as o/n/FILE: x.safetensors, y.safetensors"),
        ({"x.png"}, None, "holds no model"),
        (EVERYTHING, "v2.ckpt", "no model file 'v2.ckpt'; it has "),
        (EVERYTHING, "setup.py", "no model file 'setup.py'"),
    ):
        with pytest.raises(KakusanError, match=said) as caught:
            chosen("o/n", names, file=file)
        assert "\n" not in caught.value.en + caught.value.ja


@pytest.mark.parametrize(
    "name",
    [
        "../x.safetensors",
        "/etc/x.safetensors",
        "a/../../x.safetensors",
        "a\\x.safetensors",
        "c:x.safetensors",
        "a//x.safetensors",
        "x\n.safetensors",
    ],
)
def test_names_that_lead_elsewhere_are_not_there(name: str) -> None:
    with pytest.raises(KakusanError):
        chosen("o/n", {name})
    with pytest.raises(KakusanError):
        chosen("o/n", {name, "y.png"}, file=name)
