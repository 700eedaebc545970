"""The denoiser against diffusers' conversions, k-diffusion's quantisation and networks whose answer is known."""

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from kakusan.denoiser import Denoiser
from kakusan.models.unet import UNet, UNetConfig
from kakusan.schedules import PREDICTIONS, NoiseSchedule

CONTEXT = torch.zeros(2, 3, 5)
SD = NoiseSchedule()


class Net(nn.Module):
    """Remembers what it was given."""

    def __init__(self, dtype: torch.dtype = torch.float32):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(4, 4, 3, padding=1, dtype=dtype)

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        self.given = x, t, context
        return self.conv(x) + torch.sin(t / 300).to(x.dtype)[:, None, None, None]


def perfect(x0: Tensor, schedule: NoiseSchedule):
    """The network that knows x0 and answers in the schedule's own terms, from its timestep alone."""

    def unet(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        s = torch.tensor([schedule.sigma_of(v) for v in t.tolist()], dtype=x.dtype)[:, None, None, None]
        a, b = (1 + s**2).rsqrt(), s * (1 + s**2).rsqrt()  # x = a x0 + b noise
        noise = (x - a * x0) / b
        return {"epsilon": noise, "v_prediction": a * noise - b * x0, "sample": x0}[schedule.prediction]

    return unet


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_conversions_are_diffusers(prediction):
    schedule, net = NoiseSchedule(prediction=prediction), Net(torch.float64)
    ddim = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction, clip_sample=False
    )
    ddim.alphas_cumprod = torch.tensor(schedule.alphas_cumprod(), dtype=torch.float64)
    ddim.set_timesteps(1000)
    denoiser = Denoiser(net, schedule)
    for t in (0, 1, 250, 500, 998, 999):
        latent = torch.randn(2, 4, 8, 8, dtype=torch.float64)  # of unit variance, as diffusers keeps it
        x, sigma = latent / ddim.alphas_cumprod[t].sqrt(), torch.full((2,), schedule.sigmas()[t], dtype=torch.float64)
        ours = denoiser(x, sigma, CONTEXT)
        seen, ts, _ = net.given
        torch.testing.assert_close(seen, latent, rtol=1e-9, atol=1e-9)
        assert ts.tolist() == [t, t]
        theirs = ddim.step(net(latent, torch.full((2,), t, dtype=torch.float64), CONTEXT), t, latent).pred_original_sample
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@given(sigmas=st.lists(st.floats(0.03, 14.6), min_size=2, max_size=2))
@settings(deadline=None, max_examples=25)
def test_a_perfect_network_gives_the_image_back(prediction, zero_terminal_snr, sigmas):
    schedule = NoiseSchedule(prediction=prediction, zero_terminal_snr=zero_terminal_snr)
    x0, sigma = torch.randn(2, 4, 4, 4), torch.tensor(sigmas)
    x = x0 + sigma[:, None, None, None] * torch.randn(2, 4, 4, 4)
    torch.testing.assert_close(Denoiser(perfect(x0, schedule), schedule)(x, sigma, CONTEXT), x0, rtol=0, atol=2e-3)


def test_first_step_of_zero_terminal_snr():
    schedule = NoiseSchedule(prediction="v_prediction", zero_terminal_snr=True)
    x0, sigma = torch.randn(2, 4, 4, 4), torch.full((2,), schedule.sigma_max)
    x = x0 + schedule.sigma_max * torch.randn(2, 4, 4, 4)
    torch.testing.assert_close(Denoiser(perfect(x0, schedule), schedule)(x, sigma, CONTEXT), x0, rtol=0, atol=1e-5)
    beyond = Denoiser(Net(), schedule)(1e9 * x, torch.full((2,), 1e9), CONTEXT)
    assert beyond.isfinite().all()


def test_every_level_of_the_table_is_a_whole_timestep():
    for schedule in (SD, NoiseSchedule(beta_start=1e-4, beta_end=0.02), NoiseSchedule(zero_terminal_snr=True)):
        ts = Denoiser(Net(), schedule).timestep(torch.tensor(schedule.sigmas()))
        assert ts.dtype == torch.float32
        assert ts.tolist() == list(range(1000))


def test_timesteps_between_levels():
    sigma = torch.logspace(-2, 2, 500)
    between = Denoiser(Net(), SD).timestep(sigma)
    np.testing.assert_allclose(between, [SD.t_of(float(s)) for s in sigma], atol=2e-3)
    nearest = Denoiser(Net(), SD, rounded=True).timestep(sigma)
    logs = np.log(SD.sigmas())
    assert nearest.tolist() == [int(np.abs(logs - np.log(float(s))).argmin()) for s in sigma]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_float32_in_and_out_whatever_the_network(dtype):
    net = Net(dtype)
    with torch.inference_mode():
        denoised = Denoiser(net, SD)(torch.randn(2, 4, 8, 8), torch.tensor([1.0, 9.0]), CONTEXT)
    assert denoised.dtype == torch.float32
    assert [given.dtype for given in net.given] == [dtype, torch.float32, dtype]


def test_rows_are_independent():
    x, sigma = torch.randn(3, 4, 8, 8), torch.tensor([0.1, 2.0, 14.0])
    denoiser, context = Denoiser(Net(), SD), torch.zeros(3, 3, 5)
    together = denoiser(x, sigma, context)
    alone = torch.cat([denoiser(x[i : i + 1], sigma[i : i + 1], context[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_label_reaches_the_network():
    seen = []

    def unet(x: Tensor, t: Tensor, context: Tensor, label: Tensor) -> Tensor:
        seen.append(label)
        return x

    label = torch.tensor([20, 100])
    Denoiser(unet, SD)(torch.randn(2, 4, 8, 8), torch.ones(2), CONTEXT, label)
    assert seen[0] is label


def test_our_unet_takes_what_it_is_given():
    unet = UNet(UNetConfig(channels=(32, 32), attention=(True, False), context_width=5, heads=2, blocks=1, norm_groups=8))
    with torch.inference_mode():
        denoised = Denoiser(unet, SD)(torch.randn(2, 4, 8, 8), torch.tensor([0.5, 3.0]), CONTEXT)
    assert denoised.shape == (2, 4, 8, 8)
    assert denoised.isfinite().all()


def test_compiles_to_one_graph_for_all_noise_levels():
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    denoiser = Denoiser(Net(), SD)
    compiled = torch.compile(lambda x, sigma, context: denoiser(x, sigma, context), backend=count, fullgraph=True, dynamic=False)
    x = torch.randn(2, 4, 8, 8)
    for level in (0.03, 1.0, 14.6):
        sigma = torch.tensor([level, 2.0])
        torch.testing.assert_close(compiled(x, sigma, CONTEXT), denoiser(x, sigma, CONTEXT))
    assert len(graphs) == 1
