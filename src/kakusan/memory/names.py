"""Samplers and schedules of other programs, by our names.

Sources: AUTOMATIC1111 `sd_samplers_kdiffusion.py`, `sd_samplers_timesteps.py`, `sd_schedulers.py`; ComfyUI `samplers.py`; InvokeAI
`schedulers.py`; stable-diffusion.cpp; NovelAI's files. Names are compared without case, blanks, underscores and "k_".
"""

import re
from typing import NamedTuple

from ..messages import tr
from ..samplers.names import NAMES
from ..schedules import DESCRIPTIONS
from ..tasks.profiles import automatic

SAMPLERS = {
    **{"eulera": "euler_ancestral", "ddimtrailing": "ddim"},
    **{"dpm2a": "dpm_2_ancestral", "dpm2": "dpm_2", "kdpm2": "dpm_2", "kdpm2a": "dpm_2_ancestral", "kdpm2ancestral": "dpm_2_ancestral"},
    **{"dpmpp2sa": "dpmpp_2s_ancestral", "dpmpp2sancestral": "dpmpp_2s_ancestral", "unipcbh2": "unipc", "discretepndm": "pndm"},
    **{"dpmfast": "dpm_fast", "dpmad": "dpm_adaptive", "dpma": "dpm_adaptive"},
}
"""Names that are not ours nor AUTOMATIC1111's labels."""
NEAREST = {
    **{"dpmpp2msdeheun": "dpmpp_2m_sde", "dpmpp2msdebt": "dpmpp_2m_sde", "dpmpp2mv2": "dpmpp_2m", "dpmpp2s": "dpmpp_2m"},
    **{"dpmpp3m": "dpmpp_2m", "heunpp2": "heun", "expheun2x0": "heun", "expheun2x0sde": "dpmpp_sde", "ipndm": "lms", "ipndmv": "lms"},
    **{"ddimcfgpp": "euler_cfg_pp", "eulerancestralcfgpp": "euler_ancestral", "euleracfgpp": "euler_ancestral", "tcd": "lcm"},
    **{"dpmpp2mcfgpp": "dpmpp_2m", "dpmpp2sancestralcfgpp": "dpmpp_2s_ancestral", "resmultistep": "dpmpp_2m", "unipcbh1": "unipc"},
    **{"resmultistepancestral": "dpmpp_2s_ancestral", "gradientestimation": "euler", "eulerge": "euler", "ersde": "dpmpp_3m_sde"},
    **{"seeds2": "dpmpp_sde", "seeds3": "dpmpp_sde", "sasolver": "dpmpp_2m_sde", "res2s": "dpmpp_sde", "eulersmea": "euler"},
    **{"eulersmeady": "euler", "ddimv3": "ddim", "naismea": "dpmpp_2m", "naismeadyn": "euler_ancestral"},
}
"""Samplers that kakusan has not, and the one that is most like each."""
SCHEDULES = {
    **{"uniform": "normal", "discrete": "normal", "native": "normal", "ddimuniform": "ddim", "ays": "align_your_steps"},
    **{"sgm": "sgm_uniform", "polyexp": "polyexponential", "k": "karras"},
}
NEAREST_SCHEDULES = {
    **{"turbo": "trailing", "linearquadratic": "normal", "bongtangent": "normal", "smoothstep": "normal", "lcm": "sgm_uniform"},
    **{"gits": "align_your_steps", "aysgits": "align_your_steps", "ays11": "align_your_steps", "ays32": "align_your_steps"},
    **{"edmplayground": "karras", "tcd": "sgm_uniform"},
}
ENDINGS = re.compile(r"(.+?)[ _]((?:sgm[ _]?)?uniform|karras|exponential|polyexponential|discrete|ays|gits|simple|beta|normal)", re.I)


class Named(NamedTuple):
    """A sampler and its schedule by our names, and what to tell of the choice."""

    sampler: str
    schedule: str
    notes: list[str]


def named(sampler: str, schedule: str, profile: str) -> Named:
    """What a program means by two names. profile: whose defaults hold where the schedule is not said."""
    notes: list[str] = []
    if not schedule and (both := ENDINGS.fullmatch(sampler)) and plain(both[1]) in ALL:
        sampler, schedule = both[1], both[2]  # AUTOMATIC1111 before 1.9, stable-diffusion.cpp
    if profile == "invokeai" and sampler.endswith("_k"):
        sampler, schedule = sampler[:-2], "karras"
    ours = _sampler(sampler, profile, notes)
    return Named(ours, _schedule(schedule, ours, profile, notes), notes)


def plain(name: str) -> str:
    """A name without what programs write differently."""
    short = re.sub(r"[ _\-().]", "", name.strip().lower().removeprefix("k_").replace("++", "pp"))
    return short.removesuffix("gpu")


def _sampler(name: str, profile: str, notes: list[str]) -> str:
    key = plain(name)
    if not key:
        notes.append(tr("the sampler is not said: euler", "サンプラーの記載がないため euler を使います"))
        return "euler"
    if key == "ddim" and profile == "comfyui":
        return "euler"  # what ComfyUI runs under that name
    if key == "unipc" and profile == "comfyui":
        key = "unipcbh1"
    if key in ALL and key not in NEAREST:
        return ALL[key]
    ours = ALL.get(key, "euler")
    notes.append(tr(f"sampler {_short(name)}: drawn with {ours}", f"サンプラー {_short(name)} は {ours} で描きます"))
    return ours


def _schedule(name: str, sampler: str, profile: str, notes: list[str]) -> str:
    key = plain(name)
    if key in ("", "automatic", "default", "none"):
        return automatic(profile, sampler) or "normal"
    if key in SCHEDULES_BY_PLAIN:
        return SCHEDULES_BY_PLAIN[key]
    ours = NEAREST_SCHEDULES.get(key, "normal")
    notes.append(tr(f"schedule {_short(name)}: drawn with {ours}", f"スケジュール {_short(name)} は {ours} で描きます"))
    return ours


def _short(name: str) -> str:
    return repr(name if len(name) < 40 else name[:40] + "...")


ALL = {
    **NEAREST,
    **{plain(row.label): row.name for row in NAMES},
    **{plain(row.name): row.name for row in NAMES},
    **SAMPLERS,
}
SCHEDULES_BY_PLAIN = {
    **{plain(row.label): name for name, row in DESCRIPTIONS.items()},
    **{plain(name): name for name in DESCRIPTIONS},
    **SCHEDULES,
}
