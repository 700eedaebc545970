"""A judge: a small convolutional network, trained on generator pictures alone, that says what a picture shows.

It never sees the judged model. Each question (object, colour, background, ...) has its own answers and its own chance level.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..data.pictures import PAINTS, Attributes, Pictures, Scene, World, attributes

OWN = "own colour"
HIDDEN = "hidden"


class Judge(nn.Module):
    """Answers every question about pictures (n 3 64 64, -1 to 1).

    questions: the possible answers of each question, in the order of its logits.
    """

    def __init__(self, questions: Mapping[str, Sequence[str]]):
        super().__init__()
        self.questions = {name: tuple(answers) for name, answers in questions.items()}
        widths = (3, 16, 32, 64, 128)
        self.body = nn.Sequential(*(_halving(a, b) for a, b in pairwise(widths)), nn.Flatten())  # n 128*4*4
        self.heads = nn.ModuleDict({name: nn.Linear(128 * 16, len(answers)) for name, answers in self.questions.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Logits (n answers) of every question."""
        seen = self.body(pictures)
        return {name: head(seen) for name, head in self.heads.items()}

    def answers(self, pictures: Tensor) -> dict[str, list[str]]:
        """The likeliest answer to every question, for each picture; pictures of other sizes are resized."""
        pictures = F.interpolate(pictures, size=(64, 64), mode="area") if pictures.shape[-1] != 64 else pictures
        self.eval()
        with torch.inference_mode():
            logits = self(pictures)
        return {name: [self.questions[name][i] for i in logits[name].argmax(1).tolist()] for name in self.questions}


def questions_of(world: World) -> dict[str, tuple[str, ...]]:
    """What can be asked about pictures of a world: its things, the colours they are painted in, what is behind them."""
    return {"object": tuple(world.concepts), "colour": (OWN, *PAINTS), "background": tuple(world.colours)}


def truth(scenes: Sequence[Scene]) -> dict[str, list[str]]:
    """The right answers for generator scenes."""
    facts = [attributes(scene) for scene in scenes]
    return {
        "object": [fact.concepts[0] for fact in facts],
        "colour": [painted(fact) for fact in facts],
        "background": [fact.background or HIDDEN for fact in facts],
    }


def painted(facts: Attributes) -> str:
    """The colour that the first thing is painted in, or OWN."""
    return facts.colours[0] or OWN


def train_judge(
    pictures: Pictures, world: World, steps: int, on_step: Callable[[int, float], None] | None = None, batch: int = 96, first: int = 0
) -> Judge:
    """Trains on pictures first, first + 1, ... of a stream, slightly blurred, shifted in brightness and noisy at random,
    so that it judges what is shown and not how cleanly it was rendered."""
    torch.manual_seed(0)
    judge = Judge(questions_of(world))
    number = {name: {answer: i for i, answer in enumerate(answers)} for name, answers in judge.questions.items()}
    adam = torch.optim.AdamW(judge.parameters(), 1e-3, weight_decay=0.05)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 50, 2 * (steps - step) / steps)
        scenes = [pictures.spec(first + step * batch + i) for i in range(batch)]
        logits = judge(worn(pictures.render(scenes, 64).image, generator))
        right = truth(scenes)
        losses = [
            F.cross_entropy(logits[name], torch.tensor([number[name][answer] for answer in answers])) for name, answers in right.items()
        ]
        loss = torch.stack(losses).sum()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        if on_step is not None:
            on_step(step + 1, loss.item())
    judge.eval()
    return judge


def worn(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures as a generative model might return them: half of them blurred, some noise, a little lighter or darker."""
    n = len(pictures)
    blurred = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    pictures = torch.where(torch.rand(n, 1, 1, 1, generator=generator) < 0.5, blurred, pictures)
    noise = 0.08 * torch.rand(n, 1, 1, 1, generator=generator) * torch.randn(pictures.shape, generator=generator)
    shift = 0.06 * torch.randn(n, 3, 1, 1, generator=generator)
    return (pictures + noise + shift).clamp(-1, 1).contiguous(memory_format=torch.channels_last)


def save_judge(judge: Judge, path: Path) -> None:
    """One safetensors file; its metadata hold the questions."""
    save_file({k: v.contiguous() for k, v in judge.state_dict().items()}, path, metadata={"questions": json.dumps(judge.questions)})


def load_judge(path: Path) -> Judge:
    """A judge from its file."""
    with safe_open(path, framework="pt") as file:
        judge = Judge(json.loads(file.metadata()["questions"]))
        judge.load_state_dict({k: file.get_tensor(k) for k in file.keys()})  # noqa: SIM118
    judge.eval()
    return judge


def _halving(a: int, b: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(8, b), nn.SiLU(), nn.Conv2d(b, b, 3, padding=1), nn.SiLU())
