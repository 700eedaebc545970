"""The training loop: exact resume, the way back from NaN, schedules, clipping and the moving average."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from kakusan.errors import FileError, KakusanError
from kakusan.training import checkpoint
from kakusan.training.loop import Clock, fit, plan_fall, rate
from kakusan.training.settings import CONFIGS, Optimiser, Recipe, build, read_recipe

SETTINGS = Optimiser(steps=40, batch=8, rate=1e-2, warmup=5, save_every=7, log_every=1, sheet_every=1000, ema=0.9)


class Line:
    """Learns y = W x from noisy draws, all of them from the step's generator."""

    name = "line"

    def __init__(self, poison: frozenset[int] = frozenset(), slow: float = 0.0):
        torch.manual_seed(0)
        self.module: nn.Module = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 3))
        self.poison, self.slow, self.calls = poison, slow, 0
        self.target = torch.linspace(-1, 1, 18).view(3, 6)

    def loss(self, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        x = torch.randn(batch, 6, generator=generator)
        time.sleep(self.slow)
        self.calls += 1
        loss = ((self.module(x) - x @ self.target.T) ** 2).mean()
        return (loss * math.nan if self.calls in self.poison else loss), {}

    def sheet(self, module: nn.Module, folder: Path, step: int) -> dict[str, float]:
        return {"weight": next(module.parameters()).sum().item()}


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / checkpoint.NAME)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_learns(tmp_path: Path) -> None:
    line = Line()
    first = line.loss(256, torch.Generator().manual_seed(1))[0].item()
    module, complete = fit(line, replace(SETTINGS, steps=400), tmp_path)
    assert complete
    line.module = module
    assert line.loss(256, torch.Generator().manual_seed(1))[0].item() < 0.1 * first


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_stopped_and_resumed_equals_never_stopped(tmp_path: Path, schedule: str) -> None:
    settings = replace(SETTINGS, schedule=schedule)
    fit(Line(), settings, tmp_path / "whole")
    sessions = 0
    while not fit(Line(), settings, tmp_path / "parts", stop_after=0.0)[1]:
        sessions += 1
    assert sessions > 10
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


KILLED = """
import sys; sys.path[:0] = {path!r}
from pathlib import Path
from training.test_loop import Line, SETTINGS
from kakusan.training.loop import fit
fit(Line(slow=0.02), SETTINGS, Path({folder!r}))
"""


def test_killed_at_any_moment_and_resumed_equals_never_killed(tmp_path: Path) -> None:
    fit(Line(), SETTINGS, tmp_path / "whole")
    folder = tmp_path / "killed"
    code = KILLED.format(path=[str(Path(__file__).parents[1])], folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not (folder / "log.csv").exists() or (folder / "log.csv").read_text().count("\n") < 60):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = checkpoint.load(folder)
    assert found is not None
    assert 0 < found[1]["step"] < SETTINGS.steps
    fit(Line(), SETTINGS, folder)
    assert same(weights(tmp_path / "whole"), weights(folder))
    steps = [int(line.split(",")[0]) for line in (folder / "log.csv").read_text().splitlines()[1:] if ",loss," in line]
    assert steps == list(range(1, SETTINGS.steps + 1)), "every step is logged once"


def test_nan_returns_to_the_checkpoint_and_goes_on(tmp_path: Path) -> None:
    line = Line(poison=frozenset({20}))
    module, complete = fit(line, SETTINGS, tmp_path)
    assert complete
    assert all(torch.isfinite(p).all() for p in module.parameters())
    assert line.calls == SETTINGS.steps + 20 - 14, "step 20 failed; the run went on from the checkpoint of step 14"
    assert checkpoint.load(tmp_path)[1]["salt"] == 1  # type: ignore[index]


def test_nan_that_stays_stops_the_run_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(KakusanError, match=r"line: the loss is not a number at step 14, after 3 returns.*learning rate") as caught:
        fit(Line(poison=frozenset(range(15, 1000))), SETTINGS, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    fit(Line(), SETTINGS, tmp_path)
    good = (tmp_path / (checkpoint.NAME + ".old")).read_bytes()
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:100])
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found[1]["step"] < SETTINGS.steps
    (tmp_path / (checkpoint.NAME + ".old")).write_bytes(good[: len(good) // 2])
    with pytest.raises(FileError, match=r"checkpoint\.safetensors"):
        checkpoint.load(tmp_path)


def test_the_rate_warms_up_stays_and_falls_to_nothing() -> None:
    clock = Clock(fall_from=80, fall_to=100)
    settings = Optimiser(steps=100, warmup=10, cooldown=0.2)
    clock.step = 0
    assert rate(clock, settings) == pytest.approx(0.1)
    clock.step = 50
    assert rate(clock, settings) == 1
    clock.step = 90
    assert rate(clock, settings) == pytest.approx(0.5)
    clock.step = 100
    assert rate(clock, settings) == 0
    assert rate(Clock(step=50, fall_to=100), replace(settings, schedule="cosine")) == pytest.approx(0.5)


def test_minutes_settle_the_last_step_by_the_pace() -> None:
    settings = Optimiser(cooldown=0.25)
    clock = Clock(step=100, seconds=60.0, fall_from=10**9, fall_to=10**9 + 1)
    plan_fall(clock, settings, minutes=10)
    assert (clock.fall_from, clock.fall_to) == (750, 1000)
    clock.step, clock.seconds = 751, 900.0  # slower than thought: a fall that has begun is not moved
    plan_fall(clock, settings, minutes=10)
    assert clock.fall_to == 1000


def test_every_recipe_that_ships_can_be_read_and_a_wrong_key_is_named() -> None:
    names = [path.stem for path in CONFIGS.glob("*.toml")]
    assert "embedded-cpu" in names
    for name in names:
        assert isinstance(read_recipe(name), Recipe)
    with pytest.raises(KakusanError, match=r"here: diffusion: unknown setting 'chanels'; known: channels"):
        build(Recipe, {"diffusion": {"chanels": [1]}}, "here")
    with pytest.raises(FileError, match=r"no such settings; the ones that ship are .*embedded-cpu"):
        read_recipe("nothing-like-it")


def test_a_run_may_begin_with_anothers_averaged_weights(tmp_path: Path) -> None:
    first, _ = fit(Line(), replace(SETTINGS, steps=5), tmp_path / "first")
    second, _ = fit(Line(), replace(SETTINGS, steps=1, rate=0.0, warmup=0), tmp_path / "second", start=tmp_path / "first")
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
    _, complete = fit(Line(), replace(SETTINGS, steps=1, rate=0.0), tmp_path / "second", start=tmp_path / "nowhere")
    assert complete, "what is resumed does not begin anew"
    with pytest.raises(FileError, match="nowhere"):
        fit(Line(), SETTINGS, tmp_path / "third", start=tmp_path / "nowhere")
