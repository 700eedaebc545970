"""How alike texts and pictures are: the cosine between their features in CLIP's space (Radford et al. 2021, section 2).

n texts or pictures, p width of the space they share.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from .formats.clip import Clip, read_clip
from .formats.precision import lent
from .images import to_tensor
from .models.clip_image import normalised
from .tasks.fitting import opened

if TYPE_CHECKING:
    from PIL.Image import Image

EMBEDDED = Path(__file__).parent / "embedded"
ROWS = 16  # most texts or pictures in one call of a tower

Thing: TypeAlias = Union[str, Path, "Image"]
"""A text (str), or a picture: a PIL image, or the Path of one."""


class Judge:
    """A CLIP that compares. Its features have length 1, so their products are cosines."""

    def __init__(self, clip: Clip):
        self.clip, self.device = clip, next(clip.image.parameters()).device
        for tower in (clip.text, clip.image):
            lent(tower, torch.float32)

    def features(self, things: "Sequence[Thing]") -> Tensor:
        """One feature for each text or picture (n p)."""
        texts = [(i, thing) for i, thing in enumerate(things) if isinstance(thing, str)]
        pictures = [(i, thing) for i, thing in enumerate(things) if not isinstance(thing, str)]
        found: dict[int, Tensor] = {}
        for part, embed in ((texts, self._of_texts), (pictures, self._of_pictures)):
            for at in range(0, len(part), ROWS):
                places, rows = zip(*part[at : at + ROWS], strict=True)
                found |= zip(places, F.normalize(embed(rows), dim=1), strict=True)
        return torch.stack([found[i] for i in range(len(things))])

    def similarity(self, a: "Thing", b: "Thing") -> float:
        """The cosine between two texts or pictures, from -1 to 1."""
        one, other = self.features([a, b])
        return float(one @ other)

    def scores(self, prompts: Sequence[str], pictures: "Sequence[Image]") -> list[float]:
        """The cosine of each picture and the prompt of the same place."""
        unlike = list(dict.fromkeys(prompts))
        features = self.features([*unlike, *pictures])
        texts, images = features[: len(unlike)], features[len(unlike) :]
        return [float(texts[unlike.index(prompt)] @ image) for prompt, image in zip(prompts, images, strict=True)]

    @torch.inference_mode()
    def _of_texts(self, texts: Sequence[str]) -> Tensor:
        ids = torch.tensor([self.clip.tokenizer.padded(text) for text in texts], device=self.device)
        return self.clip.text.embed(ids).cpu()

    @torch.inference_mode()
    def _of_pictures(self, pictures: "Sequence[Path | Image]") -> Tensor:
        size = self.clip.image.config.size
        pixels = torch.stack([normalised(to_tensor(framed(opened(picture), size))) for picture in pictures])
        features: Tensor = self.clip.image(pixels.to(self.device))
        return features.cpu()


def judge(model: str | Path | None = None, device: str = "cpu") -> Judge:
    """The CLIP in a folder or file (`formats.clip.read_clip`); the one that comes along unless named, which is read once."""
    return _embedded(device) if model is None else Judge(read_clip(Path(model).expanduser(), device=device))


def similarity(a: "Thing", b: "Thing", model: str | Path | None = None) -> float:
    """How alike two texts or pictures are to a CLIP, from -1 to 1. A str is a text; a picture is a PIL image or a Path.

    model: a CLIP of transformers, a model folder of ours, OpenCLIP's single file; the embedded one unless named.
    Raises FileError on files that cannot be read.
    """
    return judge(model).similarity(a, b)


def framed(picture: "Image", size: int) -> "Image":
    """The middle of a picture, size x size, its shorter side made as long as that: bicubic, as CLIP was trained."""
    from PIL.Image import Resampling

    short = min(picture.width, picture.height)
    width, height = (int(size * side / short) for side in (picture.width, picture.height))
    picture = picture.convert("RGB").resize((width, height), Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return picture.crop((left, top, left + size, top + size))


@lru_cache(maxsize=1)
def _embedded(device: str) -> Judge:
    return Judge(read_clip(EMBEDDED, device=device))
