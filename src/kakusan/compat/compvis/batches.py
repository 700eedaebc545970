"""What both scripts do once they know the model: batch after batch of pictures, with one stream of noise for all.

n images, c channels, h w height and width of a latent.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from ...engine import Engine, Job
from ...errors import FileError, KakusanError
from ...messages import tr
from ...pipeline import Pipeline, Step
from ...samplers.count import evaluations
from ...tasks.conditions import of_tokens
from ...tasks.drawing import Drawing, drawn
from ...tasks.prompt_notes import unknown
from .denoiser import LogAlphaDenoiser
from .levels import Walk
from .noise import BatchNoise, Stream
from .pictures import truncated


@dataclass(frozen=True)
class Batches:
    """A script's whole run: `prompts` of each batch, all batches `n_iter` times. start: x (n c h w) of the next batch."""

    pipe: Pipeline
    prompts: tuple[tuple[str, ...], ...]
    n_iter: int
    walk: Walk
    scale: float
    stream: Stream
    start: Callable[[], Tensor]

    @property
    def pictures(self) -> int:
        """How many there will be."""
        return self.n_iter * sum(map(len, self.prompts))

    def steps(self) -> Iterator[Step]:
        """Draw: a step for every call of a network, then one for each picture of the batch, in order."""
        networks = self._networks()
        each = 2 + evaluations(self.walk.sampler, self.walk.sigmas)
        first = 0
        for prompts in self.prompts * self.n_iter:
            noise, x = BatchNoise(self.stream), self.start()
            engine = Engine(networks, max_rows=self.pipe.max_rows)
            tasks = [drawn(x[i], self._drawing(prompt), noise.of(i)) for i, prompt in enumerate(prompts)]
            jobs = [engine.submit(task, record=False) for task in tasks]
            while engine.tick():
                yield Step(first * each + sum(job.calls for job in jobs), self.pictures * each, first)
            pictures = [truncated(_result(job)) for job in jobs]
            first += len(jobs)
            for i, picture in enumerate(pictures, first - len(jobs)):
                yield Step(first * each, self.pictures * each, i, image=picture)
            noise.finish(self.walk.draws)

    def notes(self) -> list[str]:
        """Words that the model was never shown, and prompts that are cut, as the scripts cut them."""
        known = dict.fromkeys(prompt for batch in self.prompts for prompt in batch)
        words = dict.fromkeys(word for prompt in known for word in self.pipe.words_unknown(prompt))
        notes = [unknown(words)] if words else []
        room = self.pipe.model.tokenizer.length - 2
        for prompt in known:
            if (count := len(self.pipe.model.tokenizer.encode(prompt))) > room:
                en = f"only the first {room} of {count} tokens are read, as by the original script; kakusan draw reads all: {prompt[:40]}"
                ja = f"元のスクリプトと同じく {count} トークンのうち最初の {room} だけを読みます。kakusan draw は全部です: {prompt[:40]}"
                notes.append(tr(en, ja))
        return notes

    def _networks(self) -> dict[str, Callable[..., Tensor]]:
        if self.walk.sampler != "dpmpp_2m":
            return self.pipe.networks
        return self.pipe.networks_with(LogAlphaDenoiser(self.pipe.model.unet, self.pipe.model.schedule))

    def _drawing(self, prompt: str) -> Drawing:
        padded = self.pipe.model.tokenizer.padded
        return Drawing(of_tokens(padded(prompt), padded("")), self.walk.sampler, self.walk.sigmas, self.scale, self.walk.options)


def prompts(args: Namespace) -> tuple[tuple[str, ...], ...]:
    """The batches of one iteration: --n_samples times the prompt, or the file's lines in batches of that size."""
    for name in ("n_iter", "n_samples", "repeat"):
        if (value := getattr(args, name)) < 1:
            raise KakusanError(f"--{name} is {value}; it must be at least 1", f"--{name} が {value} です。1 以上にしてください")
    if args.from_file is None:
        return ((args.prompt,) * args.n_samples,)
    try:
        lines = args.from_file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"{args.from_file}: cannot be read as UTF-8 text; check the path",
            f"{args.from_file}: UTF-8 のテキストとして読めません。パスを確かめてください",
        ) from error
    if not lines:
        raise KakusanError(
            f"{args.from_file}: holds no prompts; write one a line", f"{args.from_file}: プロンプトがありません。1 行に 1 つ書いてください"
        )
    words = [line for line in lines for _ in range(args.repeat)]
    return tuple(tuple(words[i : i + args.n_samples]) for i in range(0, len(words), args.n_samples))


def latent_shape(pipe: Pipeline, args: Namespace, width: int, height: int) -> tuple[int, int, int, int]:
    """Of a batch of latents (n c h w) for pictures of that size. Raises KakusanError if --C or --f cannot be this model's."""
    channels = pipe.model.autoencoder.config.latent_channels
    if args.C not in (None, channels):
        raise KakusanError(
            f"--C is {args.C}; this model's latents have {channels} channels",
            f"--C が {args.C} です。このモデルの潜在チャンネル数は {channels} です",
        )
    factor = pipe.model.autoencoder.factor if args.f is None else args.f
    if not 0 < factor <= min(width, height):
        raise KakusanError(
            f"--f is {factor}; this model's is {pipe.model.autoencoder.factor}",
            f"--f が {factor} です。このモデルの値は {pipe.model.autoencoder.factor} です",
        )
    return args.n_samples, channels, height // factor, width // factor


def _result(job: Job) -> Tensor:
    if job.result is None:
        raise job.error or RuntimeError("a task ended without a picture")
    return job.result
