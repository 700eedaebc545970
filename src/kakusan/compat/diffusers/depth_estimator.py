"""transformers' DPTForDepthEstimation over ours.

n pictures, H W their height and width.
"""

from dataclasses import dataclass

from torch import Tensor

from ...formats import parts as lay
from ...models.dpt import Dpt
from .components import Component
from .outputs import Output


@dataclass
class DepthEstimatorOutput(Output):
    """Inverse depth (n H W): larger is nearer."""

    predicted_depth: Tensor


class DPTForDepthEstimation(Component):
    """`estimator(pixel_values).predicted_depth`."""

    kind, part = Dpt, lay.DEPTH
    network: Dpt

    def forward(self, pixel_values: Tensor, return_dict: bool = True) -> DepthEstimatorOutput | tuple[Tensor]:
        """Inverse depth (n H W) of prepared pictures (n 3 H W)."""
        depth: Tensor = self.network(pixel_values)
        return DepthEstimatorOutput(depth) if return_dict else (depth,)
