"""Honest torch files in every dress that checkpoints have worn: each function writes one, and returns the weights that are in it."""

import argparse
import collections
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from formats import opcodes as op
from formats.stand_ins import pretended

Weights = dict[str, Tensor]
Variant = Callable[[Path], Weights]
VARIANTS: dict[str, Variant] = {}
TORCH_REFUSES = set[str]()
"""Variants that `torch.load(weights_only=True)` does not take."""


def variant(torch_refuses: bool = False) -> Callable[[Variant], Variant]:
    def add(function: Variant) -> Variant:
        VARIANTS[function.__name__] = function
        if torch_refuses:
            TORCH_REFUSES.add(function.__name__)
        return function

    return add


def weights(dtype: torch.dtype = torch.float32) -> Weights:
    """A few tensors with the names that real ones have; sizes odd, so that nothing is aligned by chance."""
    random = torch.Generator().manual_seed(0)
    shapes = {
        "betas": (7,),
        "model.diffusion_model.input_blocks.0.0.weight": (5, 4, 3, 3),
        "model.diffusion_model.input_blocks.0.0.bias": (5,),
        "first_stage_model.decoder.conv_in.weight": (3, 5, 1, 1),
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (11, 9),
    }
    made = {name: torch.randn(shape, generator=random).to(dtype) for name, shape in shapes.items()}
    made["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(9).unsqueeze(0)
    return made


def ema(plain: Weights) -> Weights:
    """The averaged copies as the original training names them, every dot of the name removed."""
    averaged = {name: tensor * 0.5 for name, tensor in plain.items() if name.startswith("model.")}
    copies = {"model_ema." + "".join(name.split(".")[1:]): tensor for name, tensor in averaged.items()}
    return {**plain, "model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(470000, dtype=torch.int32), **copies}


def lightning(state: Weights, checkpoint: object) -> dict[str, Any]:
    """A whole checkpoint of PyTorch Lightning before 1.5, as Stable Diffusion v1 was released."""
    first = next(iter(state.values()))
    steps = {
        "state": {0: {"step": 5, "exp_avg": torch.ones_like(first)}},
        "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": [0]}],
    }
    return {
        "epoch": 28,
        "global_step": 470000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": collections.OrderedDict(state),
        "callbacks": {
            checkpoint: {
                "monitor": "val/loss_simple_ema",
                "best_model_score": torch.tensor(0.25),
                "best": np.float64(0.25),
                "current": np.float32(1),
            }
        },
        "optimizer_states": [steps],
        "lr_schedulers": [{"base_lrs": [1e-4], "last_epoch": np.int64(470000), "lr_lambdas": [None], "_last_lr": [np.float64(1e-4)]}],
    }


CHECKPOINT = "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"


@variant(torch_refuses=True)
def lightning_v1(file: Path) -> Weights:
    with pretended(CHECKPOINT) as (checkpoint,):
        torch.save(lightning(weights(), checkpoint), file)
    return weights()


@variant(torch_refuses=True)
def lightning_v1_with_ema(file: Path) -> Weights:
    with pretended(CHECKPOINT) as (checkpoint,):
        torch.save(lightning(ema(weights()), checkpoint), file)
    return ema(weights())


@variant(torch_refuses=True)
def lightning_v1_before_zip(file: Path) -> Weights:
    with pretended(CHECKPOINT) as (checkpoint,):
        torch.save(lightning(ema(weights()), checkpoint), file, _use_new_zipfile_serialization=False)
    return ema(weights())


@variant(torch_refuses=True)
def lightning_v1_with_names_of_numpy_2(file: Path) -> Weights:
    with pretended(CHECKPOINT) as (checkpoint,):
        torch.save(lightning(weights(), checkpoint), file)
    parts = op.entries(file.read_bytes())
    old, new = b"numpy.core.multiarray\n", b"numpy._core.multiarray\n"
    found = new if new in parts["data.pkl"] else old
    parts["data.pkl"] = parts["data.pkl"].replace(found, old if found == new else new)  # the one that this NumPy does not write
    file.write_bytes(op.zipped(parts))
    return weights()


@variant(torch_refuses=True)
def lightning_2_with_settings(file: Path) -> Weights:
    with pretended("omegaconf.dictconfig.DictConfig", "lightning_fabric.utilities.data.AttributeDict", "ldm.util.Settings") as (
        config,
        attributes,
        ldm,
    ):
        settings = [config(), attributes(), ldm()]
        for one in settings:
            one.__dict__.update(a=1, b={"c": [1, 2]}, t=torch.ones(3))
        value = {
            "epoch": 3,
            "global_step": 1000,
            "pytorch-lightning_version": "2.1.0",
            "state_dict": weights(),
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"current": {"ready": 4}}}},
            "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_path": "a.ckpt", "kth_value": torch.tensor(1.0)}},
            "hparams_name": "kwargs",
            "hyper_parameters": {"config": settings, "dtype": torch.float16, "size": torch.Size((1, 2)), "device": torch.device("cuda", 0)},
            "args": argparse.Namespace(lr=0.1),
        }
        torch.save(value, file)
    return weights()


@variant()
def pruned_with_leftovers_of_ema(file: Path) -> Weights:
    kept = {name: tensor for name, tensor in ema(weights()).items() if not name.startswith("model_ema.diffusion")}
    torch.save({"state_dict": kept, "global_step": 470000}, file)
    return kept


@variant()
def bare(file: Path) -> Weights:
    torch.save(weights(), file)
    return weights()


@variant()
def bare_in_bfloat16(file: Path) -> Weights:
    torch.save(weights(torch.bfloat16), file)
    return weights(torch.bfloat16)


@variant()
def bare_in_double_precision(file: Path) -> Weights:
    torch.save(weights(torch.float64), file)
    return weights(torch.float64)


@variant()
def bare_before_zip(file: Path) -> Weights:
    torch.save(weights(), file, _use_new_zipfile_serialization=False)
    return weights()


@variant()
def half_precision_before_zip(file: Path) -> Weights:
    torch.save({"state_dict": weights(torch.float16)}, file, _use_new_zipfile_serialization=False)
    return weights(torch.float16)


@variant()
def state_of_a_module(file: Path) -> Weights:
    """An OrderedDict with torch's own remarks on it."""
    torch.manual_seed(0)
    state = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)).state_dict()
    torch.save(state, file)
    return dict(state)


@variant()
def under_another_name(file: Path) -> Weights:
    torch.save({"model": weights()}, file)
    return weights()


@variant()
def beside_an_optimizer(file: Path) -> Weights:
    torch.save(
        {"step": 5, "model": weights(), "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}, "config": {"lr": 1}},
        file,
    )
    return weights()


@variant()
def every_kind_of_number(file: Path) -> Weights:
    kinds = (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    )
    made = {str(kind): (torch.arange(-3, 10) if kind.is_signed else torch.arange(13) % 3).to(kind) for kind in kinds}
    torch.save(made, file)
    return made


@variant()
def every_kind_of_number_before_zip(file: Path) -> Weights:
    made = every_kind_of_number(file)
    torch.save(made, file, _use_new_zipfile_serialization=False)
    return made


def shared() -> Weights:
    """Views of a few storages: parts, columns, other orders, one number, none, the same twice."""
    base = torch.arange(120.0)
    return {
        "whole": base,
        "part": base[30:60].view(5, 6),
        "transposed": base.view(10, 12).t(),
        "column": base.view(10, 12)[:, 3],
        "every third": base[1::3],
        "channels last": torch.arange(48.0).view(2, 3, 2, 4).contiguous(memory_format=torch.channels_last),
        "one": torch.tensor(5.0),
        "none": torch.empty(0, 4),
        "none at all": base[3:3],
        "again": base,
    }


@variant()
def shared_storages(file: Path) -> Weights:
    torch.save(shared(), file)
    return shared()


@variant()
def shared_storages_before_zip(file: Path) -> Weights:
    torch.save(shared(), file, _use_new_zipfile_serialization=False)
    return shared()


@variant()
def parameters(file: Path) -> Weights:
    torch.save({name: nn.Parameter(tensor, requires_grad=tensor.dtype == torch.float32) for name, tensor in weights().items()}, file)
    return weights()


@variant(torch_refuses=True)
def protocol_3(file: Path) -> Weights:
    torch.save({"state_dict": weights(), "note": b"bytes", "set": {1, 2}}, file, pickle_protocol=3)
    return weights()


@variant(torch_refuses=True)
def protocol_4(file: Path) -> Weights:
    torch.save({"state_dict": weights(), "note": b"bytes", "set": {1, 2}, "score": np.float64(1)}, file, pickle_protocol=4)
    return weights()


@variant(torch_refuses=True)
def protocol_5_before_zip(file: Path) -> Weights:
    torch.save(weights(), file, pickle_protocol=5, _use_new_zipfile_serialization=False)
    return weights()


@variant()
def torch_1_6(file: Path) -> Weights:
    """The folder called `archive`, nothing but pickle, numbers and version in it."""
    torch.save(weights(), file)
    parts = {name: raw for name, raw in op.entries(file.read_bytes()).items() if name == "data.pkl" or name.startswith("data/")}
    file.write_bytes(op.zipped(parts | {"version": b"3\n"}, root="archive"))
    return weights()


@variant()
def zipped_anew(file: Path) -> Weights:
    """By another program, under a folder of another name, in another order and with entries for the folders."""
    torch.save(weights(), file)
    parts = {"": b"", "data/": b"", **dict(reversed(op.entries(file.read_bytes()).items()))}
    file.write_bytes(op.zipped(parts, root="モデル v1-4"))
    return weights()


@variant()
def with_wide_sizes(file: Path) -> Weights:
    """Every entry with 64-bit sizes in its header, as if it were of 4 GB."""
    torch.save(weights(), file)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name, raw in op.entries(file.read_bytes()).items():
            with made.open(zipfile.ZipInfo(f"archive/{name}"), "w", force_zip64=True) as entry:
                entry.write(raw)
    file.write_bytes(stream.getvalue())
    return weights()


@variant()
def without_checksums(file: Path) -> Weights:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(weights(), file)
    finally:
        torch.serialization.set_crc32_options(True)
    return weights()


@variant()
def big_endian(file: Path) -> Weights:
    """From a machine of the other kind."""
    kinds = {"d": torch.float64, "f": torch.float32, "h": torch.float16, "i": torch.int64, "b": torch.uint8}
    made = {name: torch.arange(1, 8).to(kind) for name, kind in kinds.items()}
    torch.save(made, file)
    parts = op.entries(file.read_bytes())
    for key, tensor in enumerate(made.values()):
        parts[f"data/{key}"] = tensor.numpy().astype(tensor.numpy().dtype.newbyteorder(">")).tobytes()
    file.write_bytes(op.zipped(parts | {"byteorder": b"big"}))
    return made


@variant()
def from_a_gpu(file: Path) -> Weights:
    tensor = torch.arange(6.0).view(2, 3)
    stored = op.storage("FloatStorage", "0", 6, place="cuda:0")
    file.write_bytes(op.archive(op.mapping({"w": op.tensor(stored, (2, 3), (3, 1))}), {"0": tensor.numpy().tobytes()}))
    return {"w": tensor}


@variant(torch_refuses=True)
def python_2(file: Path) -> Weights:
    """Texts as bytes, an OrderedDict made of a list of pairs, a set with a builtin of the old name, bytes that are no text."""
    tensor = torch.arange(6.0).view(2, 3)
    kept = op.several(
        op.old_text("storage"), op.named("torch", "FloatStorage"), op.old_text("17"), op.old_text("cpu"), op.number(6), op.NONE
    )
    sizes = op.several(op.number(2), op.number(3)), op.several(op.number(3), op.number(1))
    made = op.call(op.named("torch._utils", "_rebuild_tensor"), kept + op.BINPERSID, op.number(0), *sizes)
    pair = op.EMPTY_LIST + op.MARK + op.old_text("w") + made + b"e"
    state = op.call(op.named("collections", "OrderedDict"), op.EMPTY_LIST + pair + b"a")
    names = op.call(op.named("__builtin__", "set"), op.EMPTY_LIST + op.old_text("w") + b"a")
    value = op.mapping({"state_dict": state, "names": names, "raw": op.old_text(b"\xff\xfe")})
    file.write_bytes(op.old(value, {"17": (6, tensor.numpy().tobytes())}))
    return {"w": tensor}


@variant()
def parts_of_storages_before_zip(file: Path) -> Weights:
    """The oldest form of views: a part of a storage has a key of its own."""
    base = torch.arange(10.0)
    part = op.several(op.text("view"), op.number(3), op.number(6))
    whole = op.tensor(op.storage("FloatStorage", "root", 10, op.NONE), (10,), (1,))
    view = op.tensor(op.storage("FloatStorage", "root", 10, part), (2, 2), (2, 1), offset=1)
    file.write_bytes(op.old(op.mapping({"whole": whole, "view": view}), {"root": (10, base.numpy().tobytes())}))
    return {"whole": base, "view": base[4:8].view(2, 2)}


@variant(torch_refuses=True)
def embedding(file: Path) -> Weights:
    """Textual inversion: the vectors are in a dictionary of parameters."""
    vectors = torch.arange(6.0).view(2, 3)
    made = nn.ParameterDict({"*": nn.Parameter(vectors)})
    torch.save({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": made, "name": "りんご", "step": 500}, file)
    return {"string_to_token.*": torch.tensor(265), "string_to_param.*": vectors}


@variant(torch_refuses=True)
def embedding_before_zip(file: Path) -> Weights:
    """The old container keeps the source code of the dictionary's class beside its name."""
    made = nn.ParameterDict({"*": nn.Parameter(torch.arange(6.0).view(2, 3))})
    torch.save({"string_to_token": {"*": 265}, "string_to_param": made}, file, _use_new_zipfile_serialization=False)
    return {"*": torch.arange(6.0).view(2, 3)}


@variant()
def embedding_of_the_concepts_library(file: Path) -> Weights:
    torch.save({"<りんご>": torch.arange(3.0)}, file)
    return {"<りんご>": torch.arange(3.0)}


@variant()
def several_networks(file: Path) -> Weights:
    torch.save({"unet": {"w": torch.ones(2), "step": 3}, "vae": {"decoder": {"w": torch.zeros(3)}}, "epoch": 1}, file)
    return {"unet.w": torch.ones(2), "vae.decoder.w": torch.zeros(3)}
