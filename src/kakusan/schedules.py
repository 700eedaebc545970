"""How noisy each step is: a model's own table of noise levels, and the ways to choose a few falling levels from it.

sigma is the standard deviation of the noise added to a clean latent of about unit variance (x = x0 + sigma * noise). t is the
network's timestep, 0 for the least noise; only the table joins the two. Everything here is ordinary floating-point numbers.
"""

import difflib
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import accumulate, pairwise
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
        for name, known in (("kind", KINDS), ("prediction", PREDICTIONS), ("spacing", SPACINGS)):
            if (value := getattr(self, name)) not in known:
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


def sigmas_for(schedule: NoiseSchedule, name: str, steps: int) -> tuple[float, ...]:
    """The steps + 1 falling noise levels of the schedule called `name` (a key of SCHEDULES, or its label), ending with 0.

    Raises KakusanError on an unknown name, and on fewer than 1 or more than 1000 steps (or than the model has timesteps).
    """
    key = named(name)
    _check_steps(schedule, steps)
    return SCHEDULES[key](schedule, steps)


def named(name: str) -> str:
    """The key in `SCHEDULES` of a schedule's name or label ("SGM Uniform"). Raises KakusanError on an unknown one."""
    key = name.strip().lower().replace(" ", "_").replace("-", "_")
    if key not in SCHEDULES:
        near = difflib.get_close_matches(key, SCHEDULES, 1, 0.4)
        known = ", ".join(SCHEDULES)
        raise KakusanError(
            f"unknown schedule {name!r}; " + (f"did you mean {near[0]!r}? " if near else "") + f"Known: {known}",
            f"{name!r} というスケジュールはありません。" + (f"{near[0]!r} ではありませんか。" if near else "") + f"使えるもの: {known}",
        )
    return key


def strength(sigmas: Sequence[float], strength: float) -> tuple[float, ...]:
    """The tail of a schedule that redraws an image only in part, for image-to-image: start from image + tail[0] * noise.

    Of N = len(sigmas) - 1 steps the last min(int(N * strength), N) are left, cut down and not rounded, as diffusers counts: 50
    steps at strength 0.75 leave 37. Strength 1 leaves all, 0 the last level alone, which is no step.
    Raises KakusanError unless 0 <= strength <= 1.
    """
    if not 0 <= strength <= 1:
        raise KakusanError(f"strength is {strength}; it must be from 0 to 1", f"strength が {strength} です。0 から 1 の間にしてください")
    steps = len(sigmas) - 1
    return tuple(sigmas[steps - min(int(steps * strength), steps) :])


def timesteps(schedule: NoiseSchedule, steps: int, spacing: str = "leading") -> tuple[int, ...]:
    """Whole timesteps, falling, in one of the three spacings of Lin et al. 2023, table 2, https://arxiv.org/abs/2305.08891.

    leading: multiples of T // steps, plus steps_offset: what DDIM and PNDM of Stable Diffusion use. It misses the noisiest levels
      (20 steps start at 951); with 1 step it starts at almost no noise.
    trailing: ends on the last timestep, T - 1, and steps down by T / steps.
    linspace: T - 1 to 0, both included; with 1 step, T - 1.
    As diffusers, but for linspace with 1 step (0 there) and for 1000 leading steps, whose offset would leave the table.
    """
    _check_steps(schedule, steps)
    total = schedule.steps
    if spacing == "leading":
        stride = total // steps
        offset = min(schedule.steps_offset, total - 1 - stride * (steps - 1))
        return tuple(i * stride + offset for i in reversed(range(steps)))
    if spacing == "trailing":
        return tuple(round(total - i * (total / steps)) - 1 for i in range(steps))
    if spacing == "linspace":
        stride_up = (total - 1) / max(steps - 1, 1)  # counted from 0, so that halves round as in numpy's linspace
        return tuple(round(i * stride_up) for i in reversed(range(steps))) if steps > 1 else (total - 1,)
    raise KakusanError(
        f"unknown timestep spacing {spacing!r}; it must be one of {', '.join(SPACINGS)}",
        f"タイムステップの間隔 {spacing!r} はありません。{', '.join(SPACINGS)} のいずれかにしてください",
    )


def midpoints(schedule: NoiseSchedule, sigmas: Sequence[float], warm_up: int = 3) -> tuple[float, ...]:
    """The level halfway in t through each of the first steps, where PNDM's Runge-Kutta warm-up evaluates the network.

    Liu et al. 2022, algorithm 2, https://arxiv.org/abs/2202.09778. Between whole timesteps half the stride is rounded down; for an
    odd stride diffusers takes that step too, but tells the network one timestep less. A step to sigma 0 has no midpoint.
    """
    middle = []
    for sigma, sigma_next in pairwise(sigmas[: warm_up + 1]):
        if sigma_next > 0:
            t = schedule.t_of(sigma)
            gap = round(t - schedule.t_of(sigma_next), 6)
            middle.append(schedule.sigma_of(round(t, 6) - (gap // 2 if gap.is_integer() else gap / 2)))
    return tuple(middle)


def spaced(schedule: NoiseSchedule, steps: int, spacing: str) -> tuple[float, ...]:
    """The table's levels at `timesteps(schedule, steps, spacing)`, then 0."""
    table = schedule.sigmas()
    return (*(table[t] for t in timesteps(schedule, steps, spacing)), 0.0)


def ddim(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """Every (T // steps)-th timestep counted from 1: Stable Diffusion's own choice, whatever the model's settings say.

    Latent Diffusion's scripts (and `ddim_uniform` of other programs) go on to the end of the table where T is not a multiple of
    `steps`: 30 steps become 31 there (34 for 29). Here there are `steps` of them, the least noisy, as in diffusers.
    """
    return spaced(replace(schedule, steps_offset=1), steps, "leading")


def normal(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """Even in t from the last timestep to 0, both included, not rounded (k-diffusion's own schedule for discrete models)."""
    return (*(schedule.sigma_of(t) for t in _line(schedule.steps - 1, 0, steps)), 0.0)


def sgm_uniform(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """Even in t from the last timestep, stopping one stride before 0 (Stability AI's generative-models)."""
    return (*(schedule.sigma_of(t) for t in _line(schedule.steps - 1, 0, steps + 1)[:-1]), 0.0)


def simple(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """Entries of the table at even strides from its end, rounded towards the noisier."""
    table = schedule.sigmas()
    return (*(table[-1 - int(i * (len(table) / steps))] for i in range(steps)), 0.0)


def karras(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> tuple[float, ...]:
    """Even in sigma ** (1 / rho), then 0: Karras et al. 2022, equation 5, https://arxiv.org/abs/2206.00364."""
    _check_range(steps, sigma_min, sigma_max)
    return (*(u**rho for u in _line(sigma_max ** (1 / rho), sigma_min ** (1 / rho), steps)), 0.0)


def exponential(steps: int, sigma_min: float, sigma_max: float) -> tuple[float, ...]:
    """Even in log sigma, then 0."""
    return polyexponential(steps, sigma_min, sigma_max)


def polyexponential(steps: int, sigma_min: float, sigma_max: float, rho: float = 1.0) -> tuple[float, ...]:
    """Falling in log sigma as u ** rho with u even from 1 to 0, then 0; `rho` above 1 spends more steps on little noise."""
    _check_range(steps, sigma_min, sigma_max)
    low, high = math.log(sigma_min), math.log(sigma_max)
    return (*(math.exp(u**rho * (high - low) + low) for u in _line(1, 0, steps)), 0.0)


def kl_optimal(steps: int, sigma_min: float, sigma_max: float) -> tuple[float, ...]:
    """Even in arctan sigma, then 0: Sabour et al. 2024, https://arxiv.org/abs/2404.14507, optimal for Gaussian data.

    The last level before 0 is sigma_min; one other program stops at sigma_min and never reaches 0.
    """
    _check_range(steps, sigma_min, sigma_max)
    return (*(math.tan(u) for u in _line(math.atan(sigma_max), math.atan(sigma_min), steps)), 0.0)


def beta(schedule: NoiseSchedule, steps: int, a: float = 0.6, b: float = 0.6) -> tuple[float, ...]:
    """t spread as a beta distribution, most steps at both ends: Lee et al. 2024, https://arxiv.org/abs/2407.12173.

    Unlike other programs it does not round t, which would make two of many steps fall together (some drop one then); unlike
    diffusers it spreads t and not sigma (`beta_sigma` does that).
    """
    last = schedule.steps - 1
    return (*(schedule.sigma_of(last * beta_quantile(1 - i / steps, a, b)) for i in range(steps)), 0.0)


def beta_sigma(steps: int, sigma_min: float, sigma_max: float, a: float = 0.6, b: float = 0.6) -> tuple[float, ...]:
    """Sigma itself, not t, spread as a beta distribution from sigma_max to sigma_min, then 0, as in diffusers."""
    _check_range(steps, sigma_min, sigma_max)
    return (*(sigma_min + (sigma_max - sigma_min) * beta_quantile(q, a, b) for q in _line(1, 0, steps)), 0.0)


def align_your_steps(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """The ten steps optimised for Stable Diffusion 1, log-linearly interpolated for other counts, the last put to 0.

    Sabour et al. 2024, https://arxiv.org/abs/2404.14507; the levels are those of the authors' page on the method.
    For a model of another range the levels are stretched, in log sigma, to start and end where its table does.
    """
    logs = [math.log(sigma) for sigma in ALIGN_YOUR_STEPS]
    low, high = math.log(schedule.sigma_min), math.log(schedule.sigma_max)
    if abs(high - logs[0]) > 0.01 or abs(low - logs[-1]) > 0.01:
        logs = [low + (high - low) * (u - logs[-1]) / (logs[0] - logs[-1]) for u in logs]
    levels = []
    for place in _line(0, len(logs) - 1, steps + 1)[:-1]:
        i = min(int(place), len(logs) - 2)
        levels.append(math.exp(logs[i] + (place - i) * (logs[i + 1] - logs[i])))
    return (*levels, 0.0)


ALIGN_YOUR_STEPS = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)


def _over_range(levels: Callable[[int, float, float], tuple[float, ...]]) -> Callable[[NoiseSchedule, int], tuple[float, ...]]:
    return lambda schedule, steps: levels(steps, schedule.sigma_min, schedule.sigma_max)


SCHEDULES: dict[str, Callable[[NoiseSchedule, int], tuple[float, ...]]] = {
    "karras": _over_range(karras),
    "exponential": _over_range(exponential),
    "polyexponential": _over_range(polyexponential),
    "normal": normal,
    "simple": simple,
    "sgm_uniform": sgm_uniform,
    "ddim": ddim,
    "leading": partial(spaced, spacing="leading"),
    "trailing": partial(spaced, spacing="trailing"),
    "linspace": partial(spaced, spacing="linspace"),
    "beta": beta,
    "beta_sigma": _over_range(beta_sigma),
    "kl_optimal": _over_range(kl_optimal),
    "align_your_steps": align_your_steps,
}


@dataclass(frozen=True)
class Description:
    """What a list of schedules shows: the name other programs know it by, and a line about it."""

    label: str
    en: str
    ja: str


DESCRIPTIONS: dict[str, Description] = {
    "karras": Description("Karras", "small steps at low noise; a good all-round choice", "ノイズの少ない側を細かく刻む。迷ったらこれ"),
    "exponential": Description("Exponential", "even in log noise; smooth, soft pictures", "ノイズの対数で等間隔。なめらかでやわらかい絵"),
    "polyexponential": Description(
        "Polyexponential", "exponential with a power; equal to it at 1", "べき付きの指数。べき 1 なら exponential と同じ"
    ),
    "normal": Description("Normal", "even timesteps, both ends included", "タイムステップで等間隔、両端を含む"),
    "simple": Description("Simple", "even strides through the model's table", "モデルの表を等間隔にたどる"),
    "sgm_uniform": Description(
        "SGM Uniform", "even timesteps, stops a stride early; for few steps", "等間隔で一歩手前まで。少ないステップ向き"
    ),
    "ddim": Description("DDIM", "Stable Diffusion's own timesteps, from 1", "Stable Diffusion 本来のタイムステップ (1 から)"),
    "leading": Description("Leading", "as ddim, with the model's own offset", "ddim と同じで、ずれはモデルの設定に従う"),
    "trailing": Description(
        "Trailing", "starts at full noise; for few steps and zero terminal SNR", "完全なノイズから始める。少ないステップやゼロ終端 SNR 向き"
    ),
    "linspace": Description("Linspace", "whole timesteps from last to first", "最後から最初までの整数タイムステップ"),
    "beta": Description("Beta", "many steps at both ends of the timesteps", "タイムステップの両端を細かく刻む"),
    "beta_sigma": Description("Beta (sigma)", "many steps at both ends of the noise range", "ノイズ量の両端を細かく刻む"),
    "kl_optimal": Description("KL Optimal", "even in arctan of the noise", "ノイズ量の逆正接で等間隔"),
    "align_your_steps": Description(
        "Align Your Steps", "optimised for Stable Diffusion; about 10 steps", "Stable Diffusion に最適化。10 ステップ前後で"
    ),
}


@lru_cache(maxsize=4096)
def beta_quantile(q: float, a: float, b: float) -> float:
    """Where the beta distribution's cumulative probability reaches q, by bisection of `beta_cumulative`."""
    if q <= 0 or q >= 1:
        return float(q >= 1)
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in (low, high) and high - low > 1e-15 * high:
        low, high = (middle, high) if beta_cumulative(middle, a, b) < q else (low, middle)
    return (low + high) / 2


def beta_cumulative(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22, Lentz's method)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cumulative(1 - x, b, a)  # the fraction converges fast only on this side
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 200):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            c, d = 1 + term / c, 1 / (1 + term * d)
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return math.exp(log_front) * value / a


def _line(start: float, stop: float, count: int) -> list[float]:
    return [start + (stop - start) * i / (count - 1) for i in range(count)] if count > 1 else [float(start)]


def _check_steps(schedule: NoiseSchedule, steps: int) -> None:
    most = min(MOST_STEPS, schedule.steps)
    if not 1 <= steps <= most:
        raise KakusanError(f"steps is {steps}; it must be from 1 to {most}", f"steps が {steps} です。1 から {most} の間にしてください")


def _check_range(steps: int, sigma_min: float, sigma_max: float) -> None:
    if not (0 < sigma_min < sigma_max < math.inf and steps >= 1):
        raise ValueError(
            f"needed: 0 < sigma_min < sigma_max and steps >= 1; got sigma_min={sigma_min}, sigma_max={sigma_max}, steps={steps}"
        )
