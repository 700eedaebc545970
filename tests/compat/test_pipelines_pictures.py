"""Image to image, inpainting, depth and upscaling: the same seed gives diffusers' picture."""

from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import transformers
from PIL import Image, ImageDraw

from compat import tiny_folders as tiny
from kakusan.compat import diffusers as ours
from kakusan.errors import KakusanError
from models.test_dpt import TINY, peer

diffusers.utils.logging.set_verbosity_error()
PROMPT = "a photograph of an astronaut riding a horse"
SCHEDULERS = ("PNDMScheduler", "DDIMScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "DPMSolverMultistepScheduler")


def picture(size: tuple[int, int] = (64, 64), seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def mask(size: tuple[int, int] = (64, 64)) -> Image.Image:
    sheet = Image.new("RGB", size)
    ImageDraw.Draw(sheet).rectangle((16, 8, 45, 40), fill="white")
    return sheet


def pair(kind: str, folder: Path, scheduler: str = "PNDMScheduler") -> tuple[Any, Any]:
    """Ours and diffusers', of one folder."""
    pipes = opened(kind, folder)
    for pipe, home in zip(pipes, (ours, diffusers), strict=True):
        pipe.scheduler = getattr(home, scheduler).from_config({**pipe.scheduler.config, "clip_sample": False})
    return pipes


@cache
def opened(kind: str, folder: Path) -> tuple[Any, Any]:
    theirs = getattr(diffusers, kind).from_pretrained(folder, safety_checker=None, requires_safety_checker=False)
    theirs.set_progress_bar_config(disable=True)
    return getattr(ours, kind).from_pretrained(folder), theirs


def assert_same(pipes: tuple[Any, Any], *args: Any, **options: Any) -> None:
    drawn = []
    seeds = options.pop("seeds", None)
    for pipe in pipes:
        generator = torch.Generator().manual_seed(1024) if seeds is None else [torch.Generator().manual_seed(seed) for seed in seeds]
        images = pipe(*args, **{"num_inference_steps": 6, "generator": generator, **options}).images
        drawn.append(np.stack([np.asarray(image).astype(int) for image in images]))
    assert drawn[0].shape == drawn[1].shape
    assert np.abs(drawn[0] - drawn[1]).max() <= 1
    assert drawn[1].std() > 5


# Image to image


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("text") / "tiny")


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("strength", [0.35, 0.75, 1.0])
def test_image_to_image(home: Path, scheduler: str, strength: float) -> None:
    pipes = pair("StableDiffusionImg2ImgPipeline", home, scheduler)
    assert_same(pipes, PROMPT, picture(), strength=strength)


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": [PROMPT, "x"], "image": [picture(), picture(seed=1)]},
        {"prompt": [PROMPT, "x"], "image": picture((72, 48)), "negative_prompt": ["y", "z"], "seeds": [1, 2]},
        {"prompt": PROMPT, "image": picture(), "num_images_per_prompt": 2, "guidance_scale": 1.0},
        {"prompt": PROMPT, "image": torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))},
        {"prompt": PROMPT, "image": np.random.default_rng(1).random((1, 64, 72, 3), np.float32)},
        {"prompt": PROMPT, "image": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))},
        {"prompt": PROMPT, "image": picture((77, 70)), "clip_skip": None, "eta": 0.5},
    ],
    ids=lambda options: str(sorted(options)),
)
def test_image_to_image_of_all_kinds(home: Path, options: dict[str, Any]) -> None:
    pipes = pair("StableDiffusionImg2ImgPipeline", home, "DDIMScheduler")
    assert_same(pipes, strength=0.6, **options)


# Inpainting


@pytest.fixture(scope="module")
def inpainting_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("inpainting") / "tiny", unet=tiny.unet(9))


INPAINT: list[dict[str, Any]] = [
    {},
    {"strength": 0.7},
    {"guidance_scale": 1.0, "height": 48, "width": 72},
    {"prompt": [PROMPT, "x"], "num_images_per_prompt": 2, "negative_prompt": ["y", "z"]},
    {"prompt": [PROMPT, "x"], "image": [picture(), picture(seed=3)], "mask_image": [mask(), mask()], "seeds": [3, 4], "strength": 0.8},
    {"mask_image": torch.zeros(1, 1, 64, 64).index_fill(3, torch.arange(20, 50), 1.0)},
    {"image": picture((128, 96)), "mask_image": mask((128, 96)), "padding_mask_crop": 8},
]


@pytest.mark.parametrize("options", INPAINT, ids=str)
@pytest.mark.parametrize("channels", [4, 9])
def test_inpainting(home: Path, inpainting_home: Path, channels: int, options: dict[str, Any]) -> None:
    at = home if channels == 4 else inpainting_home
    pipes = pair("StableDiffusionInpaintPipeline", at, "EulerAncestralDiscreteScheduler")
    assert_same(pipes, **{"prompt": PROMPT, "image": picture(), "mask_image": mask(), **options})


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("channels", [4, 9])
def test_inpainting_with_every_kind_of_scheduler(home: Path, inpainting_home: Path, channels: int, scheduler: str) -> None:
    at = home if channels == 4 else inpainting_home
    pipes = pair("StableDiffusionInpaintPipeline", at, scheduler)
    assert_same(pipes, PROMPT, picture(), mask(), strength=0.8)


# Depth


def test_depth_to_image(tmp_path: Path) -> None:
    parts = tiny.parts(tmp_path / "words", unet=tiny.unet(5))
    theirs = diffusers.StableDiffusionDepth2ImgPipeline(**parts, depth_estimator=None, feature_extractor=None)
    theirs.set_progress_bar_config(disable=True)
    mine = ours.StableDiffusionDepth2ImgPipeline(**ours_of(parts, tmp_path), depth_estimator=None)
    depth = torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(2))
    assert_same((mine, theirs), PROMPT, picture(), depth, strength=0.7)
    assert_same((mine, theirs), [PROMPT, "x"], picture((72, 48)), depth, negative_prompt=["y", "z"])
    assert_same((mine, theirs), PROMPT, picture(), depth, guidance_scale=1.0, num_images_per_prompt=2)
    with pytest.raises(KakusanError, match="depth_map"):
        mine(PROMPT, picture())


def test_depth_is_estimated_by_the_folders_network(tmp_path: Path) -> None:
    parts = tiny.parts(tmp_path / "words", unet=tiny.unet(5))
    processor = transformers.DPTImageProcessor(size={"height": 64, "width": 64}, keep_aspect_ratio=False)
    whole = diffusers.StableDiffusionDepth2ImgPipeline(**parts, depth_estimator=peer(TINY), feature_extractor=processor)
    whole.save_pretrained(tmp_path / "depth")
    theirs = diffusers.StableDiffusionDepth2ImgPipeline.from_pretrained(tmp_path / "depth")
    theirs.set_progress_bar_config(disable=True)
    mine = ours.DiffusionPipeline.from_pretrained(tmp_path / "depth")
    assert type(mine) is ours.StableDiffusionDepth2ImgPipeline
    pixels = [pipe.feature_extractor(images=picture((80, 64)), return_tensors="pt").pixel_values for pipe in (mine, theirs)]
    torch.testing.assert_close(pixels[0], pixels[1], rtol=0, atol=0.02)  # its resizing is torchvision's
    with torch.no_grad():
        depths = [pipe.depth_estimator(pixels[1]).predicted_depth for pipe in (mine, theirs)]
    torch.testing.assert_close(depths[0], depths[1], rtol=1e-4, atol=1e-4 * float(depths[1].max()))
    mine.feature_extractor = theirs.feature_extractor
    assert_same((mine, theirs), PROMPT, picture((80, 64)), strength=0.7)
    mine.feature_extractor = ours.DPTImageProcessor.from_pretrained(tmp_path / "depth", subfolder="feature_extractor")
    mine.save_pretrained(tmp_path / "again")
    again = ours.StableDiffusionDepth2ImgPipeline.from_pretrained(tmp_path / "again")
    drawn = [np.asarray(pipe(PROMPT, picture(), generator=torch.Generator().manual_seed(1)).images[0]) for pipe in (mine, again)]
    assert np.array_equal(drawn[0], drawn[1])


# Upscaling


def test_upscaling(tmp_path: Path) -> None:
    blocks = {"num_class_embeds": 60, "only_cross_attention": [True, False], "sample_size": 16}
    parts = tiny.parts(tmp_path / "words", unet=tiny.unet(7, **blocks), vae=tiny.vae(3, 0.08333))
    low = diffusers.DDPMScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear")
    theirs = diffusers.StableDiffusionUpscalePipeline(**parts, low_res_scheduler=low, max_noise_level=40)
    theirs.set_progress_bar_config(disable=True)
    mine = ours.StableDiffusionUpscalePipeline(
        **ours_of(parts, tmp_path), low_res_scheduler=ours.DDPMScheduler.from_config(low.config), max_noise_level=40
    )
    small = picture((24, 16))
    assert_same((mine, theirs), PROMPT, small)
    assert_same((mine, theirs), PROMPT, small, noise_level=40, guidance_scale=1.0, num_images_per_prompt=2)
    assert_same((mine, theirs), [PROMPT, "x"], [small, picture((24, 16), 5)], negative_prompt=["y", "z"], seeds=[1, 2])
    assert mine(PROMPT, small, num_inference_steps=1).images[0].size == (96, 64)
    with pytest.raises(KakusanError, match=r"noise_level is 41.*0 to 40"):
        mine(PROMPT, small, noise_level=41)


def ours_of(parts: dict[str, Any], tmp: Path) -> dict[str, Any]:
    """Our components of diffusers' and transformers'."""
    made = {"scheduler": ours.PNDMScheduler.from_config(parts["scheduler"].config)}
    kinds = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel", "tokenizer": "CLIPTokenizer"}
    for name, kind in kinds.items():
        parts[name].save_pretrained(tmp / name)
        made[name] = getattr(ours, kind).from_pretrained(tmp / name)
    return made


# Whatever suits the model


def test_automatic_pipelines_suit_the_model(home: Path, inpainting_home: Path) -> None:
    text = ours.AutoPipelineForText2Image.from_pretrained(home)
    assert type(text) is ours.StableDiffusionPipeline
    assert type(ours.AutoPipelineForImage2Image.from_pipe(text)) is ours.StableDiffusionImg2ImgPipeline
    again = ours.AutoPipelineForInpainting.from_pipe(text)
    assert type(again) is ours.StableDiffusionInpaintPipeline
    assert again.unet is text.unet
    inpainting = ours.AutoPipelineForInpainting.from_pretrained(inpainting_home)
    assert inpainting.unet.config.in_channels == 9
    with pytest.raises(KakusanError, match="5 more channels"):
        ours.AutoPipelineForText2Image.from_pipe(inpainting)


# What cannot be done


def test_wrong_calls_are_one_line(home: Path, inpainting_home: Path) -> None:
    image_to_image = pair("StableDiffusionImg2ImgPipeline", home, "DDIMScheduler")[0]
    inpaint = pair("StableDiffusionInpaintPipeline", inpainting_home, "DDIMScheduler")[0]
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (image_to_image, {"image": picture(), "strength": 1.5}, "strength is 1.5"),
        (image_to_image, {"image": picture(), "strength": 0.01}, "leaves none"),
        (image_to_image, {"image": None}, "image is missing"),
        (image_to_image, {"image": "cat.png"}, "image is str"),
        (image_to_image, {"image": [picture()] * 3}, "3 pictures were given for 1"),
        (inpaint, {"image": picture()}, "mask_image is missing"),
        (inpaint, {"image": picture(), "mask_image": mask(), "height": 30}, "height is 30"),
        (inpaint, {"image": picture(), "mask_image": Image.new("L", (64, 64)), "padding_mask_crop": 4}, "all black"),
        (inpaint, {"image": picture(), "mask_image": mask(), "padding_mask_crop": 4, "output_type": "np"}, "PIL"),
    ]
    for pipe, options, words in wrong:
        with pytest.raises(KakusanError, match=words) as error:
            pipe(**{"prompt": PROMPT, "num_inference_steps": 4, **options})
        assert "\n" not in str(error.value)
