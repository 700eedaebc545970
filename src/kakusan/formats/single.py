"""A whole model as one file, in the layout of CompVis and Stability: read from safetensors or .ckpt, written as safetensors."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import FileError, KakusanError
from ..messages import tr
from ..models.autoencoder import Autoencoder
from ..models.clip_text import ClipText
from ..models.dpt import Dpt
from ..models.unet import UNet
from ..prompts.tokenizer import Tokenizer
from .betas import schedule_in
from .detect import AUTOENCODER, CLIP, DEPTH, LOW_NOISE, OPEN_CLIP, Found, autoencoder_prefix, detect, idle, predicting, unet_prefix
from .ema import averaged
from .export import Exported
from .files import open_file
from .fill import Place, empty, fill, unexpected
from .folder import read_component
from .keys_dpt import UNUSED
from .ldm_config import read_config
from .model import Model
from .places import autoencoder_places, clip_places, dpt_places, open_clip_places, unet_places
from .precision import lent
from .probe import probed
from .shapes import autoencoder_of
from .source import Source, Under, refuse
from .stamp import read_stamp
from .stream import OnBytes, write_source

PARTS = ("unet", "autoencoder", "text", "depth")
PREDICTIONS = {"epsilon": "epsilon", "eps": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction", "sample": "sample"}
TRAINING = ("loss.", "model_ema.")  # what is left of the training of an autoencoder that is alone in its file
Places = dict[str, dict[str, Place]]


def read_single(
    path: str | Path,
    *,
    config: str | Path | None = None,
    use_ema: bool | None = None,
    vae: str | Path | None = None,
    parts: Collection[str] | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    prediction: str | None = None,
) -> Model:
    """The model in one file. Its kind is told by names and shapes, or by an original .yaml as `config`.

    use_ema: the averaged weights (True) or the raw ones (False) of a file that has both; None takes the raw ones, as the original
    does, unless the .yaml has use_ema. vae: another autoencoder's file or folder. parts: whose weights to read, of "unet",
    "autoencoder", "text" and "depth"; the others stay on the meta device. dtype: None for each as stored, which on a CPU leaves it in the
    memory map. prediction: "epsilon" or "v" where it is known better. What was found out, and why, is in the model's notes.
    Raises FileError, naming file and tensor, on anything missing, unexpected, damaged or unknown.
    """
    wanted = set(PARTS if parts is None else parts)
    if not wanted <= set(PARTS):
        raise ValueError(f"parts {sorted(wanted)} are not all among {', '.join(PARTS)}")
    source = open_file(path)
    found = _found(source, config, prediction)
    networks = _networks(source, found, without=() if vae is None else ("autoencoder",))
    places = _places(source, found, networks)
    _check_all_known(source, found, places)
    notes = _choose_average(source, found, places["unet"], use_ema)
    for name in wanted & set(networks):
        fill(networks[name], source, places[name], dtype=dtype, device=device)
    if vae is not None:
        networks["autoencoder"] = read_vae(vae, scale=getattr(found.autoencoder, "scale", None), dtype=dtype, device=device)
    model = _model(source, found, networks)
    model.notes += notes
    _settle_prediction(model, found, readable={"unet", "text"} <= wanted)
    return model


def read_vae(
    path: str | Path, *, scale: float | None = None, dtype: torch.dtype | None = None, device: str | torch.device = "cpu"
) -> Autoencoder:
    """An autoencoder out of a file of its own (.vae.pt, safetensors), of a whole model's file, or of a folder, in either format's names.

    scale: of its latents, which such a file does not say; None for that of the published autoencoder with as many levels.
    Raises FileError as `read_single` does.
    """
    path = Path(path)
    if path.is_dir():
        network = read_component(path, "vae" if (path / "vae").is_dir() else "", dtype=dtype, device=device)
        if not isinstance(network, Autoencoder):
            raise FileError(f"{path}: not an autoencoder", f"{path}: オートエンコーダーではありません")
    else:
        source = open_file(path)
        part = Under(source, autoencoder_prefix(source.tensors))
        config = autoencoder_of(part, read_stamp(source).get("autoencoder", {}))
        network = empty(Autoencoder, config, source.file)
        places = autoencoder_places(network.state_dict(), config, part)
        others = [name for name in source.tensors if not name.startswith(part.prefix) or idle(name) or name.startswith(TRAINING)]
        unexpected(source, [*others, *(place.name for place in places.values())])
        fill(network, source, places, dtype=dtype, device=device)
    if scale is not None:
        network.config = replace(network.config, scale=scale)
    return network


def write_single(
    model: Model, path: str | Path, dtype: torch.dtype | None = None, *, replace: bool = False, on_bytes: OnBytes | None = None
) -> None:
    """Write a model as one safetensors file with every tensor that the published ones have, whole or not at all.

    dtype: of the weights, None for as they are. replace: also over another file. on_bytes: told how many bytes more are written.
    Raises KakusanError on a model that such a file cannot hold, FileError if the file is there or cannot be written.
    """
    if model.tokenizer.vocab != Tokenizer.clip().vocab:
        raise KakusanError(
            f"{path}: a single file has no place for a tokenizer, and this model's is not CLIP's; write a folder",
            f"{path}: 単一ファイルにはトークナイザーを保存できません (CLIP のものではないため)。フォルダーに書き出してください",
        )
    write_source(Exported(model, Path(path), dtype), Path(path), replace=replace, on_bytes=on_bytes)


def prediction_named(name: str) -> str:
    """A NoiseSchedule's word for what a U-Net predicts: "v" is "v_prediction". Raises KakusanError if there is no such thing."""
    if name not in PREDICTIONS:
        known = ", ".join(PREDICTIONS)
        raise KakusanError(f"prediction is {name!r}; it must be one of {known}", f"prediction が {name!r} です。{known} から選んでください")
    return PREDICTIONS[name]


def _found(source: Source, config: str | Path | None, prediction: str | None) -> Found:
    """What is in the file: as the .yaml says, or as it looks; with the noise schedule of its own tables if they tell."""
    if config is not None:
        found = read_config(config, source)
    else:
        found = detect(source)
        found = replace(found, schedule=schedule_in(source, "betas", found.schedule))
        if found.low_noise is not None:
            found = replace(found, low_noise=schedule_in(source, f"{LOW_NOISE}betas", found.low_noise))
    if prediction is None:
        return found
    if prediction not in PREDICTIONS:
        known = ", ".join(PREDICTIONS)
        raise KakusanError(
            f"prediction is {prediction!r}; it must be one of {known}", f"prediction が {prediction!r} です。{known} から選んでください"
        )
    return predicting(found, PREDICTIONS[prediction])


def _networks(source: Source, found: Found, without: Collection[str]) -> dict[str, nn.Module]:
    """The networks, without weights. Raises FileError if the file lacks one that is not among `without`."""
    networks: dict[str, nn.Module] = {}
    kinds: Mapping[str, tuple[Any, Any, str]] = {
        "unet": (UNet, found.unet, f"{unet_prefix(source.tensors)}input_blocks.0.0.weight"),
        "autoencoder": (Autoencoder, found.autoencoder, f"{AUTOENCODER}decoder.conv_in.weight"),
        "text": (ClipText, found.text, f"{CLIP}text_model.embeddings.token_embedding.weight"),
    }
    for name, (kind, config, first) in kinds.items():
        if name not in without:
            if config is None:
                refuse(source.file, first, f"is missing: the file holds no {name}", f"がありません ({name} の入っていないファイルです)")
            networks[name] = empty(kind, config, source.file)
    if found.depth is not None:
        networks["depth"] = empty(Dpt, found.depth, source.file)
    return networks


def _places(source: Source, found: Found, networks: Mapping[str, nn.Module]) -> Places:
    places = {}
    for name, network in networks.items():
        ours = network.state_dict()
        if isinstance(network, UNet):
            places[name] = unet_places(ours, network.config, unet_prefix(source.tensors))
        elif isinstance(network, Autoencoder):
            places[name] = autoencoder_places(ours, network.config, Under(source, autoencoder_prefix(source.tensors)))
        elif isinstance(network, ClipText):
            at = OPEN_CLIP if found.open_clip else CLIP
            places[name] = (open_clip_places if found.open_clip else clip_places)(ours, network.config, Under(source, at))
        elif isinstance(network, Dpt):
            places[name] = dpt_places(ours, network.config, DEPTH)
    return places


def _check_all_known(source: Source, found: Found, places: Places) -> None:
    """Raises FileError on a tensor that is neither a network's nor known to be of no use."""
    known = {place.name for network in places.values() for place in network.values()}
    spare = [DEPTH + name for name in UNUSED] + ([] if "autoencoder" in places else [AUTOENCODER])
    if found.open_clip and found.text is not None:
        spare += [f"{OPEN_CLIP}{name}" for name in ("text_projection", "logit_scale")]
        spare += [f"{OPEN_CLIP}transformer.resblocks.{found.text.layers + i}." for i in range(found.skipped)]
    unexpected(source, known | {name for name in source.tensors if idle(name) or name.startswith(tuple(spare))})


def _choose_average(source: Source, found: Found, places: dict[str, Place], use_ema: bool | None) -> list[str]:
    """Puts the U-Net's averaged weights in the place of the raw ones if they are wanted, and says what was chosen."""
    averages = found.use_ema if use_ema is None else use_ema
    if found.ema == "full" and averages:
        names = averaged(source.file, source.tensors)
        places.update({ours: Place(names[place.name]) for ours, place in places.items()})
        return [tr("averaged weights (EMA) are used", "EMA (平均した重み) を使います")]
    if found.ema == "full":
        return [
            tr(
                "raw weights are used; the file has averaged ones too (use_ema)",
                "元の重みを使います。ファイルには EMA もあります (use_ema)",
            )
        ]
    if use_ema and found.ema == "leftovers":
        return [tr("the file's only weights are averaged ones (EMA)", "ファイルの重みは EMA だけです")]
    if use_ema:
        return [tr("the file has one set of weights, which is used", "ファイルの重みは 1 組だけなので、それを使います")]
    return []


def _model(source: Source, found: Found, networks: Mapping[str, nn.Module]) -> Model:
    return Model(
        **networks,  # type: ignore[arg-type]
        tokenizer=_tokenizer(source, found),
        schedule=found.schedule,
        name=source.file.stem,
        settings=found.settings,
        low_noise=found.low_noise,
        path=source.file,
    )


def _tokenizer(source: Source, found: Found) -> Tokenizer:
    """CLIP's own, padded as the family does. Raises FileError if the text tower knows other tokens."""
    tokenizer = Tokenizer.clip(pad=0 if found.open_clip else None, length=found.length)
    if found.text is not None and found.text.vocab != len(tokenizer):
        if found.tokenizer is not None:
            return Tokenizer.from_folder(found.tokenizer)
        name = f"{OPEN_CLIP}token_embedding.weight" if found.open_clip else f"{CLIP}text_model.embeddings.token_embedding.weight"
        known, count = found.text.vocab, len(tokenizer)
        refuse(
            source.file,
            name,
            f"knows {known} tokens, CLIP's tokenizer {count}; give a .yaml whose version names a folder with the tokenizer",
            f"の語彙は {known} で、CLIP の {count} と違います。version にトークナイザーのフォルダーを書いた .yaml が必要です",
        )
    return tokenizer


def _settle_prediction(model: Model, found: Found, readable: bool) -> None:
    """What the U-Net predicts: as known, or as one evaluation tells. Noted where models of the family differ."""
    prediction, (en, ja) = found.prediction, found.reason
    if prediction is None and readable:
        handles = [*lent(model.unet, torch.float32), *lent(model.text, torch.float32)]
        with torch.inference_mode():
            device = next(model.unet.parameters()).device
            context = model.text(torch.tensor([model.tokenizer.padded("")], device=device))[0].float()
            prediction, en, ja = probed(model.unet, context, model.schedule.steps)
        for handle in handles:
            handle.remove()
        if prediction is not None:
            found = predicting(found, prediction)
            model.schedule = found.schedule
            if found.unet is not None:
                model.unet.config = found.unet
    if prediction is None:
        hint = tr("taken for epsilon; say prediction= if that is wrong", "epsilon とみなします。違う場合は prediction= を指定してください")
        model.notes.append(
            tr("epsilon or v cannot be told", "epsilon か v か判定できません") + (f" ({tr(en, ja)})" if en else "") + f": {hint}"
        )
    elif en and found.family == "sd2" and not found.variant:
        model.notes.append(tr(f"predicts {prediction}: {en}", f"予測の種類は {prediction}: {ja}"))
