"""The code of a notebook of 2022, "Stable Diffusion with diffusers", as it was printed with explanations in Japanese.

Only import lines, the model's name, sizes and the device are others.
"""

from pathlib import Path

import numpy as np
import pytest

from compat.seeds import IMPORTS, run, version_1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return version_1(tmp_path_factory.mktemp("v1-4"))


FIRST_PICTURES = """
import torch
from diffusers import StableDiffusionPipeline

pipe = StableDiffusionPipeline.from_pretrained("CompVis/stable-diffusion-v1-4", torch_dtype=torch.float16)
pipe = pipe.to("cuda")

prompt = "a photograph of an astronaut riding a horse"
image = pipe(prompt).images[0]  # image here is in PIL format

# Now to display an image you can either save it such as:
image.save(f"astronaut_rides_horse.png")

# or if you're in a google colab you can directly display it with
image

import torch

generator = torch.Generator("cuda").manual_seed(1024)

image = pipe(prompt, generator=generator).images[0]

generator = torch.Generator("cuda").manual_seed(1024)

again = pipe(prompt, num_inference_steps=15, generator=generator).images[0]

from PIL import Image

def image_grid(imgs, rows, cols):
    assert len(imgs) == rows*cols

    w, h = imgs[0].size
    grid = Image.new('RGB', size=(cols*w, rows*h))
    grid_w, grid_h = grid.size

    for i, img in enumerate(imgs):
        grid.paste(img, box=(i%cols*w, i//cols*h))
    return grid

num_images = 3
prompt = ["a light brown tabby cat,tea time ,flying in the blue sky,manga"] * num_images

images = pipe(prompt, num_inference_steps=2).images

grid = image_grid(images, rows=1, cols=3)

num_cols = 3
num_rows = 4

prompt = ["a photograph of an astronaut riding a horse"] * num_cols

all_images = []
for i in range(num_rows):
  images = pipe(prompt, num_inference_steps=2).images
  all_images.extend(images)

large = image_grid(all_images, rows=num_rows, cols=num_cols)

prompt = "a photograph of an astronaut riding a horse"

wide = pipe(prompt, height=64, width=96, num_inference_steps=2).images[0]
"""


def test_the_notebooks_first_pictures(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {**IMPORTS, "CompVis/stable-diffusion-v1-4": model, "float16": "float32"}
    left = run(FIRST_PICTURES, names)
    assert (tmp_path / "astronaut_rides_horse.png").is_file()
    assert left["image"].size == (128, 128)
    assert left["grid"].size == (3 * 128, 128)
    assert left["large"].size == (3 * 128, 4 * 128)
    assert left["wide"].size == (96, 64)
    assert not np.array_equal(np.asarray(left["image"]), np.asarray(left["again"]))


OWN_LOOP = """
import torch
torch_device = "cuda" if torch.cuda.is_available() else "cpu"

from transformers import CLIPTextModel, CLIPTokenizer
from diffusers import AutoencoderKL, UNet2DConditionModel, PNDMScheduler

# 1. Load the autoencoder model which will be used to decode the latents into image space.
vae = AutoencoderKL.from_pretrained("CompVis/stable-diffusion-v1-4", subfolder="vae")

# 2. Load the tokenizer and text encoder to tokenize and encode the text.
tokenizer = CLIPTokenizer.from_pretrained("openai/clip-vit-large-patch14/tokenizer")
text_encoder = CLIPTextModel.from_pretrained("openai/clip-vit-large-patch14/text_encoder")

# 3. The UNet model for generating the latents.
unet = UNet2DConditionModel.from_pretrained("CompVis/stable-diffusion-v1-4", subfolder="unet")

from diffusers import LMSDiscreteScheduler

scheduler = LMSDiscreteScheduler.from_pretrained("CompVis/stable-diffusion-v1-4", subfolder="scheduler")

vae = vae.to(torch_device)
text_encoder = text_encoder.to(torch_device)
unet = unet.to(torch_device)

prompt = ["a photograph of an astronaut riding a horse"]

height = 512                        # default height of Stable Diffusion

width = 512                         # default width of Stable Diffusion

num_inference_steps = 100            # Number of denoising steps

guidance_scale = 7.5                # Scale for classifier-free guidance

generator = torch.manual_seed(32)   # Seed generator to create the inital latent noise

batch_size = 1

text_input = tokenizer(prompt, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt")

with torch.no_grad():

  text_embeddings = text_encoder(text_input.input_ids.to(torch_device))[0]

max_length = text_input.input_ids.shape[-1]

uncond_input = tokenizer(

    [""] * batch_size, padding="max_length", max_length=max_length, return_tensors="pt"

)

with torch.no_grad():

  uncond_embeddings = text_encoder(uncond_input.input_ids.to(torch_device))[0]

text_embeddings = torch.cat([uncond_embeddings, text_embeddings])

latents = torch.randn(

  (batch_size, unet.in_channels, height // 8, width // 8),

  generator=generator,

)

latents = latents.to(torch_device)

latents.shape

scheduler.set_timesteps(num_inference_steps)

latents = latents * scheduler.init_noise_sigma

from tqdm.auto import tqdm

from torch import autocast

for t in tqdm(scheduler.timesteps):

  # expand the latents if we are doing classifier-free guidance to avoid doing two forward passes.

  latent_model_input = torch.cat([latents] * 2)

  latent_model_input = scheduler.scale_model_input(latent_model_input, t)

  # predict the noise residual

  with torch.no_grad():

    noise_pred = unet(latent_model_input, t, encoder_hidden_states=text_embeddings).sample

  # perform guidance

  noise_pred_uncond, noise_pred_text = noise_pred.chunk(2)

  noise_pred = noise_pred_uncond + guidance_scale * (noise_pred_text - noise_pred_uncond)

  # compute the previous noisy sample x_t -> x_t-1

  latents = scheduler.step(noise_pred, t, latents).prev_sample

# scale and decode the image latents with vae

latents = 1 / 0.18215 * latents

with torch.no_grad():

  image = vae.decode(latents).sample

image = (image / 2 + 0.5).clamp(0, 1)

image = image.detach().cpu().permute(0, 2, 3, 1).numpy()

images = (image * 255).round().astype("uint8")

from PIL import Image

pil_images = [Image.fromarray(image) for image in images]

pil_images[0]
"""


def test_the_notebooks_own_loop_draws_what_it_draws_with_diffusers(model: str) -> None:
    small = {
        "CompVis/stable-diffusion-v1-4": model,
        "openai/clip-vit-large-patch14": model,
        **{"height = 512": "height = 96", "width = 512": "width = 64", "num_inference_steps = 100": "num_inference_steps = 20"},
    }
    mine = run(OWN_LOOP, {**IMPORTS, **small})["pil_images"][0]
    theirs = run(OWN_LOOP, {"unet.in_channels": "unet.config.in_channels", **small})["pil_images"][0]
    assert mine.size == (64, 96)
    assert np.abs(np.asarray(mine).astype(int) - np.asarray(theirs)).max() <= 1
    assert np.asarray(theirs).std() > 5
