"""The training loop every network shares: AdamW, schedule, clipping, EMA, checkpoints, exact resume, and a way back from NaN.

Everything random in step k comes from a generator seeded by (seed, k), so the state of a run is its tensors and the number
k: killed at any moment and started again, it makes the same weights, bit for bit, as if it had never stopped.
"""

import copy
import ctypes
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..errors import FileError, KakusanError
from . import checkpoint
from .log import Log, Progress
from .settings import Optimiser

M = TypeVar("M", bound=nn.Module)


class Trainee(Protocol[M]):
    """What is trained: a module, and its loss at one step."""

    name: str
    module: M

    def loss(self, batch: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss (a scalar with gradients) of one batch, and figures for the log; all randomness from `generator`.

        The batch lies on the generator's device; nothing may wait for that device (no `.item()`).
        """
        ...

    def sheet(self, module: M, folder: Path, step: int) -> dict[str, float]:
        """Look at `module` (the EMA weights): save pictures into `folder`, return figures for the log."""
        ...


@dataclass
class Clock:
    """Where a run is: steps made, seconds spent over all its sessions, and where the fall of the rate begins and ends."""

    step: int = 0
    seconds: float = 0.0
    fall_from: int = 0
    fall_to: int = 0
    salt: int = 0  # counts returns from NaN, so that the steps after one draw other numbers
    born: int = 0  # the step at which AdamW's moments began, and the warm-up with them


ROLLBACKS = 3
LAST = ("conv2", "attn.proj_out", "attn.to_out")  # what ends a residual branch, by our names


def fit(
    trainee: Trainee[M],
    settings: Optimiser,
    folder: Path,
    *,
    minutes: float | None = None,
    device: str = "cpu",
    stop_after: float | None = None,
    start: Path | None = None,
) -> tuple[M, bool]:
    """Train until `settings.steps`, or for `minutes` in all; resumes from `folder`. Returns the EMA module, and whether it is complete.

    minutes: the run's whole length, over all its sessions, instead of `steps`; stop_after: minutes of this session, after
    which it saves and returns, to be resumed later; start: another run's folder, whose averaged weights a new run begins with.
    Raises KakusanError when the loss is not a number after three returns to the last checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keep_memory()
    run = Run(trainee, settings, device)
    if not run.restore(folder):
        if start is not None:
            run.begin_with(start)
        run.save(folder)
    if run.finished():
        return run.ema, True
    log, progress, clock = Log(folder), Progress(trainee.name), run.clock
    log.forget_after(clock.step)
    started = time.monotonic()
    while not run.finished():
        plan_fall(clock, settings, minutes)
        began, looking = time.monotonic(), run.looks()
        tensors = run.step(looking)
        if tensors is None:
            run.roll_back(folder)
            continue
        clock.seconds += time.monotonic() - began
        if not looking:
            continue
        figures = {name: value.item() for name, value in tensors.items()}
        if clock.step % settings.log_every == 0:
            log.write(clock.step, figures | {"seconds": clock.seconds})
        shown = {"loss": figures["mean_loss"], **_without(figures, "loss", "mean_loss")}
        progress.show(clock.step, clock.fall_to or None, seconds_left(clock, minutes), shown)
        if clock.step % settings.sheet_every == 0:
            log.write(clock.step, trainee.sheet(run.ema, folder, clock.step))
        if clock.step % settings.save_every == 0:
            run.save(folder)
        if stop_after is not None and time.monotonic() - started > 60 * stop_after:
            break
    progress.close()
    run.save(folder)
    return run.ema, run.finished()


class Run(Generic[M]):
    """The tensors of a run: weights, their moving average, and AdamW's moments."""

    def __init__(self, trainee: Trainee[M], settings: Optimiser, device: str):
        self.trainee: Trainee[M] = trainee
        self.settings, self.device = settings, device
        self.module: M = trainee.module.to(device).train()
        self.ema: M = copy.deepcopy(self.module).eval().requires_grad_(False)
        decay: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for parameter in self.module.parameters():
            (decay if parameter.ndim > 1 else plain).append(parameter)
        groups = [{"params": decay, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.adam = torch.optim.AdamW(groups, settings.rate, betas=settings.betas, fused=True)
        self.clock = Clock(fall_from=_fall_from(settings, settings.steps), fall_to=settings.steps)
        self.sound = torch.tensor(True, device=device)  # whether all numbers were finite since the last look
        self.mean: Tensor | None = None
        if settings.compile and device.startswith("cuda"):
            self.module.compile()

    def finished(self) -> bool:
        """Whether the last step, as far as it is settled, has been made."""
        return 0 < self.clock.fall_to <= self.clock.step

    def looks(self) -> bool:
        """Whether the next step's numbers are looked at: on a CPU always; elsewhere that means to wait for the device.

        They always are before anything is saved, so that a checkpoint never holds what came after a NaN.
        """
        step, settings = self.clock.step + 1, self.settings
        due = any(step % every == 0 for every in (settings.log_every, settings.save_every, settings.sheet_every))
        return due or self.device == "cpu" or step >= self.clock.fall_to

    def step(self, looking: bool) -> dict[str, Tensor] | None:
        """One step and its figures; None, when it is looked at, if its numbers or those of a step since the last look are not finite."""
        clock, settings = self.clock, self.settings
        for group in self.adam.param_groups:
            group["lr"] = settings.rate * rate(clock, settings)
        generator = torch.Generator(self.device).manual_seed((settings.seed * 1_000_003 + clock.salt) * 1_000_000_007 + clock.step)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.startswith("cuda")):
            loss, figures = self.trainee.loss(settings.batch, generator)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), settings.clip)
        loss = loss.detach()
        self.sound = self.sound & torch.isfinite(loss) & torch.isfinite(norm)
        if looking and not self.sound:
            return None
        self.adam.step()
        clock.step += 1
        self._average()
        self.mean = loss if self.mean is None else torch.lerp(self.mean, loss, 0.02)
        return {"loss": loss, "grad": norm, **figures, "mean_loss": self.mean}

    def _average(self) -> None:
        """Move the EMA, faster at the start (a decay that grows as in the reference trainers: (1 + k) / (10 + k))."""
        decay = min(self.settings.ema, (1 + self.clock.step) / (10 + self.clock.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), [p.detach() for p in self.module.parameters()], 1 - decay)
            for kept, fresh in zip(self.ema.buffers(), self.module.buffers(), strict=True):
                kept.copy_(fresh)

    def save(self, folder: Path) -> None:
        """Write the whole state."""
        tensors = {f"weights.{k}": v for k, v in self.module.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.state_dict().items()}
        for number, state in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{k}": torch.as_tensor(v) for k, v in state.items()}
        checkpoint.save(folder, tensors, vars(self.clock))

    def restore(self, folder: Path) -> bool:
        """Take up the state that `save` wrote; False where there is none."""
        found = checkpoint.load(folder)
        if found is None:
            return False
        tensors, facts = found
        self.module.load_state_dict(_under("weights.", tensors) or _under("ema.", tensors))
        self.ema.load_state_dict(_under("ema.", tensors))
        state: dict[int, dict[str, Any]] = {}
        for key, value in _under("adam.", tensors).items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = value
        self.adam.load_state_dict({**self.adam.state_dict(), "state": state})
        for parameter, moments in self.adam.state.items():  # in the weights' own order in memory, which the fused step relies on
            moments |= {k: torch.empty_like(parameter).copy_(v) for k, v in moments.items() if v.shape == parameter.shape}
        salt = self.clock.salt
        self.clock.__dict__.update(facts)
        if not state:  # a checkpoint made small: its moments begin anew
            self.clock.born = self.clock.step
        self.clock.salt = max(salt, self.clock.salt)
        return True

    def begin_with(self, folder: Path) -> None:
        """Take the averaged weights of another run, and nothing else of it. Raises FileError if there is none."""
        found = checkpoint.load(folder)
        if found is None:
            raise FileError(
                f"{folder}: no checkpoint to begin with; train that run first", f"{folder}: 出発点のチェックポイントがありません"
            )
        for module in (self.module, self.ema):
            module.load_state_dict(_under("ema.", found[0]))

    def roll_back(self, folder: Path) -> None:
        """Return to the last checkpoint and draw other numbers from there on."""
        self.clock.salt += 1
        step, self.mean = self.clock.step, None
        self.sound = torch.ones_like(self.sound)
        if self.clock.salt > ROLLBACKS or not self.restore(folder):
            raise KakusanError(
                f"{self.trainee.name}: the loss is not a number at step {step}, after {self.clock.salt - 1} returns to the last "
                f"checkpoint; lower the learning rate ({self.settings.rate})",
                f"{self.trainee.name}: ステップ {step} で損失が数値になりません(チェックポイントへ {self.clock.salt - 1} 回戻りました)。"
                f"学習率 ({self.settings.rate}) を下げてください",
            )


def rate(clock: Clock, settings: Optimiser) -> float:
    """The learning rate at this step, as a share of the highest."""
    warm = min(1.0, (clock.step - clock.born + 1) / max(1, settings.warmup))
    if settings.schedule == "cosine":
        return warm * (0.5 + 0.5 * math.cos(math.pi * min(1.0, clock.step / max(1, clock.fall_to))))
    if clock.fall_to == 0 or clock.step < clock.fall_from:
        return warm
    return warm * (1 - (clock.step - clock.fall_from) / max(1, clock.fall_to - clock.fall_from))


def plan_fall(clock: Clock, settings: Optimiser, minutes: float | None) -> None:
    """Under a limit of minutes: estimate the last step from the pace so far, until the fall begins; then it is settled."""
    if minutes is None or (settings.schedule == "constant" and clock.fall_to and clock.step > clock.fall_from):
        return
    if clock.step < 10:
        clock.fall_from, clock.fall_to = 1_000_000_000, 1_000_000_001
        return
    clock.fall_to = max(clock.step + 1, int(clock.step * 60 * minutes / max(clock.seconds, 1e-9)))
    clock.fall_from = _fall_from(settings, clock.fall_to)


def _fall_from(settings: Optimiser, steps: int) -> int:
    return int(steps * (1 - settings.cooldown))


def seconds_left(clock: Clock, minutes: float | None) -> float:
    """Seconds until the last step, at the pace so far."""
    if minutes is not None and clock.step < 10:
        return 60 * minutes - clock.seconds
    return (clock.fall_to - clock.step) * clock.seconds / max(1, clock.step)


def still(module: nn.Module) -> None:
    """Start every residual branch at zero: the network begins as a shallow, nearly linear one and learns from the first step.

    As in the code of Ho et al. 2020 and Dhariwal & Nichol 2021, who start the last convolution of each block at zero.
    """
    for name, part in module.named_modules():
        if name.endswith(LAST) and isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.zeros_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def channels_last(module: M) -> M:
    """The module with its convolutions' weights in the order that CPUs and tensor cores like best."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def keep_memory() -> None:
    """Tell glibc to keep freed memory: without it each step maps and zeroes its activations anew (31 -> 41 samples/s measured)."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(ctypes.c_int(-3), ctypes.c_int(1 << 30))  # M_MMAP_THRESHOLD
        libc.mallopt(ctypes.c_int(-1), ctypes.c_int((1 << 31) - 1))  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        pass  # another C library: nothing to tell


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _without(figures: dict[str, float], *names: str) -> dict[str, float]:
    return {k: v for k, v in figures.items() if k not in names}
