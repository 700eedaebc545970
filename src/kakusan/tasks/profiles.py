"""What other programs do with a seed, a schedule and a strength: one row a program. Light: nothing here needs torch.

Facts, each read in the program's own source:
[A] AUTOMATIC1111's stable-diffusion-webui 1.10: modules/rng.py, sd_samplers_kdiffusion.py, sd_samplers_timesteps.py,
    sd_samplers_timesteps_impl.py, sd_samplers_common.py, sd_schedulers.py, processing.py
[C] ComfyUI: comfy/sample.py, comfy/samplers.py, comfy/model_sampling.py, comfy/k_diffusion/sampling.py
[I] InvokeAI: invokeai/app/invocations/noise.py, denoise_latents.py, backend/stable_diffusion/diffusers_pipeline.py, schedulers.py
[D] diffusers 0.42: pipelines/stable_diffusion, schedulers/, utils/torch_utils.py
[V] CompVis' stable-diffusion: scripts/txt2img.py, img2img.py, ldm/models/diffusion/ddim.py, plms.py
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..errors import KakusanError
from ..prompts.prompt import Dialect

Rng = Literal["cpu", "cuda"]
Follow = Literal["stream", "plus_one_on_cpu", "flipped"]
"""Where a sampler's own noise comes from: on in the stream of the first noise; a stream of the same seed, plus 1 where that is the
CPU's; a stream of the seed with its 32 low bits turned round."""


@dataclass(frozen=True)
class Profile:
    """What one program does.

    first, again: where the first noise and a sampler's own are drawn; "cuda" is what torch draws on an NVIDIA GPU. follow: see
    `Follow`. rng_changes: which of the two a recipe's RNG changes. half: drawn in half precision. tree: where the Brownian tree of SDE
    samplers is drawn ("first": as the first noise), or None if they draw from the stream. tree_whole: its range is that of the whole
    schedule, not only of the part that strength leaves.
    slices: a batch has one seed, and picture i gets slice i of what is drawn for all; else picture i has seed + i.
    drawn_latent: a picture's latent is drawn from the encoder's distribution with the same stream; else its mean is taken, where
    the program draws from a stream that is not seeded. renewed: a second pass begins the streams anew.
    start: what the first noise is multiplied by: "full" sqrt(1 + sigma^2), "sigma", "max": full at the model's highest sigma; "spaced":
    sigma for samplers whose timesteps are not rounded (`levels.STRAIGHT`) unless their spacing is "leading", else full.
    automatic: the schedule where none is named, by sampler; "" for the others. rounded: the network is told whole timesteps.
    discard: samplers whose last level before 0 is left out of one step more. strength: how steps are counted (`levels`).
    options: what samplers are called with; few: those with fewer than 15 steps. dialect: of prompts.
    """

    label: str
    first: Rng = "cpu"
    again: Rng = "cpu"
    follow: Follow = "stream"
    rng_changes: frozenset[str] = frozenset({"first", "again"})
    half: bool = False
    tree: Literal["first", "cpu"] | None = None
    tree_whole: bool = False
    slices: bool = False
    drawn_latent: bool = True
    renewed: bool = False
    start: Literal["full", "sigma", "max", "spaced"] = "full"
    automatic: Mapping[str, str] = field(default_factory=dict)
    rounded: bool = False
    discard: frozenset[str] = frozenset()
    strength: Literal["diffusers", "a1111", "comfyui", "invokeai", "compvis"] = "diffusers"
    options: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    few: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    dialect: Dialect | None = None


SPACED = {"": "linspace", "ddim": "leading", "ddpm": "leading", "pndm": "leading", "plms": "leading"}
"""The spacing each scheduler of diffusers has unless a model's file names one, as SD1's and SD2's do not [D]: `timestep_spacing`."""
FEW = 15
MULTISTEP: Mapping[str, Mapping[str, float | str]] = {"deis": {"order": 2}}  # [D]: solver_order=2

PROFILES: Mapping[str, Profile] = {
    "": Profile("kakusan"),
    "a1111": Profile(
        "AUTOMATIC1111",
        first="cuda",  # [A] opts.randn_source is "GPU"; "CPU" and "NV" are the others
        again="cuda",
        tree="first",  # [A] replace_torchsde_browinan: the tree draws with randn_local
        tree_whole=True,  # [A] create_noise_sampler(x, sigmas, p), before img2img cuts sigmas
        drawn_latent=False,  # [A] init() encodes before ImageRNG is made; the posterior's sample is torch's global stream
        renewed=True,  # [A] sample_hr_pass makes a new ImageRNG
        start="sigma",  # [A] x * sigmas[0], unless sgm_noise_multiplier; DDIM, PLMS and UniPC start from x itself, which is "full"
        automatic={  # [A] the option "scheduler" of samplers_k_diffusion; where there is none, model_wrap.get_sigmas
            "": "normal",
            **dict.fromkeys(("dpmpp_2m", "dpmpp_sde", "dpmpp_2s_ancestral", "dpm_2", "dpm_2_ancestral", "restart"), "karras"),
            **dict.fromkeys(("dpmpp_2m_sde", "dpmpp_3m_sde"), "exponential"),
        },
        discard=frozenset({"dpm_2", "dpm_2_ancestral", "dpmpp_3m_sde"}),  # [A] discard_next_to_last_sigma
        strength="a1111",  # [A] setup_img2img_steps
        options={"unipc": {"order": 3, "variant": "bh1"}},  # [A] opts.uni_pc_order, uni_pc_variant; skip type time_uniform
        dialect="a1111",
    ),
    "comfyui": Profile(
        "ComfyUI",
        again="cuda",  # [C] default_noise_sampler: a generator on x.device
        follow="plus_one_on_cpu",  # [C] there: seed += 1 if x.device is the CPU
        rng_changes=frozenset({"again"}),  # [C] prepare_noise always draws on the CPU
        tree="cpu",  # [C] BrownianTreeNoiseSampler(..., cpu=True); dpmpp_sde_gpu and the like are other samplers
        slices=True,  # [C] prepare_noise: torch.randn(latent_image.size(), generator)
        drawn_latent=False,  # [C] VAEEncode draws from torch's global stream, before the sampler seeds it
        renewed=True,  # [C] a second KSampler seeds anew
        start="max",  # [C] Sampler.max_denoise, EPS.noise_scaling
        automatic={"": "normal"},  # [C] KSampler has no choice of its own; this is the one of the workflow it starts with
        rounded=True,  # [C] ModelSamplingDiscrete.timestep: the nearest entry in log sigma
        discard=frozenset({"dpm_2", "dpm_2_ancestral", "unipc"}),  # [C] KSampler.DISCARD_PENULTIMATE_SIGMA_SAMPLERS
        strength="comfyui",  # [C] KSampler.set_steps
        dialect="comfyui",
    ),
    "invokeai": Profile(
        "InvokeAI",
        again="cuda",  # [I] init_scheduler: torch.Generator(device=device)
        follow="flipped",  # [I] there: .manual_seed(seed ^ 0xFFFFFFFF)
        rng_changes=frozenset({"first"}),  # [I] get_noise(use_cpu=...), rand_device in its metadata
        half=True,  # [I] get_noise: dtype=torch_dtype(device), float16 on a GPU
        drawn_latent=False,  # [I] ImageToLatents samples the posterior from torch's global stream
        start="sigma",  # [I] latents_from_embeddings: scheduler.add_noise(zeros, noise, init_timestep), not init_noise_sigma
        automatic=SPACED,
        strength="invokeai",  # [I] init_scheduler: timesteps below round(1000 * strength)
        options=MULTISTEP,
        dialect="compel",
    ),
    "diffusers": Profile(
        "diffusers",
        slices=True,  # [D] randn_tensor: one generator draws (num_images_per_prompt c h w); seeds of a list are other calls
        start="spaced",  # [D] init_noise_sigma of EulerDiscreteScheduler and its like; 1 in DDIM's coordinates is full
        automatic=SPACED,
        options=MULTISTEP,
        dialect="plain",
    ),
    "compvis": Profile(
        "CompVis",
        first="cuda",  # [V] DDIMSampler.sample: torch.randn(size, device=device)
        again="cuda",
        slices=True,  # [V] one seed_everything for n_samples
        drawn_latent=False,  # [V] the posterior is sampled on the CPU, whose stream making the model has used up in part
        automatic={"": "ddim"},
        strength="compvis",
        few={"dpmpp_2m": {"last_order": 1}},  # [V] DPM_Solver.sample: lower_order_final and steps < 15
        dialect="plain",
    ),
}
"""By the word that `like` takes; "" is our own."""


def profile(name: str) -> Profile:
    """The row of that name. Raises KakusanError if there is none."""
    if name not in PROFILES:
        known = ", ".join(key for key in PROFILES if key)
        raise KakusanError(f"like is {name!r}; it must be one of {known}", f"like が {name!r} です。{known} のどれかにしてください")
    return PROFILES[name]


def automatic(name: str, sampler: str) -> str:
    """The schedule that the program of that name takes for a sampler if none is named; "" if it is left to the model."""
    chosen = profile(name).automatic
    return chosen.get(sampler, chosen.get("", ""))
