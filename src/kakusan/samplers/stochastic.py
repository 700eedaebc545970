"""How noise comes and goes between two levels; x is a clean latent plus noise of standard deviation sigma (n c h w)."""

from math import sqrt

from torch import Tensor

from ..types import Noise


def ancestral(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """Splits a step: solve the ODE down to `down`, then add noise of standard deviation `up` to stand at `sigma_next`.

    eta 1 is the posterior of DDPM (Ho et al. 2020, equation 7), eta 0 the plain ODE (Song et al. 2021, DDIM, equation 16).
    """
    up = min(sigma_next, eta * sigma_next / sigma * sqrt(sigma**2 - sigma_next**2))
    return sqrt(sigma_next**2 - up**2), up


def churned(sigma: float, churn: float, s_tmin: float, s_tmax: float) -> float:
    """The noise level that a step starting at `sigma` is first raised to (Karras et al. 2022, algorithm 2).

    churn: S_churn divided by the number of steps; only levels from s_tmin to s_tmax are raised.
    """
    return sigma * (1 + min(churn, sqrt(2) - 1)) if s_tmin <= sigma <= s_tmax else sigma


def raise_noise(x: Tensor, sigma: float, sigma_up: float, noise: Noise, s_noise: float) -> Tensor:
    """The forward process: x at level `sigma` made noisier, to stand at `sigma_up`; draws nothing if they are equal."""
    return x if sigma_up == sigma else x + s_noise * sqrt(sigma_up**2 - sigma**2) * noise(x, sigma, sigma_up)


def no_noise(like: Tensor, sigma_from: float, sigma_to: float) -> Tensor:
    """Stands in for `noise` where a sampler's defaults draw none.

    Raises ValueError, always: an option such as eta or s_churn asked for noise, and none was given.
    """
    raise ValueError(
        f"noise is needed between sigma {sigma_from} and {sigma_to}, and none was given: pass noise, or set eta and s_churn to 0"
    )
