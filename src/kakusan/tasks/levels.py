"""The noise levels that other programs' schedules and strengths give; the programs' sources are listed in `profiles`.

T timesteps of the model, of which index t has level sigma(t). All lists fall.
"""

import math
from collections.abc import Callable, Mapping

from ..errors import KakusanError
from ..schedules import ALIGN_YOUR_STEPS, MOST_STEPS, SCHEDULES, NoiseSchedule, beta_quantile, beta_sigma, sigmas_for, strength
from ..types import Sigmas
from .recipe import Recipe

Rule = Callable[[NoiseSchedule, int], tuple[float, ...]]
BY_TIMESTEPS = frozenset({"ddim", "plms", "unipc"})
"""AUTOMATIC1111's samplers over whole timesteps instead of sigmas (modules/sd_samplers_timesteps.py)."""
STRAIGHT = frozenset({"euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms"})
"""Samplers whose schedulers in diffusers space timesteps without rounding them."""
MULTISTEP = frozenset({"dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "unipc", "deis"})
"""Samplers whose schedulers in diffusers space one timestep more, and leave out the last."""


def levels(recipe: Recipe, schedule: NoiseSchedule) -> Sigmas:
    """The levels of a recipe's sampler; before them, where `above` is true, the one a picture is noised to."""
    kept, steps = _kept(recipe), recipe.steps
    program = recipe.like.row.strength
    if kept == 1 and program in ("diffusers", "comfyui"):
        return whole(recipe, schedule, steps)
    if program == "comfyui":
        return _longer(recipe, schedule, kept)
    if recipe.mode in ("txt2img", "upscale"):
        return whole(recipe, schedule, steps)
    if program == "a1111":
        done = int(min(kept, 0.999) * steps)
        return _timed(recipe.sampler, schedule, steps, done) if above(recipe) else whole(recipe, schedule, steps)[steps - done - 1 :]
    full = whole(recipe, schedule, steps)
    if program == "compvis":
        return _tail(full, 1 + max(1, min(int(kept * steps), len(full) - 2)))
    if program == "invokeai":
        start = round(schedule.steps * kept)
        return _tail(full, sum(schedule.t_of(sigma) < start for sigma in full[:-1]))
    return _tail(full, len(strength(full, kept)) - 1)


def above(recipe: Recipe) -> bool:
    """Whether a picture is noised one level further than its sampler begins, as Stable Diffusion's own script does."""
    if recipe.mode in ("txt2img", "upscale"):
        return False
    program = recipe.like.row.strength
    return program == "compvis" or (program == "a1111" and recipe.sampler in BY_TIMESTEPS)


def second(recipe: Recipe, schedule: NoiseSchedule) -> Sigmas:
    """The levels of a second pass, of `recipe.steps` steps in AUTOMATIC1111 and ComfyUI (setup_img2img_steps, KSampler.set_steps)."""
    if recipe.like.row.strength == "a1111":
        return _longer(recipe, schedule, min(recipe.strength, 0.999))
    if recipe.like.row.strength == "comfyui":
        return _longer(recipe, schedule, recipe.strength)
    full = whole(recipe, schedule, recipe.steps)
    return _tail(full, len(strength(full, recipe.strength)) - 1)


def whole(recipe: Recipe, schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """All levels of the recipe's schedule with so many steps, as its program has them."""
    like, sampler = recipe.like, recipe.sampler
    dropped = like.discard or sampler in like.row.discard
    count = steps + dropped
    if like.name == "a1111" and sampler in BY_TIMESTEPS:
        return even_in_time(schedule, len(counted(schedule, count))) if sampler == "unipc" else _table(schedule, counted(schedule, count))
    if like.name == "compvis":
        even = sampler == "dpmpp_2m"  # the scripts' --dpm_solver
        return even_in_time(schedule, steps) if even else (*_table(schedule, counted(schedule, steps)), schedule.sigma_min)
    rule = RULES.get(like.name, {}).get(recipe.schedule)
    if like.name in ("diffusers", "invokeai"):
        rule = _spaced(sampler, recipe.schedule)
    sigmas_for(schedule, recipe.schedule, count)  # refuses what cannot be
    found = (rule or SCHEDULES[recipe.schedule])(schedule, count)
    return (*found[:-2], found[-1]) if dropped else found


def counted(schedule: NoiseSchedule, steps: int) -> tuple[int, ...]:
    """Every (T // steps)-th timestep from 1 on, as far as the table goes: 31 of them for 30 steps (LDM's make_ddim_timesteps)."""
    last = schedule.steps - 1
    up = dict.fromkeys(min(t + 1, last) for t in range(0, schedule.steps, max(1, schedule.steps // steps)))
    return tuple(reversed(up))


def even_in_time(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """From the table's last level to its first, even in t, log alpha being linear between timesteps (`NoiseScheduleVP`, time_uniform)."""
    return _from_place(schedule, schedule.steps - 1, steps)


def _kept(recipe: Recipe) -> float:
    return 1.0 if recipe.mode in ("txt2img", "upscale") else recipe.strength


def _longer(recipe: Recipe, schedule: NoiseSchedule, kept: float) -> tuple[float, ...]:
    """The last steps of a schedule that has more of them by as much as strength leaves less of it."""
    most = min(MOST_STEPS, schedule.steps)
    if recipe.steps > most * kept:
        raise KakusanError(
            f"strength is {kept:g} with {recipe.steps} steps; {recipe.like.row.label} takes the end of steps / strength, at most {most}",
            f"強さ {kept:g} で {recipe.steps} ステップです。{recipe.like.row.label} の数え方ではステップ ÷ 強さは {most} までです",
        )
    return _tail(whole(recipe, schedule, int(recipe.steps / kept)), recipe.steps)


def _tail(full: Sigmas, steps: int) -> tuple[float, ...]:
    """The last so many steps, at least one."""
    return tuple(full[-1 - max(1, steps) :])


def _table(schedule: NoiseSchedule, timesteps: tuple[int, ...]) -> tuple[float, ...]:
    table = schedule.sigmas()
    return tuple(table[t] for t in timesteps)


def _timed(sampler: str, schedule: NoiseSchedule, steps: int, done: int) -> tuple[float, ...]:
    """sample_img2img of AUTOMATIC1111's samplers over timesteps: noised to number `done` from below, walked from the one under it.

    At least one step is left, where that program would leave none.
    """
    up = counted(schedule, steps)[::-1]
    done = min(max(done, 2), len(up) - 1)
    if sampler != "unipc":
        return _table(schedule, up[: done + 1][::-1])
    return (schedule.sigmas()[up[done]], *_from_place(schedule, up[done - 1], done))


def _from_place(schedule: NoiseSchedule, first: int, steps: int) -> tuple[float, ...]:
    """From a timestep to the table's first, log alpha being linear between timesteps."""
    logs = [-math.log1p(sigma**2) for sigma in schedule.sigmas()]
    places = [first * (1 - k / steps) for k in range(steps + 1)]
    pairs = [(place, min(int(place), schedule.steps - 2)) for place in places]
    return tuple(math.sqrt(math.expm1(-(logs[low] + (place - low) * (logs[low + 1] - logs[low])))) for place, low in pairs)


def _uniform(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    table, stride = schedule.sigmas(), max(schedule.steps // steps, 1)
    return (*reversed(table[1::stride]), 0.0)


def _beta_rounded(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """Timesteps spread as a beta distribution, rounded; of those that fall together one is left."""
    table, last = schedule.sigmas(), schedule.steps - 1
    places = dict.fromkeys(round(last * beta_quantile(1 - i / steps, 0.6, 0.6)) for i in range(steps))
    return (*(table[t] for t in places), 0.0)


def _beta_sigma(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    return beta_sigma(steps, schedule.sigma_min, schedule.sigma_max)


def _kl_optimal_open(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """Even in arctan sigma with both ends of the table's range, and no 0."""
    low, high = math.atan(schedule.sigma_min), math.atan(schedule.sigma_max)
    return tuple(math.tan(i / steps * low + (1 - i / steps) * high) for i in range(steps + 1))


def _align_your_steps(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """The 11 published levels log-linearly interpolated to `steps` levels, and a 0 behind them."""
    logs, last = [math.log(sigma) for sigma in ALIGN_YOUR_STEPS], len(ALIGN_YOUR_STEPS) - 1
    found = []
    for i in range(steps):
        place = last * i / (steps - 1) if steps > 1 else float(last)
        low = min(int(place), last - 1)
        found.append(math.exp(logs[low] + (place - low) * (logs[low + 1] - logs[low])))
    return (*found, 0.0)


def _leading_to_first(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    return (*SCHEDULES["leading"](schedule, steps)[:-1], schedule.sigma_final)


RULES: Mapping[str, Mapping[str, Rule]] = {
    "": {"leading": _leading_to_first},
    "a1111": {"ddim": _uniform, "beta": _beta_sigma, "kl_optimal": _kl_optimal_open, "align_your_steps": _align_your_steps},
    "comfyui": {"ddim": _uniform, "beta": _beta_rounded},
}
"""Where a program's schedule differs from ours of the same name."""


def _spaced(sampler: str, name: str) -> Rule | None:
    """diffusers' timestep spacings, which differ from scheduler to scheduler; None: as ours."""
    if name == "leading":
        return _leading_of_more if sampler in MULTISTEP else _leading_to_first if sampler in ("ddim", "pndm", "plms") else None
    if name != "linspace" or sampler not in STRAIGHT | MULTISTEP:
        return None
    return _linspace_unrounded if sampler in STRAIGHT else _linspace_of_more


def _leading_of_more(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    table, stride = schedule.sigmas(), schedule.steps // (steps + 1)
    return (*(table[min(i * stride + schedule.steps_offset, schedule.steps - 1)] for i in range(steps, 0, -1)), 0.0)


def _linspace_unrounded(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    """Even in t, and between timesteps linear in sigma, not in its logarithm."""
    table, last = schedule.sigmas(), schedule.steps - 1
    found = []
    for i in range(steps):
        place = last * (1 - i / (steps - 1)) if steps > 1 else 0.0
        low = min(int(place), last - 1)
        found.append(table[low] + (place - low) * (table[low + 1] - table[low]))
    return (*found, 0.0)


def _linspace_of_more(schedule: NoiseSchedule, steps: int) -> tuple[float, ...]:
    table, last = schedule.sigmas(), schedule.steps - 1
    return (*(table[round(last * i / steps)] for i in range(steps, 0, -1)), 0.0)
