"""diffusers' switches for memory and speed, and its progress bar."""

from collections.abc import Iterable
from typing import Any

from .progress import Bar

BAR_SETTINGS = ("total", "desc", "disable")


class Switches:
    """What a pipeline can be asked to do otherwise, without another picture coming out.

    Attention takes little memory here as it is, so there is nothing to switch on for it; autoencoder slices are real.
    """

    vae: Any

    def enable_vae_slicing(self) -> None:
        """Decode one picture at a time."""
        self.vae.enable_slicing()

    def disable_vae_slicing(self) -> None:
        """Decode all pictures at once."""
        self.vae.disable_slicing()

    def enable_vae_tiling(self) -> None:
        """Accepted; pictures are always decoded whole."""
        self.vae.enable_tiling()

    def disable_vae_tiling(self) -> None:
        """See `enable_vae_tiling`."""
        self.vae.disable_tiling()

    def enable_attention_slicing(self, slice_size: str | int | None = "auto") -> None:
        """Accepted; attention does not hold its whole matrix in memory as it is."""

    def disable_attention_slicing(self) -> None:
        """See `enable_attention_slicing`."""

    def enable_xformers_memory_efficient_attention(self, attention_op: object = None) -> None:
        """Accepted; see `enable_attention_slicing`."""

    def disable_xformers_memory_efficient_attention(self) -> None:
        """See `enable_attention_slicing`."""

    def maybe_free_model_hooks(self) -> None:
        """Accepted; nothing is moved about."""

    def remove_all_hooks(self) -> None:
        """Accepted; nothing is moved about."""

    def set_progress_bar_config(self, **settings: Any) -> None:
        """`disable=True` for no bar, `desc` for a text before it; tqdm's other settings are passed over."""
        self._progress_bar_config = {name: value for name, value in settings.items() if name in BAR_SETTINGS}

    def progress_bar(self, iterable: Iterable[Any] | None = None, total: int | None = None) -> Bar:
        """A bar over what is iterated, or one to be updated by hand."""
        return Bar(iterable, **{**getattr(self, "_progress_bar_config", {}), **({} if total is None else {"total": total})})
