"""The scripts' random numbers: one generator for a whole run, which gives a whole batch at a time.

n images, c channels, h w height and width of a latent.
"""

from itertools import count

from torch import Tensor

from ...noise import SeededNoise
from ...types import Noise


class Stream:
    """Standard normal numbers (n c h w, float32) of one seed. source: "cpu" or "nv", as for `SeededNoise`."""

    def __init__(self, seed: int, shape: tuple[int, ...], source: str = "cpu"):
        self.noise, self.shape = SeededNoise(seed, source=source), shape

    def draw(self) -> Tensor:
        """The next tensor."""
        return self.noise.randn(self.shape)


class BatchNoise:
    """The noise of one batch's steps: image i gets row i of every draw, whichever image asks first."""

    def __init__(self, stream: Stream):
        self.stream = stream
        self.drawn: list[Tensor] = []

    def of(self, image: int) -> Noise:
        """What the sampler of one image draws."""
        steps = count()

        def noise(like: Tensor, _sigma_from: float, _sigma_to: float) -> Tensor:  # 1 c h w
            step = next(steps)
            while len(self.drawn) <= step:
                self.drawn.append(self.stream.draw())
            return self.drawn[step][image : image + 1].to(like)

        return noise

    def finish(self, draws: int) -> None:
        """Leave the stream where the script's own sampler, which makes so many draws, would leave it."""
        for _ in range(draws - len(self.drawn)):
            self.stream.draw()
