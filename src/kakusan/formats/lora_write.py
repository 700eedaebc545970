"""LoRAs written under the names that other programs read: kohya's, or those of diffusers and PEFT."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save
from torch import Tensor

from ..errors import FileError, KakusanError
from ..models.lora import Term
from .lora import Lora
from .lora_names import KOHYA_TEXT, KOHYA_UNET, TEXT, UNET, written
from .model import Model

Style = Literal["kohya", "diffusers"]
VERSIONS = {("sd1", False): "sd_v1", ("sd2", False): "sd_v2", ("sd2", True): "sd_v2_v"}


def write_lora(
    lora: Lora, path: Path, model: Model, *, style: Style = "kohya", name: str | None = None, dtype: torch.dtype | None = None
) -> None:
    """One safetensors file. model: what the LoRA is for; name: what other programs show it as, the file's unless given.

    dtype: None for each tensor's own. Raises KakusanError on what diffusers' names have no word for, FileError if it cannot be written.
    """
    tensors, metadata = _kohya(lora, model) if style == "kohya" else _diffusers(lora, model)
    tensors = {key: (one if dtype is None or key.endswith(".alpha") else one.to(dtype)).contiguous() for key, one in tensors.items()}
    if style == "kohya":
        metadata |= {"ss_output_name": name or path.stem, **_hashes(tensors)}
    try:
        path.write_bytes(save(tensors, metadata={"format": "pt", **metadata}))
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror})", f"{path}: 書き込めません ({error.strerror})") from error


def _kohya(lora: Lora, model: Model) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors: dict[str, Tensor] = {}
    for place, term in lora.terms.items():
        stem = {"unet": KOHYA_UNET, "text": KOHYA_TEXT}[place.network] + written(model, place).replace(".", "_")
        if term.up is None:
            tensors[f"{stem}.diff"] = term.down
        else:
            up = term.up if term.down.ndim == 2 else term.up[:, :, None, None]
            tensors |= {f"{stem}.lora_down.weight": term.down, f"{stem}.lora_up.weight": up}
            tensors[f"{stem}.alpha"] = torch.tensor(float(term.rank) if term.alpha is None else term.alpha)
        if term.magnitude is not None:
            tensors[f"{stem}.dora_scale"] = term.magnitude.view(-1, *[1] * (term.down.ndim - 1))
    return tensors, _trained(lora, model)


def _trained(lora: Lora, model: Model) -> dict[str, str]:
    """What kohya's programs write about a training, as far as it is known; numbers only where they hold for every layer."""
    said = {"ss_network_module": "networks.lora"}
    if version := VERSIONS.get((model.family, model.schedule.prediction == "v_prediction")):
        said |= {"ss_base_model_version": version, "ss_v2": str(model.family == "sd2")}
    low = [term for term in lora.terms.values() if term.up is not None]
    ranks, alphas = {term.rank for term in low}, {float(term.rank) if term.alpha is None else term.alpha for term in low}
    if len(ranks) == 1:
        said["ss_network_dim"] = str(*ranks)
    if len(alphas) == 1:
        said["ss_network_alpha"] = str(*alphas)
    return said


def _hashes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The hash of the numbers by which AUTOMATIC1111's web UI knows a LoRA, whatever the file says about itself."""
    blob = save(dict(tensors))
    start = 8 + int.from_bytes(blob[:8], "little")
    return {"sshs_model_hash": hashlib.sha256(blob[start:]).hexdigest()}


def _diffusers(lora: Lora, model: Model) -> tuple[dict[str, Tensor], dict[str, str]]:
    """PEFT's names with diffusers' prefixes, alphas in the metadata; these have no form for a difference that is not of low rank."""
    tensors: dict[str, Tensor] = {}
    for place, term in lora.terms.items():
        stem = {"unet": UNET, "text": TEXT}[place.network] + written(model, place)
        if term.up is None:
            raise KakusanError(
                f"{stem}: diffusers' names have no form for a difference of full rank; write kohya's names",
                f"{stem}: 低ランクでない差分は diffusers の名前では書けません。kohya の名前で書いてください",
            )
        up = term.up if term.down.ndim == 2 else term.up[:, :, None, None]
        tensors |= {f"{stem}.lora_A.weight": term.down, f"{stem}.lora_B.weight": up}
        if term.magnitude is not None:
            shape = (-1,) if term.down.ndim == 2 else (1, -1, 1, 1)
            tensors[f"{stem}.lora_magnitude_vector"] = term.magnitude.view(shape)
    config: dict[str, object] = {}
    for network, prefix in (("unet", UNET), ("text", TEXT)):
        own = {
            written(model, place).removeprefix("text_model."): term  # as transformers 5 calls it, and older ones end
            for place, term in lora.terms.items()
            if place.network == network
        }
        if own:
            config |= {prefix + key: value for key, value in _config(own).items()}
    return tensors, {"lora_adapter_metadata": json.dumps(config, indent=2, sort_keys=True)}


def _config(terms: Mapping[str, Term]) -> dict[str, object]:
    """The settings by which PEFT makes layers for these terms: the commonest rank and alpha, and which layers have others."""
    ranks = {name: term.rank for name, term in terms.items()}
    alphas = {name: float(term.rank) if term.alpha is None else term.alpha for name, term in terms.items()}
    rank, alpha = (Counter(each.values()).most_common(1)[0][0] for each in (ranks, alphas))
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {name: own for name, own in ranks.items() if own != rank},
        "alpha_pattern": {name: own for name, own in alphas.items() if own != alpha},
        "target_modules": sorted(terms),
        "use_dora": any(term.magnitude is not None for term in terms.values()),
    }
