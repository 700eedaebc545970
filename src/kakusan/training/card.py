"""The card of a trained model: what it knows, what it cannot do, what it was made of, and how well it does."""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from ..data.pictures import WORLDS
from ..formats.model import Model
from .settings import Recipe

START, STOP = "<!-- figures: benchmarks/embedded.py -->", "<!-- end of figures -->"

CARD = """---
license: apache-2.0
language: [en, ja]
pipeline_tag: text-to-image
---

# {name}

A very small latent diffusion model in the exact form of Stable Diffusion 1 (text tower, U-Net with cross-attention, KL
autoencoder), trained from nothing by `kakusan train all --config {config}`. It ships inside the package so that the first
command on a machine without network draws something; it is no rival to models a hundred times its size.

| part | parameters |
|---|---|
| U-Net, channels {channels} | {unet:,} |
| autoencoder, factor {factor}, {latent} latent channels, scale {scale} | {autoencoder:,} |
| text tower, {layers} layers of width {width}, {vocab} tokens | {text:,} |
| image tower (for similarity; not used to draw) | {image:,} |

Pictures of {size} x {size}, {prediction}, default {steps} steps of {sampler}, scale {guidance}.

## What it knows

One thing in front of a plain background, in English or Japanese, in its own or another colour.

- {number} things: {concepts}
- backgrounds: {colours}

## What it does not know

Everything else. Other words still give a picture, and kakusan says which words the model never met. It knows no scenes, no
several things at once, no counts, no positions, no styles, no people, no writing. Small features (eyes, keys of a phone) are
soft. It was shown drawings of two renderings that share their outlines, so there is little variety.

## How well it does

Judged by a network trained on the generator's pictures alone, on 400 prompts it draws once each
(`python benchmarks/embedded.py`). "unseen wording" are sentences that no training caption used; "held-out" are pairs of a thing
and a colour, or of a thing and a background, that no training picture showed.

{start}
not measured yet
{stop}

## How it was made

{count:,} pictures composed by the project's generator (world "{world}"; docs/training-pictures.md), captions in English and
Japanese made anew at every step, {strange:.0%} of them with words in them that mean nothing. CPU, two cores: {stages}.

The drawings come from Microsoft Fluent Emoji (MIT licence, copyright Microsoft Corporation) and, in larger worlds, Google Noto
Emoji (Apache-2.0, copyright Google LLC). No photographs, no pictures of real people, nothing collected from the web.
The weights are under Apache-2.0, as the project is.
"""


Stages = Mapping[str, Mapping[str, float]]


def card(model: Model, recipe: Recipe, config: str, stages: Stages, before: Stages | None = None) -> str:
    """The card's text, with a place for figures. stages: steps and minutes of each; before: of the run whose weights it began with."""
    world, defaults = WORLDS[recipe.world], model.settings["defaults"]
    said = _said(stages)
    if before:
        fresh = {name: facts for name, facts in stages.items() if facts != before.get(name)}
        said = f"{_said(before)}; then, beginning with those weights and with more wordings, {_said(fresh)}"
    return CARD.format(
        name=recipe.name,
        config=config,
        channels=" ".join(map(str, model.unet.config.channels)),
        factor=model.autoencoder.factor,
        latent=model.autoencoder.config.latent_channels,
        scale=model.autoencoder.config.scale,
        layers=model.text.config.layers,
        width=model.text.config.width,
        vocab=model.text.config.vocab,
        unet=_count(model.unet),
        autoencoder=_count(model.autoencoder),
        text=_count(model.text),
        image=_count(model.image),
        size=recipe.size,
        prediction=model.schedule.prediction,
        steps=defaults["steps"],
        sampler=defaults["sampler"],
        guidance=defaults["scale"],
        number=len(model.settings["concepts"]),
        concepts=", ".join(model.settings["concepts"]),
        colours=", ".join(world.colours),
        count=recipe.pictures,
        world=recipe.world,
        strange=recipe.strange,
        stages=said,
        start=START,
        stop=STOP,
    )


RELATIVE = """---
license: apache-2.0
language: [en, ja]
pipeline_tag: {tag}
---

# {name}

The embedded model's relative that sees {sees}: a U-Net of {inputs} channels in the exact form of {form}, beginning with the base's
weights made narrower where it could, trained by `kakusan train {variant} --config {config}`. It lies beside the base and shares
{shared} with it (kakusan.json, "shares"): `kakusan convert` writes it as one whole folder.

| part | parameters |
|---|---|
| U-Net, channels {channels} | {unet:,} |{more}

It knows the things, backgrounds and words that the base knows (see its card), and nothing else; what is said there about
small features holds here too, and more so: this U-Net is narrower.

## How well it does

Measured by `python benchmarks/relatives.py` on scenes that no training picture showed.

{start}
not measured yet
{stop}

## How it was made

CPU: {stages}. The pictures, their exact masks, depths and small and large versions come from the project's generator; drawings and
licences are those of the base's card.
"""
SEES = {
    "inpainting": ("a mask and what it leaves of a picture", "Stable Diffusion's inpainting models", "image-to-image"),
    "depth": ("depth", "Stable Diffusion 2's depth model", "image-to-image"),
    "upscaling": ("a small picture, and draws it four times as large", "Stable Diffusion's x4 upscaler", "image-to-image"),
}


def relative_card(model: Model, config: str, stages: Stages) -> str:
    """The card of a relative, with a place for figures. stages: steps and minutes of its own stages."""
    sees, form, tag = SEES[model.variant]
    own = {"autoencoder, for details": model.autoencoder} if model.variant == "upscaling" else {"depth network": model.depth}
    rows = [f"\n| {name} | {_count(part):,} |" for name, part in own.items() if part is not None]
    return RELATIVE.format(
        tag=tag,
        name=model.name,
        sees=sees,
        inputs=model.unet.config.in_channels,
        form=form,
        variant=model.variant,
        config=config,
        shared="the text tower and tokenizer" if model.variant == "upscaling" else "the text tower, tokenizer and autoencoder",
        channels=" ".join(map(str, model.unet.config.channels)),
        unet=_count(model.unet),
        more="".join(rows),
        start=START,
        stop=STOP,
        stages=_said(stages),
    )


def write_figures(path: Path, figures: str) -> None:
    """Put a table into the card's place for figures. Raises ValueError if the file has no such place."""
    text = path.read_text(encoding="utf-8")
    fresh, found = re.subn(f"{re.escape(START)}.*{re.escape(STOP)}", lambda _: f"{START}\n{figures}\n{STOP}", text, flags=re.DOTALL)
    if not found:
        raise ValueError(f"{path} has no place for figures ({START})")
    path.write_text(fresh, encoding="utf-8")


def _said(stages: Stages) -> str:
    return ", ".join(f"{name} {facts['steps']:,} steps in {facts['minutes']} minutes" for name, facts in stages.items())


def _count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(p.numel() for p in module.parameters())
