"""A second network over the same weights, some of whose layers work in another way."""

import copy
from collections.abc import Callable

from torch import nn


def twin(network: nn.Module, change: Callable[[nn.Module], None]) -> nn.Module:
    """`network` once more, every module new, every weight the same tensor; `change` has been called on each of the new modules.

    What is done to the weights later (another dtype, another device, training) is done to both. A change that is to stay with the
    twin sets attributes or the class of a module, and leaves its weights alone.
    """
    made = copy.copy(network)
    made._modules = {name: child if child is None else twin(child, change) for name, child in network._modules.items()}
    change(made)
    return made
