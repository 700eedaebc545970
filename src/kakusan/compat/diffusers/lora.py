"""diffusers' names for LoRAs: `pipe.load_lora_weights("a folder or file")`, `set_adapters`, `fuse_lora`, and the rest.

Adapters belong to the components, as there: every pipeline made of them has them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from ...errors import KakusanError
from ...formats.lora import Held, lora_file
from ...formats.loras import Loaded, Loras
from ...formats.model import Model
from ...schedules import NoiseSchedule
from .loading import FROM_HUB, place

NETWORKS = ("unet", "text_encoder")
Weight = float | Mapping[str, float | None] | None


class Adapted:
    """The LoRAs of one U-Net and its text encoder.

    active: how strongly each is meant, by component; scale: by what all of that is multiplied. fused: those in the weights
    themselves; kept: those that are for good.
    """

    def __init__(self, model: Model):
        self.loras = Loras(model)
        self.active: dict[str, dict[str, float]] = {network: {} for network in NETWORKS}
        self.fused: set[str] = set()
        self.kept: set[str] = set()
        self.enabled, self.scale = True, 1.0
        self._handles: list[RemovableHandle] = []

    def refresh(self) -> None:
        """Let the networks do what is asked for now."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self.fused or not self.enabled:
            return  # once LoRAs are fused, PEFT adds no other either
        names = dict.fromkeys(name for active in self.active.values() for name in active)
        strengths = ((name, [self.scale * self.active[network].get(name, 0.0) for network in NETWORKS]) for name in names)
        uses = ((name, unet, text) for name, (unet, text) in strengths)
        if (scales := self.loras.scales(uses)) is not None:
            model = self.loras.model
            self._handles += self.loras.unet.attach(model.unet, scales.unet[None])
            self._handles += self.loras.text.attach(model.text, scales.text[None])


class LoraPipeline:
    """What a pipeline of a text encoder and a U-Net can be asked to do with LoRAs."""

    unet: Any
    text_encoder: Any
    vae: Any
    tokenizer: Any

    def load_lora_weights(
        self,
        pretrained_model_name_or_path_or_dict: str | Path | Mapping[str, Tensor],
        *,
        weight_name: str | None = None,
        adapter_name: str | None = None,
        subfolder: str | None = None,
        **options: Any,
    ) -> None:
        """A LoRA out of a file, a folder, the hub or a dictionary of tensors; from now on the only one in use, until `set_adapters`.

        A component that it has nothing for goes on with those it has.
        options: revision, token, local_files_only for the hub; others change nothing. Raises FileError on what is no LoRA for this
        model, KakusanError on a name that is taken.
        """
        adapted = self._adapted()
        name = adapter_name or f"default_{len(adapted.loras.loaded)}"
        if name in adapted.loras.loaded:
            raise KakusanError(
                f"adapter {name!r} is there already; give another adapter_name",
                f"アダプター {name!r} はもうあります。別の adapter_name を指定してください",
            )
        given = pretrained_model_name_or_path_or_dict
        if isinstance(given, Mapping):
            loaded = adapted.loras.load(Held(given), name)
        else:
            path = Path(given)
            if not path.exists():
                path = place(str(given), {option: value for option, value in options.items() if option in FROM_HUB})
            loaded = adapted.loras.load(lora_file(path / (subfolder or ""), weight_name) if path.is_dir() else path, name)
        adapted.active |= {network: {name: 1.0} for network in _networks(loaded)}
        adapted.refresh()

    def set_adapters(self, adapter_names: str | Sequence[str], adapter_weights: Weight | Sequence[Weight] = None) -> None:
        """Use these adapters and no others, each at its weight: a number, or numbers by "unet" and "text_encoder"; 1 unless given."""
        adapted = self._adapted()
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        several = isinstance(adapter_weights, Sequence)
        weights: list[Weight] = list(adapter_weights) if several else [adapter_weights] * len(names)  # type: ignore[arg-type, list-item]
        if len(weights) != len(names):
            raise KakusanError(
                f"{len(names)} adapters but {len(weights)} weights; give as many",
                f"アダプター {len(names)} 個に重みが {len(weights)} 個です。数を揃えてください",
            )
        strengths = {self._known(name): _strengths(weight) for name, weight in zip(names, weights, strict=True)}
        adapted.active = {network: {name: own[network] for name, own in strengths.items()} for network in NETWORKS}
        adapted.refresh()

    def get_active_adapters(self) -> list[str]:
        """The names of those in use: in the text encoder if any are for it, else in the U-Net."""
        last = [network for network in NETWORKS if network in self.get_list_adapters()][-1:]
        return [name for network in last for name in self._adapted().active[network]]

    def get_list_adapters(self) -> dict[str, list[str]]:
        """The names of all, by the component they are for."""
        found: dict[str, list[str]] = {}
        for name, loaded in self._adapted().loras.loaded.items():
            for network in _networks(loaded):
                found.setdefault(network, []).append(name)
        return found

    def disable_lora(self) -> None:
        """Draw without any until `enable_lora`."""
        self._adapted().enabled = False
        self._adapted().refresh()

    def enable_lora(self) -> None:
        """Draw with those in use again."""
        self._adapted().enabled = True
        self._adapted().refresh()

    def delete_adapters(self, adapter_names: str | Sequence[str]) -> None:
        """Forget adapters."""
        adapted = self._adapted()
        for name in [adapter_names] if isinstance(adapter_names, str) else adapter_names:
            adapted.loras.unload(self._known(name))
            for active in adapted.active.values():
                active.pop(name, None)
        adapted.refresh()

    def fuse_lora(
        self,
        components: Sequence[str] = NETWORKS,
        lora_scale: float = 1.0,
        safe_fusing: bool = False,
        adapter_names: Sequence[str] | None = None,
    ) -> None:
        """Add adapters, those in use unless given, to the weights of these components, at their weights times `lora_scale`.

        safe_fusing: accepted; NaN is refused when a LoRA is loaded.
        """
        adapted = self._adapted()
        _check_components(components)
        used: dict[str, list[float]] = {}
        for i, network in enumerate(NETWORKS):
            active = adapted.active[network]
            for name in (active if adapter_names is None else map(self._known, adapter_names)) if network in components else ():
                used.setdefault(name, [0.0, 0.0])[i] = lora_scale * active.get(name, 1.0)
        adapted.loras.fuse({name: (unet, text) for name, (unet, text) in used.items()})
        adapted.fused |= set(used)
        adapted.refresh()

    def unfuse_lora(self, components: Sequence[str] = NETWORKS, **_: object) -> None:
        """The weights as they were before `fuse_lora`, every bit of them, unless the LoRAs were unloaded since."""
        _check_components(components)
        adapted = self._adapted()
        adapted.loras.unfuse()
        adapted.fused.clear()
        adapted.refresh()

    def unload_lora_weights(self, reset_to_overwritten_params: bool = False) -> None:
        """Forget all LoRAs; what was fused stays in the weights for good."""
        adapted = self._adapted()
        adapted.loras.keep()
        adapted.kept |= adapted.fused
        adapted.fused.clear()
        self.delete_adapters(list(adapted.loras.loaded))

    @property
    def fused_loras(self) -> set[str]:
        """The names of those in the weights."""
        return self._adapted().fused | self._adapted().kept

    @property
    def num_fused_loras(self) -> int:
        """How many those are."""
        return len(self.fused_loras)

    def _scale_loras(self, cross_attention_kwargs: Mapping[str, Any] | None) -> None:
        """Take all LoRAs in use at `{"scale": ...}` of their weights; None is 1. Raises KakusanError on anything else in it."""
        given = dict(cross_attention_kwargs or {})
        scale = given.pop("scale", 1.0)
        if given or not isinstance(scale, int | float):
            raise KakusanError(
                f"cross_attention_kwargs is {cross_attention_kwargs!r}; only a number for 'scale' is known",
                f"cross_attention_kwargs が {cross_attention_kwargs!r} です。使えるのは 'scale' の数だけです",
            )
        adapted = self._adapted() if scale != 1 else self.unet.__dict__.get("adapted")
        if adapted is not None and adapted.scale != scale:
            adapted.scale = scale
            adapted.refresh()

    def _adapted(self) -> Adapted:
        """The LoRAs of these components, kept with the U-Net."""
        networks = (self.unet.network, self.text_encoder.network)
        adapted: Adapted | None = self.unet.__dict__.get("adapted")
        if adapted is None or (adapted.loras.model.unet, adapted.loras.model.text) != networks:
            adapted = Adapted(Model(networks[0], self.vae.network, networks[1], self.tokenizer.tokenizer, NoiseSchedule()))
            self.unet.__dict__["adapted"] = adapted
        return adapted

    def _known(self, name: str) -> str:
        loaded = self._adapted().loras.loaded
        if name not in loaded:
            there = ", ".join(loaded) or "-"
            raise KakusanError(f"no adapter {name!r}; there are: {there}", f"アダプター {name!r} がありません。あるのは {there} です")
        return name


def _strengths(weight: Weight) -> dict[str, float]:
    """By component. Raises KakusanError on weights for blocks of the U-Net, which are not known here."""
    if weight is None or isinstance(weight, int | float):
        return dict.fromkeys(NETWORKS, 1.0 if weight is None else float(weight))
    found = dict.fromkeys(NETWORKS, 1.0) | {key: 1.0 if value is None else value for key, value in weight.items()}
    if set(found) != set(NETWORKS) or not all(isinstance(value, int | float) for value in found.values()):
        raise KakusanError(
            f"adapter weight {weight!r}; give a number, or one each for unet and text_encoder",
            f"アダプターの重みが {weight!r} です。数、または unet と text_encoder それぞれの数にしてください",
        )
    return found


def _networks(loaded: Loaded) -> list[str]:
    return [name for name, terms in zip(NETWORKS, (loaded.lora.unet, loaded.lora.text), strict=True) if terms]


def _check_components(components: Sequence[str]) -> None:
    if unknown := [name for name in components if name not in NETWORKS]:
        raise KakusanError(
            f"LoRAs are for unet and text_encoder, not {unknown[0]!r}",
            f"LoRA は unet と text_encoder 用です。{unknown[0]!r} にはありません",
        )
