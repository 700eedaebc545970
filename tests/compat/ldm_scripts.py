"""The reference scripts written out once more, after the papers: in the coordinates of latent diffusion, where x_t has unit variance.

DDIM: Song et al. 2021, equation 12. PLMS: Liu et al. 2022, equations 9 and 12, with one improved Euler step to begin. DPM-Solver++(2M):
Lu et al. 2022b, algorithm 2, log alpha linear between the table's entries. img2img: Meng et al. 2022. They call the networks'
modules directly, and share nothing with the package's samplers, schedules, denoiser, guidance, tasks or engine.

n images of a batch, c channels, h w height and width of a latent.
"""

from collections.abc import Callable, Sequence
from math import expm1, sqrt

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kakusan.formats.model import Model

ABAR = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float64) ** 2)
Eps = Callable[[Tensor, float, float], Tensor]
Pixels = npt.NDArray[np.uint8]


class Original:
    """One run of a script: its generator, its networks, what it writes."""

    def __init__(self, model: Model, seed: int, scale: float):
        self.model, self.scale = model, scale
        self.generator = torch.Generator().manual_seed(seed)

    def txt2img(
        self,
        batches: Sequence[Sequence[str]],
        n_iter: int,
        shape: tuple[int, ...],
        sampler: str,
        steps: int,
        eta: float = 0,
        fixed: bool = False,
    ) -> list[Tensor]:
        """The pictures (3 H W, 0 to 1) of all batches; shape: n c h w."""
        code = self.randn(shape) if fixed else None
        pictures: list[Tensor] = []
        for _ in range(n_iter):
            for prompts in batches:
                x = self.randn(shape) if code is None else code
                eps = self.predictor(prompts)
                x = x[: len(prompts)]
                walk = {"ddim": self.ddim, "plms": self.plms, "dpm": self.dpm}[sampler]
                pictures += self.decode(walk(x, eps, steps, eta, shape))
        return pictures

    def img2img(
        self, image: Tensor, prompts: Sequence[str], n_iter: int, steps: int, strength: float, eta: float = 0, fixed: bool = False
    ) -> list[Tensor]:
        """Pictures drawn anew from `image` (3 H W, -1 to 1)."""
        n = len(prompts)
        mean, logvar = self.model.autoencoder.encode(image.expand(n, *image.shape))
        z = self.model.autoencoder.config.scale * (mean + torch.exp(0.5 * logvar) * self.randn(mean.shape))
        t_enc, ascending = int(strength * steps), ldm_timesteps(steps)[::-1]
        code = self.randn(z.shape) if fixed else None
        pictures: list[Tensor] = []
        for _ in range(n_iter):
            a = ABAR[ascending[t_enc]]
            x = sqrt(a) * z + sqrt(1 - a) * (self.randn(z.shape) if code is None else code)
            pictures += self.decode(self.ddim(x, self.predictor(prompts), steps, eta, z.shape, kept=t_enc))
        return pictures

    def randn(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=self.generator)

    def predictor(self, prompts: Sequence[str]) -> Eps:
        """Predicted noise of x (n c h w) at timestep t with that alpha-bar, guided."""
        c, u = (self.model.text(torch.tensor([self.model.tokenizer.padded(p) for p in words])) for words in (prompts, [""] * len(prompts)))

        def output(x: Tensor, t: float, context: Tensor) -> Tensor:
            return self.model.unet(x, torch.full((len(x),), t, dtype=torch.float32), context)

        def eps(x: Tensor, t: float, a: float) -> Tensor:
            out = output(x, t, c)
            if self.scale != 1:
                without = output(x, t, u)
                out = without + self.scale * (out - without)
            return sqrt(a) * out + sqrt(1 - a) * x if self.model.schedule.prediction == "v_prediction" else out

        return eps

    def ddim(self, x: Tensor, eps: Eps, steps: int, eta: float, shape: Sequence[int], kept: int | None = None) -> Tensor:
        ts = ldm_timesteps(steps)
        ts = ts if kept is None else ts[len(ts) - kept :]
        for i, t in enumerate(ts):
            a, a_prev = ABAR[t], ABAR[ts[i + 1]] if i + 1 < len(ts) else ABAR[0]
            e = eps(x, t, a)
            s = eta * sqrt((1 - a_prev) / (1 - a)) * sqrt(1 - a / a_prev)
            x0 = (x - sqrt(1 - a) * e) / sqrt(a)
            x = sqrt(a_prev) * x0 + sqrt(1 - a_prev - s * s) * e + s * self.randn(shape)[: len(x)]
        return x

    def plms(self, x: Tensor, eps: Eps, steps: int, eta: float, shape: Sequence[int]) -> Tensor:
        ts = ldm_timesteps(steps)
        old: list[Tensor] = []
        for i, t in enumerate(ts):
            a, a_prev = ABAR[t], ABAR[ts[i + 1]] if i + 1 < len(ts) else ABAR[0]

            def transfer(e: Tensor, x: Tensor = x, a: float = a, a_prev: float = a_prev) -> Tensor:
                self.randn(shape)  # drawn and multiplied by 0
                return sqrt(a_prev) * (x - sqrt(1 - a) * e) / sqrt(a) + sqrt(1 - a_prev) * e

            e = eps(x, t, a)
            if not old:
                mean = (e + eps(transfer(e), ts[1], a_prev)) / 2
            elif len(old) == 1:
                mean = (3 * e - old[-1]) / 2
            elif len(old) == 2:
                mean = (23 * e - 16 * old[-1] + 5 * old[-2]) / 12
            else:
                mean = (55 * e - 59 * old[-1] + 37 * old[-2] - 9 * old[-3]) / 24
            x = transfer(mean)
            old.append(e)
        return x

    def dpm(self, x: Tensor, eps: Eps, steps: int, eta: float, shape: Sequence[int]) -> Tensor:
        places = np.linspace(999, 0, steps + 1)
        log_alpha = np.interp(places, np.arange(1000), np.log(ABAR) / 2)
        alpha, sigma = np.exp(log_alpha), np.sqrt(-np.expm1(2 * log_alpha))
        lam = log_alpha - np.log(sigma)
        data: list[Tensor] = []
        for i in range(1, steps + 1):
            e = eps(x, float(places[i - 1]), float(alpha[i - 1] ** 2))
            data.append((x - float(sigma[i - 1]) * e) / float(alpha[i - 1]))
            h = float(lam[i] - lam[i - 1])
            d = data[-1]
            if i > 1 and not (i == steps and steps < 15):
                r = float(lam[i - 1] - lam[i - 2]) / h
                d = (1 + 1 / (2 * r)) * data[-1] - 1 / (2 * r) * data[-2]
            x = float(sigma[i] / sigma[i - 1]) * x - float(alpha[i]) * expm1(-h) * d
        return x

    def decode(self, latent: Tensor) -> list[Tensor]:
        image = self.model.autoencoder.decode(latent / self.model.autoencoder.config.scale)
        return list(((image + 1) / 2).clamp(0, 1))


def ldm_timesteps(steps: int) -> list[int]:
    """Falling."""
    return [t + 1 for t in range(0, 1000, 1000 // steps)][::-1]


def pixels(pictures: Sequence[Tensor]) -> list[Pixels]:
    """As the scripts save them: cut down, not rounded."""
    return [(255.0 * picture.numpy().transpose(1, 2, 0)).astype(np.uint8) for picture in pictures]


def grid_pixels(pictures: Sequence[Pixels], columns: int) -> Pixels:
    """Two black pixels round each, as torchvision's make_grid."""
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    h, w, _ = pictures[0].shape
    whole = np.zeros((len(rows) * (h + 2) + 2, min(columns, len(pictures)) * (w + 2) + 2, 3), np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            whole[2 + y * (h + 2) :, 2 + x * (w + 2) :][:h, :w] = picture
    return whole
