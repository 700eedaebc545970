"""transformers' image processors: pictures as CLIP's image tower and the depth network want them.

n pictures, H W the height and width that the network was trained on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...errors import FileError
from ...formats.fields import read_json, write_json
from .images import Pictures, as_pil
from .loading import place
from .tokenizer import BatchEncoding

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
SETTINGS = "preprocessor_config.json"


class CLIPImageProcessor:
    """The middle square of pictures `size` high or wide, less the mean of what CLIP was trained on, over the deviation."""

    def __init__(self, size: int = 224, crop: int = 224, mean: Sequence[float] = CLIP_MEAN, std: Sequence[float] = CLIP_STD):
        self.size, self.crop, self.mean, self.std = size, crop, tuple(mean), tuple(std)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, subfolder: str | None = None, **options: Any) -> Self:
        """The settings in a folder's preprocessor_config.json."""
        values = read_json(place(name, options, subfolder) / SETTINGS)
        size, crop = values.get("size", 224), values.get("crop_size", 224)
        shortest = size.get("shortest_edge", 224) if isinstance(size, dict) else size
        side = crop.get("height", 224) if isinstance(crop, dict) else crop
        return cls(int(shortest), int(side), values.get("image_mean", CLIP_MEAN), values.get("image_std", CLIP_STD))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write preprocessor_config.json."""
        sizes = {"size": {"shortest_edge": self.size}, "crop_size": {"height": self.crop, "width": self.crop}}
        does = {"do_center_crop": True, "do_convert_rgb": True, "resample": int(Image.Resampling.BICUBIC)}
        _write(Path(folder), "CLIPImageProcessor", {**sizes, **does}, self.mean, self.std)

    def __call__(self, images: Pictures, return_tensors: str = "pt") -> BatchEncoding:
        """`pixel_values` (n 3 crop crop) of PIL images, arrays or tensors."""
        return _encoding([self._square(picture) for picture in as_pil(images)], self.mean, self.std, return_tensors)

    def _square(self, picture: Image.Image) -> Image.Image:
        w, h = picture.size
        short = min(w, h)
        sized = picture.convert("RGB").resize((w * self.size // short, h * self.size // short), Image.Resampling.BICUBIC)
        left, top = (sized.width - self.crop) // 2, (sized.height - self.crop) // 2
        return sized.crop((left, top, left + self.crop, top + self.crop))


class DPTImageProcessor:
    """Pictures of the size (H, W) that the depth network was trained on, less a mean, over a deviation."""

    def __init__(
        self,
        size: tuple[int, int] = (384, 384),
        mean: Sequence[float] = HALF,
        std: Sequence[float] = HALF,
        resample: int = Image.Resampling.BICUBIC,
    ):
        self.size, self.mean, self.std, self.resample = size, tuple(mean), tuple(std), Image.Resampling(resample)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, subfolder: str | None = None, **options: Any) -> Self:
        """The settings in a folder's preprocessor_config.json. Raises FileError if they keep the picture's proportions."""
        file = place(name, options, subfolder) / SETTINGS
        values = read_json(file)
        if values.get("keep_aspect_ratio"):
            raise FileError(f"{file}: keep_aspect_ratio is not supported", f"{file}: keep_aspect_ratio には対応していません")
        size = values.get("size", 384)
        height, width = (size["height"], size["width"]) if isinstance(size, dict) else (size, size)
        mean, std = values.get("image_mean", HALF), values.get("image_std", HALF)
        return cls((int(height), int(width)), mean, std, values.get("resample", Image.Resampling.BICUBIC))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write preprocessor_config.json."""
        size = {"size": {"height": self.size[0], "width": self.size[1]}, "ensure_multiple_of": 1, "keep_aspect_ratio": False}
        _write(Path(folder), "DPTImageProcessor", {**size, "resample": int(self.resample)}, self.mean, self.std)

    def __call__(self, images: Pictures, return_tensors: str = "pt") -> BatchEncoding:
        """`pixel_values` (n 3 H W) of PIL images, arrays or tensors."""
        sized = [picture.convert("RGB").resize(self.size[::-1], self.resample) for picture in as_pil(images)]
        return _encoding(sized, self.mean, self.std, return_tensors)


def _encoding(pictures: Sequence[Image.Image], mean: Sequence[float], std: Sequence[float], return_tensors: str) -> BatchEncoding:
    """`pixel_values` (n 3 H W) of pictures of one size: 0 to 1, less the mean, over the deviation of each colour."""
    levels = np.stack([np.asarray(picture) for picture in pictures]).astype(np.float32) / 255.0  # n H W 3
    normal = (levels - np.array(mean, np.float32)) / np.array(std, np.float32)
    pixels: Tensor = torch.from_numpy(np.ascontiguousarray(normal.transpose(0, 3, 1, 2)))
    return BatchEncoding({"pixel_values": pixels if return_tensors == "pt" else pixels.numpy()})


def _write(folder: Path, kind: str, settings: dict[str, object], mean: Sequence[float], std: Sequence[float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    does = dict.fromkeys(("do_resize", "do_rescale", "do_normalize"), True)
    values = {"image_processor_type": kind, **does, **settings, "image_mean": list(mean), "image_std": list(std)}
    write_json(folder / SETTINGS, values)
