"""Pictures to and from tensors, as diffusers' VaeImageProcessor makes them.

n images, c channels, h w height and width; numbers are 0 to 1 in arrays (n h w c) and -1 to 1 in tensors (n c h w).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ...errors import KakusanError

Picture = Image.Image | npt.NDArray[Any] | Tensor
Pictures = Picture | Sequence[Picture]
Array = npt.NDArray[np.float32]

RESAMPLE = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
OUTPUT_TYPES = ("pil", "np", "pt", "latent")


class VaeImageProcessor:
    """Pictures for the autoencoder, and out of it.

    vae_scale_factor: sizes become multiples of it. do_binarize and do_convert_grayscale make a mask (n 1 h w, 0 or 1) of a picture.
    """

    def __init__(
        self,
        vae_scale_factor: int = 8,
        *,
        vae_latent_channels: int = 4,
        resample: str = "lanczos",
        do_normalize: bool = True,
        do_binarize: bool = False,
        do_convert_grayscale: bool = False,
    ):
        self.factor, self.latent_channels, self.resample = vae_scale_factor, vae_latent_channels, RESAMPLE[resample]
        self.do_normalize, self.do_binarize, self.gray = do_normalize, do_binarize, do_convert_grayscale

    def preprocess(
        self, image: Pictures, height: int | None = None, width: int | None = None, box: tuple[int, int, int, int] | None = None
    ) -> Tensor:
        """Pictures (n c h w, -1 to 1) of that size, or of their own, made a multiple of the factor; latents come back as they are.

        PIL images are cut to `box`, then resampled; arrays (0 to 1) and tensors take the nearest pixel.
        Raises KakusanError on anything that is no picture.
        """
        pictures = _listed(image)
        if isinstance(pictures[0], Image.Image):
            x = self._of_pil([p for p in pictures if isinstance(p, Image.Image)], height, width, box)
        else:
            x = _batched(pictures, self.gray)
            if x.shape[1] == self.latent_channels and not self.gray:
                return x
            x = F.interpolate(x, size=self._size(x.shape[2], x.shape[3], height, width))
        if self.do_normalize and not x.min() < 0:
            x = 2.0 * x - 1.0
        return (x >= 0.5).to(x.dtype) if self.do_binarize else x

    def postprocess(self, image: Tensor, output_type: str = "pil", do_denormalize: Sequence[bool] | None = None) -> Any:
        """Pictures out of the autoencoder (n 3 h w, -1 to 1) as "pil", "np" (n h w 3), "pt" (n 3 h w, 0 to 1); "latent" as they are.

        do_denormalize: False for pictures that are 0 to 1 already.
        """
        if output_type == "latent":
            return image
        wanted = [True] * len(image) if do_denormalize is None else do_denormalize
        pictures = torch.stack([self.denormalize(one) if moved else one for one, moved in zip(image, wanted, strict=True)])
        if output_type == "pt":
            return pictures
        array = self.pt_to_numpy(pictures)
        return self.numpy_to_pil(array) if output_type == "pil" else array

    @staticmethod
    def numpy_to_pil(images: Array) -> list[Image.Image]:
        """PIL images of an array (n h w c or h w c, 0 to 1)."""
        levels = (images[None] if images.ndim == 3 else images) * 255
        return [Image.fromarray(one.squeeze(-1) if one.shape[-1] == 1 else one) for one in levels.round().astype("uint8")]

    @staticmethod
    def pil_to_numpy(images: Image.Image | Sequence[Image.Image]) -> Array:
        """An array (n h w c, or n h w of grey pictures, 0 to 1) of PIL images."""
        listed = [images] if isinstance(images, Image.Image) else images
        return np.stack([np.asarray(one).astype(np.float32) / 255.0 for one in listed])

    @staticmethod
    def numpy_to_pt(images: Array) -> Tensor:
        """A tensor (n c h w) of an array (n h w c, or n h w)."""
        return torch.from_numpy((images[..., None] if images.ndim == 3 else images).transpose(0, 3, 1, 2))

    @staticmethod
    def pt_to_numpy(images: Tensor) -> Array:
        """An array (n h w c) of a tensor (n c h w)."""
        array: Array = images.detach().cpu().permute(0, 2, 3, 1).float().numpy()
        return array

    @staticmethod
    def normalize(images: Tensor) -> Tensor:
        """0 to 1 becomes -1 to 1."""
        return 2.0 * images - 1.0

    @staticmethod
    def denormalize(images: Tensor) -> Tensor:
        """-1 to 1 becomes 0 to 1; what is beyond is cut off."""
        return (images * 0.5 + 0.5).clamp(0, 1)

    def _of_pil(self, pictures: list[Image.Image], height: int | None, width: int | None, box: tuple[int, int, int, int] | None) -> Tensor:
        cut = [p if box is None else p.crop(box) for p in pictures]
        h, w = self._size(cut[0].height, cut[0].width, height, width)
        mode = "L" if self.gray else "RGB"
        if not self.gray:
            cut = [p if p.mode == mode else p.convert(mode) for p in cut]
        sized = [p.resize((w, h), resample=self.resample) for p in cut]
        return self.numpy_to_pt(self.pil_to_numpy([p if p.mode == mode else p.convert(mode) for p in sized]))

    def _size(self, own_height: int, own_width: int, height: int | None, width: int | None) -> tuple[int, int]:
        h, w = own_height if height is None else height, own_width if width is None else width
        return h - h % self.factor, w - w % self.factor


def given(name: str, image: Pictures | None) -> Pictures:
    """The picture that has to be there. Raises KakusanError if it is not."""
    if image is None:
        raise KakusanError(f"{name} is missing; give a picture", f"{name} がありません。画像を指定してください")
    return image


def check_output_type(name: object) -> None:
    """Raises KakusanError on a kind of pictures nobody makes."""
    if name not in OUTPUT_TYPES:
        names = ", ".join(OUTPUT_TYPES)
        raise KakusanError(f"output_type is {name!r}; give one of {names}", f"output_type が {name!r} です。{names} のどれかにしてください")


def as_pil(images: Pictures) -> list[Image.Image]:
    """PIL images of PIL images, arrays (h w 3, 0 to 1) or tensors (3 h w, 0 to 1)."""
    return [one if isinstance(one, Image.Image) else _pil(one) for one in _listed(images)]


def _listed(image: Pictures) -> list[Picture]:
    pictures: list[Any] = list(image) if isinstance(image, list | tuple) else [image]
    kinds = (Image.Image, np.ndarray, Tensor)
    if not pictures or not all(isinstance(p, kinds) for p in pictures) or len({isinstance(p, Image.Image) for p in pictures}) > 1:
        found = type(pictures[0]).__name__ if pictures else "an empty list"
        raise KakusanError(
            f"image is {found}; give a PIL image, an array (h, w, 3), a tensor (3, h, w), or a list of them",
            f"image が {found} です。PIL の画像、配列 (h, w, 3)、テンソル (3, h, w)、またはそのリストにしてください",
        )
    return pictures


def _batched(pictures: Sequence[Picture], gray: bool) -> Tensor:
    """Arrays and tensors as one tensor (n c h w); those of masks may lack the channel."""
    rows = []
    for one in pictures:
        x = one if isinstance(one, Tensor) else torch.from_numpy(np.asarray(one))
        if gray and x.ndim in (2, 3):
            channels_last = not isinstance(one, Tensor) and x.ndim == 3 and x.shape[-1] == 1
            x = x.permute(2, 0, 1)[None] if channels_last else x.reshape(-1, 1, *x.shape[-2:])  # n 1 h w
        else:
            x = x[None] if x.ndim == 3 else x
            x = x if isinstance(one, Tensor) or x.ndim != 4 else x.permute(0, 3, 1, 2)
        if x.ndim != 4:
            shape = list(x.shape)
            raise KakusanError(
                f"image has shape {shape}; give (n, 3, h, w) in a tensor or (n, h, w, 3) in an array",
                f"image の形が {shape} です。テンソルは (n, 3, h, w)、配列は (n, h, w, 3) にしてください",
            )
        rows.append(x)
    return torch.cat(rows)


def _pil(picture: npt.NDArray[Any] | Tensor) -> Image.Image:
    array = VaeImageProcessor.pt_to_numpy(picture[None])[0] if isinstance(picture, Tensor) else picture
    return VaeImageProcessor.numpy_to_pil(array)[0]
