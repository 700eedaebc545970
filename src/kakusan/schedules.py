"""How noisy each step is: a model's own table of noise levels, and the ways to choose a few falling levels from it.

sigma is the standard deviation of the noise added to a clean latent of about unit variance (x = x0 + sigma * noise). t is the
network's timestep, 0 for the least noise; only the table joins the two. Everything here is ordinary floating-point numbers.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import mul

from .errors import KakusanError

KINDS = ("scaled_linear", "linear")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
SPACINGS = ("leading", "trailing", "linspace")
MOST_STEPS = 1000


@dataclass(frozen=True)
class NoiseSchedule:
    """The noise a network was trained on, and what it was trained to predict. The defaults are Stable Diffusion 1's.

    beta_start, beta_end, kind: variance added at each of `steps` training steps, linear in its square root ("scaled_linear")
    or in itself ("linear"); Ho et al. 2020, https://arxiv.org/abs/2006.11239, and Rombach et al. 2022.
    zero_terminal_snr: rescaled so that the last step is noise alone; Lin et al. 2023, algorithm 1, https://arxiv.org/abs/2305.08891.
    spacing, steps_offset, set_alpha_to_one: which timesteps the model's own samplers visit, and whether they stop at sigma 0
    or at the first level of the table.
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012
    kind: str = "scaled_linear"
    steps: int = 1000
    prediction: str = "epsilon"
    zero_terminal_snr: bool = False
    steps_offset: int = 1
    set_alpha_to_one: bool = False
    spacing: str = "leading"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("kind", self.kind, KINDS),
            ("prediction", self.prediction, PREDICTIONS),
            ("spacing", self.spacing, SPACINGS),
        ):
            if value not in known:
                options = ", ".join(known)
                raise KakusanError(
                    f"noise schedule: {name} is {value!r}; it must be one of {options}",
                    f"ノイズスケジュール: {name} が {value!r} です。{options} のいずれかにしてください",
                )
        if not (0 < self.beta_start <= self.beta_end < 1 and self.steps >= 2 and 0 <= self.steps_offset < self.steps):
            values = f"beta_start={self.beta_start}, beta_end={self.beta_end}, steps={self.steps}, steps_offset={self.steps_offset}"
            wanted = "0 < beta_start <= beta_end < 1, steps >= 2, 0 <= steps_offset < steps"
            raise KakusanError(f"noise schedule: {values}; needed: {wanted}", f"ノイズスケジュール: {values}。条件: {wanted}")

    def alphas_cumprod(self) -> tuple[float, ...]:
        """Share of the clean latent's variance left after each training step, falling from almost 1.

        With zero_terminal_snr the last would be 0, whose sigma is infinite: it is 2 ** -24, so that sigma is 4096.
        """
        return _alphas_cumprod(self)

    def sigmas(self) -> tuple[float, ...]:
        """Noise level of each timestep, rising: sqrt((1 - alpha) / alpha)."""
        return _sigmas(self)

    @property
    def sigma_min(self) -> float:
        """Noise level of timestep 0."""
        return self.sigmas()[0]

    @property
    def sigma_max(self) -> float:
        """Noise level of the last timestep, where sampling from nothing starts."""
        return self.sigmas()[-1]

    @property
    def sigma_final(self) -> float:
        """Where the model's own DDIM and PNDM stop: 0, or the table's first level if not set_alpha_to_one."""
        return 0.0 if self.set_alpha_to_one else self.sigma_min

    def sigma_of(self, t: float) -> float:
        """Noise level of a timestep, whole or not, linear in log sigma between entries; beyond the ends, the ends'."""
        table = self.sigmas()
        t = min(max(float(t), 0.0), len(table) - 1.0)
        low = min(int(t), len(table) - 2)
        if t == int(t):
            return table[int(t)]
        return math.exp((low + 1 - t) * math.log(table[low]) + (t - low) * math.log(table[low + 1]))

    def t_of(self, sigma: float) -> float:
        """The timestep, not rounded, whose noise level is `sigma`: the inverse of `sigma_of`."""
        table = self.sigmas()
        if sigma <= table[0]:
            return 0.0
        if sigma >= table[-1]:
            return len(table) - 1.0
        low = bisect_right(table, sigma) - 1
        return low + math.log(sigma / table[low]) / math.log(table[low + 1] / table[low])


@lru_cache(maxsize=32)
def _alphas_cumprod(schedule: NoiseSchedule) -> tuple[float, ...]:
    n, power = schedule.steps, 2 if schedule.kind == "scaled_linear" else 1
    first, last = schedule.beta_start ** (1 / power), schedule.beta_end ** (1 / power)
    alphas = tuple(accumulate((1 - (first + (last - first) * i / (n - 1)) ** power for i in range(n)), mul))
    if not schedule.zero_terminal_snr:
        return alphas
    root, root_end = math.sqrt(alphas[0]), math.sqrt(alphas[-1])
    rescaled = (((math.sqrt(a) - root_end) * root / (root - root_end)) ** 2 for a in alphas[:-1])
    return (*rescaled, 2.0**-24)


@lru_cache(maxsize=32)
def _sigmas(schedule: NoiseSchedule) -> tuple[float, ...]:
    return tuple(math.sqrt((1 - a) / a) for a in schedule.alphas_cumprod())
