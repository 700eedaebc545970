"""Every sampler by its name: the one place to add a row, besides the line that describes it in `names.py`."""

from collections.abc import Callable

from ..types import Sampler
from .adams import deis, lms
from .ddim import ddim, ddpm, lcm
from .dpm import dpm_2, dpm_2_ancestral, dpm_adaptive, dpm_fast
from .dpmpp import dpmpp_2m, dpmpp_2m_sde, dpmpp_2s_ancestral, dpmpp_3m_sde, dpmpp_sde
from .euler import euler, euler_ancestral, euler_cfg_pp
from .heun import heun, restart
from .pndm import plms, pndm
from .unipc import unipc

SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "ddim": ddim,
    "ddpm": ddpm,
    "plms": plms,
    "pndm": pndm,
    "lms": lms,
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "heun": heun,
    "dpm_2": dpm_2,
    "dpm_2_ancestral": dpm_2_ancestral,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_2s_ancestral": dpmpp_2s_ancestral,
    "dpmpp_sde": dpmpp_sde,
    "dpmpp_2m_sde": dpmpp_2m_sde,
    "dpmpp_3m_sde": dpmpp_3m_sde,
    "unipc": unipc,
    "deis": deis,
    "lcm": lcm,
    "dpm_fast": dpm_fast,
    "dpm_adaptive": dpm_adaptive,
    "restart": restart,
    "euler_cfg_pp": euler_cfg_pp,
}
