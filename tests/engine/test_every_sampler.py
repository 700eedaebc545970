"""All samplers at once in one engine, guided: each as the one-request driver has it, and rebuilt from its replies bit for bit."""

import torch
from toy_tasks import Networks

from kakusan.engine import Engine, replay
from kakusan.guidance import guided, of_unet
from kakusan.noise import SeededNoise
from kakusan.run import run
from kakusan.samplers import SAMPLERS, sample
from kakusan.types import Cond, Task

SIGMAS = (10.0, 5.0, 2.0, 0.7, 0.2, 0.0)


def task(name: str) -> Task:
    generator = torch.Generator().manual_seed(len(name))
    x = 10 * torch.randn(1, 4, 8, 8, generator=generator)
    cond, uncond = (Cond(torch.randn(1, 8, generator=generator)) for _ in range(2))
    return of_unet(guided(sample(name, x, SIGMAS, SeededNoise(3)), cond, uncond, 2.0))


def test_every_sampler_in_shared_calls() -> None:
    alone = Networks()
    expected = {name: run(task(name), alone) for name in SAMPLERS}
    together = Networks()
    engine = Engine(together, max_rows=64, buckets=(8, 64))
    jobs = {name: engine.submit(task(name)) for name in SAMPLERS}
    engine.run()
    for name, job in jobs.items():
        assert job.error is None
        assert torch.isfinite(expected[name]).all()
        torch.testing.assert_close(job.result, expected[name], rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
    assert len(together.calls) < len(alone.calls) / 4


def test_every_sampler_goes_on_from_its_replies() -> None:
    for name in SAMPLERS:
        engine = Engine(Networks())
        job = engine.submit(task(name))
        engine.run()
        again = engine.add(replay(lambda name=name: task(name), job.replies[: job.calls // 2]))  # type: ignore[misc]
        engine.run()
        assert again.result is not None
        assert job.result is not None
        assert torch.equal(again.result, job.result), name
