"""Which noise levels the reference scripts' samplers visit, and how much noise they draw on the way.

Facts: CompVis's stable-diffusion, ldm/models/diffusion/{ddim,plms}.py and dpm_solver/; Stability AI's stablediffusion, the same.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ...errors import KakusanError
from ...schedules import NoiseSchedule
from ...tasks.levels import even_in_time


@dataclass(frozen=True)
class Walk:
    """One sampler's way down. sampler, options: as in `SAMPLERS`.

    draws: tensors of noise that the script's sampler takes from its generator, also where it multiplies them by 0.
    noised_to: the level a picture is noised to before; None where the way starts from noise alone.
    """

    sampler: str
    sigmas: tuple[float, ...]
    draws: int
    options: Mapping[str, float] = field(default_factory=dict)
    noised_to: float | None = None


def ddim(schedule: NoiseSchedule, steps: int, eta: float) -> Walk:
    """DDIM ends at the table's first level, and draws noise at every step whatever eta is."""
    if not 0 <= eta < math.inf:
        raise KakusanError(
            f"ddim_eta is {eta}; it must be 0 or more, usually up to 1", f"ddim_eta が {eta} です。0 以上 (ふつうは 1 以下) にしてください"
        )
    sigmas = uniform(schedule, steps)
    return Walk("ddim", sigmas, len(sigmas) - 1, {"eta": eta})


def plms(schedule: NoiseSchedule, steps: int, eta: float = 0.0) -> Walk:
    """PLMS on DDIM's levels; its first step goes twice, and draws noise twice."""
    if eta != 0:
        raise KakusanError(
            f"ddim_eta is {eta}; PLMS draws no noise: leave it out, or leave out --plms",
            f"ddim_eta が {eta} です。PLMS はノイズを加えません。--ddim_eta か --plms を外してください",
        )
    sigmas = uniform(schedule, steps)
    return Walk("plms", sigmas, len(sigmas))


def dpm_solver(schedule: NoiseSchedule, steps: int) -> Walk:
    """DPM-Solver++(2M), even in time from the table's last level to its first; fewer than 15 steps end with one of order 1.

    Between timesteps log alpha is linear, and `LogAlphaDenoiser` reads the network's timestep the same way.
    """
    if steps < 2:
        raise KakusanError(
            f"ddim_steps is {steps}; DPM-Solver++ of order 2 needs at least 2",
            f"ddim_steps が {steps} です。2 次の DPM-Solver++ には 2 以上が必要です",
        )
    return Walk("dpmpp_2m", even_in_time(schedule, steps), 0, {"last_order": 1 if steps < 15 else 2})


def redrawing(walk: Walk, steps: int, strength: float) -> Walk:
    """The last int(steps * strength) steps of DDIM's way, for a picture noised to the level above the first of them.

    At strength 1 there may be no level above: the picture is noised to the last there is, and loses a step.
    """
    if not 0 <= strength <= 1:
        raise KakusanError(f"strength is {strength}; it must be from 0 to 1", f"strength が {strength} です。0 から 1 の間にしてください")
    last = len(walk.sigmas) - 1
    kept = min(int(strength * steps), last - 1)
    return replace(walk, sigmas=walk.sigmas[last - kept :], draws=kept, noised_to=walk.sigmas[last - kept - 1])


def uniform(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """The table's levels at `timesteps`, falling, then its first level."""
    table = schedule.sigmas()
    return (*(table[t] for t in timesteps(schedule.steps, steps)), table[0])


def timesteps(total: int, steps: int) -> tuple[int, ...]:
    """Multiples of total // steps, plus 1, falling: 31 of them for 30 steps of 1000.

    Raises KakusanError for the numbers of steps whose last timestep would be beyond the table, as there.
    """
    if not _usable(total, steps):
        near = min((n for n in range(1, total) if total % n == 0 and _usable(total, n)), key=lambda n: (abs(n - steps), -n))
        raise KakusanError(
            f"ddim_steps is {steps}; the scripts' timesteps would not fit the model's {total}: try {near}",
            f"ddim_steps が {steps} です。元のスクリプトの刻み方ではモデルの {total} ステップに収まりません。例: {near}",
        )
    return tuple(t + 1 for t in reversed(range(0, total, total // steps)))


def _usable(total: int, steps: int) -> bool:
    if not 1 <= steps <= total:
        return False
    stride = total // steps
    return (total - 1) // stride * stride + 1 < total
