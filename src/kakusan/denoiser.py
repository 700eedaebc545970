"""From a network that knows timesteps and predicts noise, v or the image, to one question: what is under this noise?

n rows, c channels, h w height and width of a latent, l text tokens, d width of a text state, T timesteps of the schedule.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .schedules import NoiseSchedule
from .types import Task

WHOLE = "~"
"""Behind the name of a U-Net that is told whole timesteps: `Denoiser.rounded`."""


class Denoiser:
    """`denoised = denoiser(x, sigma, context)` with x = clean latent + sigma * noise: all that is known of timesteps lives here.

    What a network sees is x / sqrt(1 + sigma^2), of about unit variance, and t. In terms of sigma its prediction p means
      epsilon       denoised = x - sigma p                                              Ho et al. 2020, equation 9
      v_prediction  denoised = x / (1 + sigma^2) - p sigma / sqrt(1 + sigma^2)          Salimans and Ho 2022, appendix D
      sample        denoised = p
    The first loses its digits where sigma is thousands, as in the first step of a schedule with zero terminal SNR; v does not.

    unet: called as unet(x, t, context), with a fourth argument `label` if there is one; x and context in the dtype of its
    parameters (float32 if it has none), t in float32. Make the denoiser after the network is where it shall stay.
    rounded: t is the whole timestep nearest in log sigma, as in programs that quantize; else t is not rounded, but for levels of
    the table, which float32 cannot tell from their neighbourhood.
    """

    def __init__(self, unet: Callable[..., Tensor], schedule: NoiseSchedule, rounded: bool = False):
        parameter = next(unet.parameters(), None) if isinstance(unet, nn.Module) else None
        self.unet, self.schedule, self.rounded = unet, schedule, rounded
        self.dtype = torch.float32 if parameter is None else parameter.dtype
        wide = torch.float64 if self.dtype == torch.float64 else torch.float32
        device = None if parameter is None else parameter.device
        self.log_sigmas = torch.tensor(schedule.sigmas(), dtype=torch.float64).log().to(device, wide)  # T, rising

    def __call__(self, x: Tensor, sigma: Tensor, context: Tensor, label: Tensor | None = None, beside: Tensor | None = None) -> Tensor:
        """The clean latent (n c h w) in x (n c h w), each row with noise of its own sigma (n,), given text states (n l d).

        label (n,): a whole number in any dtype. beside (n b h w): further channels of the network's input, given as they are.
        float32, whatever the network's dtype (float64 if x is). No value decides what is run: it compiles to one graph a shape.
        """
        s = sigma.to(x.dtype)[:, None, None, None]  # n 1 1 1
        shrink = (1 + s**2).rsqrt()
        seen = x * shrink if beside is None else torch.cat([x * shrink, beside.to(x.dtype)], dim=1)  # n c+b h w
        given = (seen.to(self.dtype), self.timestep(sigma), context.to(self.dtype))
        p = (self.unet(*given) if label is None else self.unet(*given, label.long())).to(x.dtype)  # n c h w
        if self.schedule.prediction == "epsilon":
            return x - s * p
        if self.schedule.prediction == "v_prediction":
            return x * shrink**2 - p * s * shrink
        return p

    def timestep(self, sigma: Tensor) -> Tensor:
        """The network's t (n,) for each sigma (n,), linear in log sigma between the table's levels; beyond the ends, the ends."""
        table = self.log_sigmas
        log_sigma = sigma.to(table.dtype).log().clamp(table[0], table[-1])
        low = (torch.searchsorted(table, log_sigma, right=True) - 1).clamp(0, len(table) - 2)
        t = low + (log_sigma - table[low]) / (table[low + 1] - table[low])
        whole = t.round()
        return whole if self.rounded else torch.where((t - whole).abs() < 1e-3, whole, t)


def told_whole(task: Task) -> Task:
    """The task, whose U-Net is told the whole timesteps nearest to its noise levels: it asks for "unet~"."""
    try:
        work = next(task)
        while True:
            work = task.send((yield work._replace(model=work.model + WHOLE) if work.model.startswith("unet") else work))
    except StopIteration as stop:
        result: Tensor = stop.value
        return result
