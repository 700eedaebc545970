"""The networks under diffusers' and transformers' names: `vae.decode(latents).sample`, `unet(x, t, states).sample`, `text_encoder(ids)[0]`.

Each holds one of our networks and translates; nothing is computed here that the network does not compute.
n images, c channels, h w height and width of a latent, H W of a picture, l text tokens, d width of a text state.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ...errors import KakusanError
from ...formats import configs
from ...formats import parts as lay
from ...formats.keys import FOLDER, renamed
from ...models.autoencoder import Autoencoder
from ...models.clip_text import ClipText
from ...models.unet import UNet
from .config import Config
from .loading import place, read_network
from .outputs import (
    AutoencoderKLOutput,
    BaseModelOutputWithPooling,
    DecoderOutput,
    DiagonalGaussianDistribution,
    UNet2DConditionOutput,
)
from .random import Generators

OWN = "network."  # where our names begin in a component's state


class Component(nn.Module):
    """One of our networks as a component: configuration, device, dtype, and weights by the folder's names."""

    kind: ClassVar[type[nn.Module]]
    part: ClassVar[lay.Part[Any, Any]]
    settings: ClassVar[Mapping[str, object]] = {}
    """What diffusers' configuration says beside ours."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.config = Config({**self.settings, **self.part.write_config(network.config)})
        self.register_state_dict_post_hook(_to_folder_names)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_to_our_names)  # type: ignore[no-untyped-call]
        self.eval()

    @classmethod
    def from_pretrained(
        cls, name: str | Path | None = None, *, subfolder: str | None = None, torch_dtype: torch.dtype | str | None = None, **options: Any
    ) -> Self:
        """The component in a folder, or under a name on the hub; None is the embedded model. options: revision, variant, token.

        torch_dtype: float32 unless given; "auto" as stored. Raises FileError, naming file and key, on what cannot be read.
        """
        return cls(read_network(cls.kind, place(name, options, subfolder), torch_dtype, options.get("variant")))

    def save_pretrained(self, folder: str | Path, max_shard_bytes: int = 10_000_000_000) -> None:
        """Write config.json and safetensors that diffusers or transformers open."""
        folder = Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        part: lay.Part[Any, Any] = replace(self.part, folder=folder.name)
        network: Any = self.network
        said = {name: self.config[name] for name in part.write_config(network.config)}
        part.write(network, network.config, folder.parent, dtype=self.dtype, max_shard_bytes=max_shard_bytes, more=said)

    def register_to_config(self, **settings: object) -> None:
        """Replace or add settings."""
        self.config = Config({**self.config, **settings})

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are kept as."""
        return next(self.parameters()).dtype

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            config = self.__dict__.get("config", {})
            if name in config:  # unet.in_channels, as notebooks of 2022 have it
                return config[name]
            raise

    def names(self) -> dict[str, str]:
        """The folder's name of each tensor, by ours."""
        return renamed(self.network.state_dict(), self.part.rows(self.network.config), FOLDER)


class AutoencoderKL(Component):
    """Pictures (n 3 H W, -1 to 1) to latents (n c h w, not scaled) and back."""

    kind, part = Autoencoder, lay.AUTOENCODER
    settings: ClassVar[Mapping[str, object]] = {
        **{name: values[0] for name, values in configs.AUTOENCODER_SAME.items()},
        "force_upcast": True,
    }
    network: Autoencoder
    use_slicing = use_tiling = False

    def encode(self, x: Tensor, return_dict: bool = True) -> AutoencoderKLOutput | tuple[DiagonalGaussianDistribution]:
        """The distribution of the latents of pictures."""
        _check_input(x, self.network.config.channels_in, "pictures", "画像")
        moments = torch.cat([torch.cat(self.network.encode(one), dim=1) for one in self._sliced(x)])  # n 2c h w
        out = AutoencoderKLOutput(DiagonalGaussianDistribution(moments))
        return out if return_dict else (out.latent_dist,)

    def decode(self, z: Tensor, return_dict: bool = True, generator: Generators = None) -> DecoderOutput | tuple[Tensor]:
        """The pictures of latents. Nothing in it is random: a generator changes nothing."""
        _check_input(z, self.network.config.latent_channels, "latents", "潜在変数")
        image = torch.cat([self.network.decode(one) for one in self._sliced(z)])  # n 3 H W
        return DecoderOutput(image) if return_dict else (image,)

    def forward(
        self, sample: Tensor, sample_posterior: bool = False, return_dict: bool = True, generator: Generators = None
    ) -> DecoderOutput | tuple[Tensor]:
        """Pictures as they come back through their latents: the likeliest ones, or drawn ones."""
        posterior: DiagonalGaussianDistribution = self.encode(sample)[0]
        return self.decode(posterior.sample(generator) if sample_posterior else posterior.mode(), return_dict)

    def enable_slicing(self) -> None:
        """One picture at a time, which takes less memory."""
        self.use_slicing = True

    def disable_slicing(self) -> None:
        """All pictures at once."""
        self.use_slicing = False

    def enable_tiling(self, use_tiling: bool = True) -> None:
        """Accepted and without effect: pictures are always decoded whole, so that none has seams."""
        self.use_tiling = use_tiling

    def disable_tiling(self) -> None:
        """See `enable_tiling`."""
        self.use_tiling = False

    @property
    def quant_conv(self) -> nn.Module:
        """The last layer before the moments."""
        return self.network.moments

    @property
    def post_quant_conv(self) -> nn.Module:
        """The first layer after the latents."""
        return self.network.unmoments

    @property
    def encoder(self) -> nn.Module:
        """Pictures to moments before `quant_conv`."""
        return self.network.encoder

    @property
    def decoder(self) -> nn.Module:
        """Latents after `post_quant_conv` to pictures."""
        return self.network.decoder

    def _sliced(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.chunk(len(x)) if self.use_slicing else (x,)


class UNet2DConditionModel(Component):
    """Predicts the noise (or v, or the clean latent) in noisy latents (n c h w)."""

    kind, part = UNet, lay.UNET
    settings: ClassVar[Mapping[str, object]] = {name: values[0] for name, values in configs.UNET_SAME.items()}
    network: UNet

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        class_labels: Tensor | None = None,
        timestep_cond: None = None,
        attention_mask: None = None,
        cross_attention_kwargs: Mapping[str, object] | None = None,
        added_cond_kwargs: Mapping[str, object] | None = None,
        return_dict: bool = True,
    ) -> UNet2DConditionOutput | tuple[Tensor]:
        """The prediction (n c h w) for noisy latents at a timestep, one for all or one each, under text states (n l d).

        class_labels: noise level of the small picture, for the x4 upscaler. Raises KakusanError on what this network has no use for.
        """
        given = (timestep_cond, attention_mask, cross_attention_kwargs or None, added_cond_kwargs or None)
        for name, value in zip(("timestep_cond", "attention_mask", "cross_attention_kwargs", "added_cond_kwargs"), given, strict=True):
            if value is not None:
                raise KakusanError(f"this U-Net has no use for {name}; leave it out", f"この U-Net は {name} を使いません。外してください")
        _check_input(sample, self.network.config.in_channels, "latents", "潜在変数")
        _check_states(encoder_hidden_states, sample, self.network.config.context_width)
        t = torch.as_tensor(timestep, device=sample.device).reshape(-1).expand(len(sample))  # n
        label = None if class_labels is None else torch.as_tensor(class_labels, device=sample.device).reshape(-1).expand(len(sample))
        _check_labels(label, self.network.config.class_labels)
        prediction: Tensor = self.network(sample, t, encoder_hidden_states, label)
        return UNet2DConditionOutput(prediction) if return_dict else (prediction,)

    def enable_xformers_memory_efficient_attention(self, attention_op: object = None) -> None:
        """Accepted and without effect: torch's own attention, always used here, saves the same memory."""

    def disable_xformers_memory_efficient_attention(self) -> None:
        """See `enable_xformers_memory_efficient_attention`."""

    def set_attention_slice(self, slice_size: object = "auto") -> None:
        """Accepted and without effect, for the same reason."""


class CLIPTextModel(Component):
    """Token ids (n l) to states (n l d)."""

    kind, part = ClipText, lay.TEXT
    network: ClipText

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: None = None,
        output_hidden_states: bool = False,
        return_dict: bool = True,
    ) -> BaseModelOutputWithPooling | tuple[Any, ...]:
        """States after the last layer and the final norm; the state of the first end token; on demand those before and after each layer.

        attention_mask: 0 for tokens (n l) that the others must not look at.
        """
        if position_ids is not None:
            raise KakusanError(
                "this text encoder counts positions itself; leave position_ids out",
                "この text encoder は位置を自分で数えます。position_ids を外してください",
            )
        _check_ids(input_ids, self.network.config.positions)
        states = list(self.network.by_layer(input_ids, None if attention_mask is None else attention_mask.bool()))
        last = self.network.norm(states[-1])  # n l d
        end = input_ids.eq(self.network.config.end_token).int().argmax(dim=1)  # n; the first of equals
        pooled = last[torch.arange(len(last), device=last.device), end]  # n d
        out = BaseModelOutputWithPooling(last, pooled, tuple(states) if output_hidden_states else None)
        return out if return_dict else out.to_tuple()

    @property
    def text_model(self) -> SimpleNamespace:
        """What diffusers' pipelines reach through to: the final norm, which they apply to an earlier layer's states."""
        return SimpleNamespace(final_layer_norm=self.network.norm)

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of token embeddings."""
        return self.network.token_embedding

    def append(self, vectors: Tensor) -> None:
        """Further token embeddings (n d), for the ids after the last."""
        table = self.network.token_embedding.weight
        self._replace(torch.cat([table.data, vectors.to(table.device, table.dtype)]))

    def take_out(self, ids: range) -> None:
        """Without the token embeddings of these ids; those after them move up."""
        table = self.network.token_embedding.weight.data
        self._replace(torch.cat([table[: ids.start], table[ids.stop :]]))

    def _replace(self, table: Tensor) -> None:
        self.network.token_embedding.weight = nn.Parameter(table, requires_grad=self.network.token_embedding.weight.requires_grad)
        self.network.token_embedding.num_embeddings = len(table)
        self.network.config = replace(self.network.config, vocab=len(table))
        self.register_to_config(vocab_size=len(table))


def _to_folder_names(component: Component, state: dict[str, Any], prefix: str, _: object) -> None:
    for ours, theirs in component.names().items():
        state[prefix + theirs] = state.pop(f"{prefix}{OWN}{ours}")


def _to_our_names(component: Component, state: dict[str, Any], prefix: str, *_: object) -> None:
    for ours, theirs in component.names().items():
        if prefix + theirs in state:
            state[f"{prefix}{OWN}{ours}"] = state.pop(prefix + theirs)


def _check_input(x: Tensor, channels: int, en: str, ja: str) -> None:
    if x.ndim == 4 and x.shape[1] == channels:
        return
    shape = list(x.shape)
    raise KakusanError(
        f"{en} have shape {shape}; this network takes (n, {channels}, height, width)",
        f"{ja}の形が {shape} です。このネットワークは (n, {channels}, 高さ, 幅) を受け取ります",
    )


def _check_states(states: Tensor, sample: Tensor, width: int) -> None:
    if states.ndim == 3 and len(states) == len(sample) and states.shape[2] == width:
        return
    shape, n = list(states.shape), len(sample)
    raise KakusanError(
        f"encoder_hidden_states have shape {shape}; with {n} latents this U-Net takes ({n}, tokens, {width})",
        f"encoder_hidden_states の形が {shape} です。潜在変数が {n} 個なら ({n}, トークン数, {width}) にしてください",
    )


def _check_labels(label: Tensor | None, known: int) -> None:
    if label is not None and not known:
        raise KakusanError(
            "this U-Net has no classes; leave class_labels out", "この U-Net にはクラスがありません。class_labels を外してください"
        )
    if label is None and known:
        raise KakusanError(
            f"this U-Net needs class_labels from 0 to {known - 1}: the noise level",
            f"この U-Net には class_labels (0 から {known - 1} のノイズ量) が必要です",
        )


def _check_ids(ids: Tensor, positions: int) -> None:
    if ids.ndim == 2 and ids.shape[1] <= positions:
        return
    shape = list(ids.shape)
    raise KakusanError(
        f"input_ids have shape {shape}; this text encoder takes (n, up to {positions})",
        f"input_ids の形が {shape} です。この text encoder は (n, {positions} 以下) を受け取ります",
    )
