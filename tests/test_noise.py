"""Random streams: known answers, independence from batch and order, Brownian increments that add up."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kakusan.errors import KakusanError
from kakusan.noise import BrownianNoise, PhiloxStream, SeededNoise, box_muller, philox

SHAPE = (3, 4, 8, 8)
LIKE = torch.empty(SHAPE)
level = st.floats(0.03, 15).map(lambda x: round(x, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cpu_stream_is_torchs(dtype):
    generator = torch.Generator().manual_seed(7)
    noise = SeededNoise(7, dtype)
    for _ in range(2):
        assert torch.equal(noise(LIKE.to(dtype), 2.0, 1.0), torch.randn(SHAPE, generator=generator, dtype=dtype))


@pytest.mark.parametrize("source", ["cpu", "nv"])
def test_an_image_has_the_same_noise_in_any_batch(source):
    together = SeededNoise([5, 6, 7], source=source)
    alone = [SeededNoise(seed, source=source) for seed in (5, 6, 7)]
    for _ in range(3):
        batch = together(LIKE, 2.0, 1.0)
        assert torch.equal(batch, torch.cat([noise(LIKE[:1], 2.0, 1.0) for noise in alone]))
    assert not torch.equal(batch[0], batch[1])


@pytest.mark.parametrize("source", ["cpu", "nv"])
def test_dtype_of_the_latent_does_not_change_the_stream(source):
    half = SeededNoise(3, source=source)(LIKE.half(), 1, 0)
    assert half.dtype == torch.float16
    assert torch.equal(half, SeededNoise(3, source=source)(LIKE, 1, 0).half())


@pytest.mark.parametrize("source", ["cpu", "nv"])
def test_state_and_fork_go_on_from_the_same_place(source):
    noise = SeededNoise([1, 2, 3], source=source)
    noise.randn(SHAPE)
    state, fork = noise.state(), noise.fork()
    after = [noise.randn(SHAPE) for _ in range(2)]
    again = SeededNoise([1, 2, 3], source=source)
    again.restore(state)
    for expected in after:
        assert torch.equal(again.randn(SHAPE), expected)
        assert torch.equal(fork.randn(SHAPE), expected)


def test_bad_seeds_are_named():
    for seed in (-1, 2**64, [1, -5]):
        with pytest.raises(KakusanError, match="it must be from 0"):
            SeededNoise(seed)
    with pytest.raises(KakusanError, match="noise source is 'gpu'"):
        SeededNoise(1, source="gpu")
    with pytest.raises(ValueError, match="2 seeds for a shape of 3 images"):
        SeededNoise([1, 2]).randn(SHAPE)
    with pytest.raises(ValueError, match="no seed"):
        SeededNoise([])


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_known_answers(counter, key, answer):
    """The philox4x32-10 vectors of the Random123 distribution."""
    words = np.array([[int(w, 16)] for w in counter.split()], np.uint64)
    k0, k1 = (int(w, 16) for w in key.split())
    assert [f"{w:08x}" for w in philox(words, (k0, k1))[:, 0].tolist()] == answer.split()


def test_nv_stream_is_what_torch_draws_on_cuda():
    """torch.manual_seed(0); torch.randn(3, 4, device="cuda"), as published with the `NV` generator of the AUTOMATIC1111 web UI."""
    published = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564]
    published += [-0.62285122, -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497]
    np.testing.assert_allclose(PhiloxStream(0).randn((3, 4)).flatten(), published, rtol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("seed", [0, 42, 2**40 + 3])
def test_nv_stream_beside_a_cuda_device(seed):
    generator = torch.Generator("cuda").manual_seed(seed)
    stream = PhiloxStream(seed)
    for _ in range(3):
        theirs = torch.randn((1, 4, 64, 64), device="cuda", generator=generator).cpu()
        np.testing.assert_allclose(stream.randn((1, 4, 64, 64)), theirs, atol=2e-6)


def test_box_muller_is_standard_normal_and_finite():
    numbers = PhiloxStream(11).randn((200_000,)).double()
    assert numbers.mean().abs() < 0.01
    assert (numbers.std() - 1).abs() < 0.01
    assert (numbers.pow(4).mean() - 3).abs() < 0.1
    ends = np.array([0, 2**32 - 1], np.uint64)
    assert np.isfinite(box_muller(ends, ends)).all()


@given(st.tuples(level, level, level).filter(lambda abc: len(set(abc)) == 3), st.integers(0, 2**64 - 1))
@settings(deadline=None, max_examples=40)
def test_brownian_increments_add_up(abc, seed):
    a, b, c = abc
    path = BrownianNoise(seed)
    shape = (1, 4, 4, 4)
    torch.testing.assert_close(path.increment(shape, a, c), path.increment(shape, a, b) + path.increment(shape, b, c), rtol=0, atol=1e-6)
    assert torch.equal(path.increment(shape, a, b), -path.increment(shape, b, a))


def test_brownian_noise_does_not_depend_on_what_was_asked_before():
    levels = [14.6, 7.0, 3.0, 1.0, 0.3, 0.03, 0.0]
    steps = list(itertools.pairwise(levels))
    forward, backward = BrownianNoise(9), BrownianNoise(9)
    ahead = [forward(LIKE, *step) for step in steps]
    back = [backward(LIKE, *step) for step in reversed(steps)]
    assert all(torch.equal(x, y) for x, y in zip(ahead, reversed(back), strict=True))
    batch = BrownianNoise([8, 9, 10])(LIKE, 2.0, 1.0)
    assert torch.equal(batch[1:2], BrownianNoise(9)(LIKE[:1], 2.0, 1.0))


@pytest.mark.parametrize("pair", [(14.6, 10.0), (1.0, 0.9), (0.1, 0.03), (0.03, 0.0), (4096.0, 200.0), (2.0, 1.99)])
def test_brownian_noise_is_standard_normal(pair):
    numbers = BrownianNoise(4)(torch.empty(1, 4, 64, 64), *pair).double()
    assert numbers.mean().abs() < 0.03
    assert (numbers.std() - 1).abs() < 0.02
    assert (numbers.pow(4).mean() - 3).abs() < 0.25


def test_neighbouring_brownian_steps_are_independent():
    path, like = BrownianNoise(4), torch.empty(1, 4, 64, 64)
    steps = torch.stack([path(like, a, b).flatten() for a, b in ((8.0, 4.0), (4.0, 2.0), (2.0, 1.0), (1.0, 0.2))])
    assert (torch.corrcoef(steps) - torch.eye(4)).abs().max() < 0.03


def test_no_brownian_noise_over_no_time():
    with pytest.raises(ValueError, match=r"sigma_from=1.0, sigma_to=1.0"):
        BrownianNoise(1)(LIKE, 1.0, 1.0)
