"""The pipeline: a model's networks, an engine over them, and the simple way in: `pipe("a red apple").images[0]`."""

import dataclasses
import math
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import samplers, schedules
from .denoiser import Denoiser
from .engine import Engine, Job
from .errors import KakusanError
from .formats.embedding import Embeddings
from .formats.loras import Loras
from .formats.model import Model
from .glimpse import Glimpse
from .images import to_pil
from .memory.recording import Recorder
from .networks import networks
from .prompts.japanese.translators import Choice, Translator
from .prompts.japanese.translators import translator as translator_of
from .prompts.prompt import Dialect
from .result import Result as Result
from .result import Step as Step
from .safety.afterwards import Afterwards, Safety, afterwards
from .safety.checker import Check
from .safety.marks import Watermark, marker
from .samplers.count import evaluations
from .schedules import sigmas_for
from .tasks.area import WHOLE, Area
from .tasks.beginning import Asked, Size, Sizes
from .tasks.beginning import begun as picture_begun
from .tasks.conditions import Vocabulary
from .tasks.fitting import Picture, Resize, check_size, opened
from .tasks.large import asked as large_asked
from .tasks.learnt import asked as learnt_asked
from .tasks.learnt import scales, settled
from .tasks.levels import levels as levels_like
from .tasks.like import Like, batched, worded
from .tasks.like import asked as like_asked
from .tasks.modes import NOTHING, Given, begun, calls, check, fitting, mode, second_pass, task, usually
from .tasks.prompt_notes import prompt_notes
from .tasks.recipe import Fill, Recipe, Rule
from .tasks.translated import in_english, translation_notes
from .tasks.translated import usual as usual_translator
from .tasks.variations import numbered
from .tasks.wording import Emphasis
from .tasks.wording import asked as wording_asked
from .types import Sigmas, Task
from .upscaling import STRENGTH, chosen, no_model, resampled
from .words import Words

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PICTURES = 1000


class Pipeline:
    """A model ready to draw. Make one with `kakusan.load`."""

    def __init__(
        self, model: Model, *, hash_: str = "", max_rows: int = 16, safety: Safety | Check | None = None, checker: Check | None = None
    ):
        self.model, self.max_rows, self.safety, self.checker = model, max_rows, safety, checker
        self.watermark: Watermark = "off"
        self.translator: Translator = usual_translator(model)
        self.relative: Callable[[str], Pipeline | None] = lambda variant: None
        self.loras, self.embeddings = Loras(model), Embeddings(model.text.config.width)
        self.device = next(model.unet.parameters()).device
        self.dtype = next(model.unet.parameters()).dtype
        self.reproducible = self.device.type == "cpu"  # no picture's last bits depend on those beside it; a GPU would stand idle
        self.defaults = dataclasses.replace(
            Recipe.defaults(model.settings.get("defaults", {}), self.own_size), model=model.name, model_hash=hash_
        )

    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        negative: str = "",
        steps: int | None = None,
        sampler: str | None = None,
        schedule: str | None = None,
        scale: float | None = None,
        seed: int | None = None,
        width: int | None = None,
        height: int | None = None,
        count: int = 1,
        image: Picture | None = None,
        mask: Picture | None = None,
        depth: Picture | None = None,
        strength: float | None = None,
        fill: Fill | None = None,
        noise_level: int | None = None,
        resize: Resize = "crop",
        area: Area = WHOLE,
        rule: Rule | None = None,
        variation_seed: int | None = None,
        variation_strength: float | None = None,
        window: int | bool | None = None,
        hires: bool | str | None = None,
        like: str | Like | None = None,
        tileable: bool | str | None = None,
        dialect: Dialect | None = None,
        emphasis: Emphasis | None = None,
        clip_skip: int | None = None,
        loras: Mapping[str, float | tuple[float, float]] | None = None,
        translate: Choice | None = None,
        safety: Safety | Check | None = None,
        watermark: Watermark | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> Result:
        """Draw `count` pictures of each prompt; picture i has seed `seed` + i and can be made alone by that seed.

        image: a picture to begin with, a PIL image or a file; strength, from 0 to 1, is how much of it is drawn anew. mask: where, in
        white. depth: of the picture, brighter is nearer, for a depth model, which estimates it otherwise. fill: what is put under a
        mask first. noise_level: what an upscaling model takes off. resize: how a picture of other proportions is made to fit.
        area: how the mask is used, and where the picture is to grow. rule: how strength is counted.
        variation_strength: how far, 0 to 1, each picture is from `seed` to a seed of its own, from `variation_seed` on.
        window: pixels the model sees at a time, or True for its own size. hires: "latent" or "pixels", drawn in the model's own size
        first. tileable: copies fit side by side, "x", "y" or "xy". See `tasks.large`.
        dialect: how the prompts are written; emphasis: what weights in them do; clip_skip: layers of the text encoder. See `tasks.wording`.
        like: "a1111", "comfyui", "invokeai", "diffusers" or "compvis": that program's noise, levels and steps; or a `tasks.like.Like`.
        loras: strengths by name, of U-Net and text encoder alike or (U-Net, text encoder), beside those of tags in the prompt.
        translate: who puts Japanese into English: off, lexicon, marian, marian:FOLDER, or a function; "lexicon" unless the model knows it.
        safety: what is done about pictures that the safety checker flags: off, flag, blur, black; a function (pictures) -> list of
        bool is a checker itself. watermark: `safety.marks`.
        What is not given is the model's default. Raises KakusanError, in one line, on anything that cannot be done.
        """
        given, size = self.given(Asked(image, mask, depth, (width, height), resize, area))
        after = self.afterwards(safety, watermark)
        options: dict[str, object] = {"negative": negative, "steps": steps, "sampler": sampler, "schedule": schedule, "scale": scale}
        options |= {"variation_seed": variation_seed, "variation_strength": variation_strength}
        options |= {"strength": strength, "rule": rule, "fill": fill, "noise_level": noise_level}
        options |= {"width": size[0], "height": size[1], "area": area, "large": large_asked(window, tileable, hires)}
        options["like"] = whose = like_asked(like)
        options["wording"] = wording_asked(worded(whose, self.defaults.wording), dialect, emphasis, clip_skip)
        options["learnt"] = learnt_asked(loras)
        options["translator"] = None if translate is None else translator_of(translate)
        recipes = self.recipes(prompt, count, seed, options, given)
        images: dict[int, tuple[Image, Recipe, bool | None]] = {}
        for step in self.steps(recipes, given, after):
            if step.image is not None:
                images[step.picture] = (step.image, step.recipe or recipes[step.picture], step.flagged)
            if on_step is not None:
                on_step(step)
        pictures, done, flags = map(list, zip(*(images[i] for i in range(len(recipes))), strict=True))
        notes = [*self.notes(recipes), *after.notes, *after.told(flags, [recipe.watermark for recipe in done])]
        asked = Asked(image, mask, depth, (width, height), resize, area)
        return Result(pictures, done, notes, flags if after.check else None, lambda recipe: self.recorder.record(recipe, asked).text())

    def upscaled(
        self,
        image: Picture,
        prompt: str = "",
        *,
        by: int = 4,
        method: str | None = None,
        noise_level: int | None = None,
        seed: int | None = None,
        upscaler: "Pipeline | None" = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> Result:
        """The picture 2 or 4 times as large: by an upscaling model, this one, `upscaler` or the embedded one, or by another method.

        method: `upscaling.METHODS`; noise_level: what the model takes off the picture. Resampling makes no recipe.
        """
        picture = opened(image)
        tool = self if self.model.variant == "upscaling" else upscaler or self.relative("upscaling")
        how = chosen(method, by, tool is not None)
        if how == "model" and tool is not None:
            result = tool(prompt, image=picture, noise_level=noise_level, seed=seed, watermark=self.watermark, on_step=on_step)
            return dataclasses.replace(result, images=[resampled(made, by / 4) for made in result.images])
        if how == "latent":
            redrawn = partial(self, prompt, image=picture, width=by * picture.width, height=by * picture.height, resize="latent")
            return redrawn(strength=STRENGTH, window=True, seed=seed, on_step=on_step)
        finished = self.afterwards()(resampled(picture, by))
        return Result([finished.picture], [], [] if method else [no_model()])

    def load_lora(self, path: str | Path, name: str | None = None) -> str:
        """Make a LoRA known, to calls (`loras`) and to prompts (<lora:name:0.8>); no weight changes. Returns its name.

        A LoRA in the folder `loras.folder` is known without that. Raises FileError on a file that is none for this model.
        """
        return self.loras.load(path, name).name

    def unload_lora(self, name: str) -> None:
        """Forget a LoRA. Raises KakusanError if there is none of that name."""
        self.loras.unload(name)

    def load_embedding(self, path: str | Path, name: str | None = None) -> str:
        """Teach a word by textual inversion, which prompts then may use. Returns it, the file's name unless another is given.

        A file in the folder `embeddings.folder` is known without that. Raises FileError on a file that is none for this model.
        """
        return self.embeddings.load(path, name).name

    def given(self, asked: Asked) -> tuple[Given, Size]:
        """The pictures a call begins with, as the model takes them, and the width and height of what it will draw.

        That is the picture's own size unless another is asked for, if the model can draw it; for an upscaling model always so.
        """
        factor, usual = self.model.autoencoder.factor, max(self.defaults.width, self.defaults.height)
        return picture_begun(asked, Sizes(factor, factor * self.multiple, usual, self.model.variant == "upscaling"))

    @property
    def own_size(self) -> int:
        """Height and width in pixels of the pictures the U-Net was trained on."""
        return int(self.model.unet.config.sample_size * self.model.autoencoder.factor)

    @property
    def multiple(self) -> int:
        """Latent pixels that one pixel of the U-Net's coarsest level is wide: sizes of which none is left over draw best."""
        return int(2 ** (len(self.model.unet.config.channels) - 1))

    def recipes(
        self,
        prompt: str | Sequence[str],
        count: int = 1,
        seed: int | None = None,
        given: Mapping[str, object] | None = None,
        pictures: Given = NOTHING,
    ) -> list[Recipe]:
        """The complete recipe of every picture a call would make, checked; None values in `given` are the defaults."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        total = count * len(prompts)
        if count < 1 or total > MOST_PICTURES:
            raise KakusanError(
                f"{total} pictures asked for; at least 1 and at most {MOST_PICTURES} in one call",
                f"{total} 枚は描けません。一度に 1 から {MOST_PICTURES} 枚です",
            )
        first = secrets.randbelow(2**32) if seed is None else seed
        options = {k: v for k, v in (given or {}).items() if v is not None}
        by: Translator = options.pop("translator", self.translator)  # type: ignore[assignment]
        if options.get("variation_strength"):
            options.setdefault("variation_seed", secrets.randbelow(2**32))
        options = batched(options, self.defaults.sampler, self.defaults.wording, count)
        asked = mode(self.model, pictures)
        usual = dataclasses.replace(self.defaults, mode=asked, **usually(self.model, asked, options.get("area")))
        base = fitting(dataclasses.replace(usual, **options), self.own_size, "strength" in options)  # type: ignore[arg-type]
        return [
            self.checked(in_english(numbered(dataclasses.replace(base, prompt=text, seed=first), i), by))
            for i, text in enumerate(text for text in prompts for _ in range(count))
        ]

    def steps(self, recipes: Sequence[Recipe], given: Given | Sequence[Given] = NOTHING, after: Afterwards | None = None) -> Iterator[Step]:
        """Draw the pictures of `recipes` together, yielding after every evaluation: `for step in pipe.steps(recipes): ...`.

        given: the pictures they begin with, the same for all, or one for each recipe.
        """
        after = self.afterwards() if after is None else after
        engine = Engine(self.networks, max_rows=self.max_rows)
        each = [given] * len(recipes) if isinstance(given, Given) else given
        tasks = [self.task(recipe, own) for recipe, own in zip(recipes, each, strict=True)]
        jobs = [engine.submit(task, reproducible=self.reproducible) for task in tasks]
        total = sum(self.evaluations(recipe, own) for recipe, own in zip(recipes, each, strict=True))
        return self.watched(engine, jobs, recipes, total, after)

    def watched(self, engine: Engine, jobs: Sequence[Job], recipes: Sequence[Recipe], total: int, after: Afterwards) -> Iterator[Step]:
        """Run the jobs of `recipes` to their ends, wherever they stand, yielding after every evaluation. total: that they will make."""
        seen, settled = [job.calls for job in jobs], set[int]()
        start = sum(seen)
        while len(settled) < len(jobs):
            engine.tick()
            for i, job in enumerate(jobs):
                if i in settled or (job.calls == seen[i] and not job.settled):
                    continue
                seen[i] = job.calls
                image = self.finished(job)
                if image is not None:
                    settled.add(i)
                latent = job.preview if job.last is not None and job.last.model.startswith("unet") else None
                yield _shown(Step(min(sum(seen) - start, total), total, i, latent, image), recipes[i], after)

    def afterwards(self, safety: Safety | Check | None = None, watermark: Watermark | None = None) -> Afterwards:
        """What becomes of finished pictures, for `steps`; None is what the pipeline was made with."""
        chosen = afterwards(self.safety if safety is None else safety, self.checker)
        kind = watermark or self.watermark
        return dataclasses.replace(chosen, mark=marker(kind, self.model.family), expected=kind in ("sd", "robust"))

    def finished(self, job: Job) -> "Image | None":
        """The picture of a job that has ended, None while it goes on. Raises what made it fail."""
        if job.error is not None:
            raise job.error
        return to_pil(job.result) if job.result is not None else None

    def task(self, recipe: Recipe, given: Given = NOTHING) -> Task:
        """The task that draws one recipe, for any engine over `networks`. Raises KakusanError if the model cannot do it."""
        return task(self.model, recipe, given, self.sigmas(recipe), self.vocabulary(recipe))

    def vocabulary(self, recipe: Recipe) -> Vocabulary:
        """The words that a recipe may use."""
        words = self.embeddings.used(recipe.prompt, recipe.negative, recipe.second)
        return Vocabulary(self.model.tokenizer, words, scales(recipe, self.loras))

    @cached_property
    def recorder(self) -> Recorder:
        """Makes the records that are written into pictures (`memory.record`)."""
        return Recorder(self.model.path, str(self.device), str(self.dtype))

    @cached_property
    def networks(self) -> dict[str, Callable[..., Tensor]]:
        """What an engine calls, by name: rows in, rows out, float32 outside whatever the weights' dtype."""
        return self.networks_with(Denoiser(self.model.unet, self.model.schedule))

    def networks_with(self, denoiser: Denoiser) -> dict[str, Callable[..., Tensor]]:
        """The same, with another reading of the U-Net's timesteps."""
        return networks(self.model, denoiser, self.loras)

    def sigmas(self, recipe: Recipe) -> Sigmas:
        """The noise levels of a recipe. "leading", the model's own schedule, ends where the model's own samplers do.

        Like another program's, they are those that strength leaves (`tasks.levels`).
        """
        if recipe.like.levelled:
            return levels_like(recipe, self.model.schedule)
        levels = sigmas_for(self.model.schedule, recipe.schedule, recipe.steps)
        return (*levels[:-1], self.model.schedule.sigma_final) if recipe.schedule == "leading" else levels

    def evaluations(self, recipe: Recipe, given: Given = NOTHING) -> int:
        """How many replies a recipe's task will get: one for each of the sampler's evaluations, and those of the other networks."""
        extra = calls(self.model, recipe, given)
        levels = self.sigmas(recipe)
        again = evaluations(recipe.sampler, second_pass(recipe, levels, self.model.schedule)) if recipe.large.hires else 0
        return extra + again + evaluations(recipe.sampler, begun(recipe, levels)[0])

    def preview(self, latent: Tensor, fast: bool = False) -> "Image":
        """A picture of an unfinished latent (c h w), decoded in full; fast: only its colours, in a thousandth of the time.

        Where a safety checker hides finished pictures, it looks at this one as well.
        """
        if fast:
            picture = self.glimpse(latent)
        else:
            with torch.inference_mode():
                picture = to_pil(self.networks["decode"](latent[None])[0])
        return dataclasses.replace(self.afterwards(), mark=None)(picture).picture

    @cached_property
    def glimpse(self) -> Glimpse:
        """Fast previews, fitted to the autoencoder on first use."""
        return Glimpse(self.networks["encode"], self.model.autoencoder.factor)

    def notes(self, recipes: Sequence[Recipe]) -> list[str]:
        """What a user should know about these recipes: prompts read in several chunks, and words that the model never met."""
        known = Words(self.model.settings.get("words", ()))
        prompts = {(recipe.prompt, recipe.negative, recipe.wording): recipe for recipe in reversed(recipes)}
        notes = [note for each in reversed(prompts.values()) for note in prompt_notes(each, self.vocabulary(each), known)]
        english = [note for recipe in prompts.values() for note in translation_notes(recipe)]
        return list(dict.fromkeys([*self.loras.notes, *english, *notes]))

    def words_unknown(self, prompt: str) -> list[str]:
        """The words of a prompt that a small model was never shown; none for a model that lists no words."""
        return Words(self.model.settings.get("words", ())).unknown(prompt)

    def checked(self, recipe: Recipe) -> Recipe:
        """The recipe with its names in full, once everything in it can be done. Raises KakusanError naming what cannot."""
        recipe = dataclasses.replace(recipe, sampler=samplers.named(recipe.sampler), schedule=schedules.named(recipe.schedule))
        sigmas_for(self.model.schedule, recipe.schedule, recipe.steps)
        self.sigmas(recipe)
        factor = self.model.autoencoder.factor
        for en, ja, value in (("width", "幅", recipe.width), ("height", "高さ", recipe.height)):
            check_size(en, ja, value, factor, factor * self.multiple)
        check(recipe, self.model)
        if not (math.isfinite(recipe.scale) and abs(recipe.scale) <= 1000):
            raise KakusanError(
                f"scale is {recipe.scale}; it must be a number up to 1000", f"scale が {recipe.scale} です。1000 以下の数にしてください"
            )
        if not 0 <= recipe.seed < 2**63:
            raise KakusanError(
                f"seed is {recipe.seed}; it must be from 0 to 2**63 - 1", f"seed が {recipe.seed} です。0 から 2**63 - 1 の間にしてください"
            )
        return settled(recipe, self.loras, self.embeddings)


def _shown(step: Step, recipe: Recipe, after: Afterwards) -> Step:
    """A step whose picture, if it has one, went through what is done afterwards."""
    if step.image is None:
        return step
    done = after(step.image)
    recipe = dataclasses.replace(recipe, safety=done.safety, watermark=done.watermark)
    return step._replace(image=done.picture, flagged=done.flagged, recipe=recipe)
