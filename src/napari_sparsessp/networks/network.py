"""The interface of every network, and the view through which it sees a stack."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.layers import Convolution, fold
from napari_sparsessp.sparse import SparseView


class Network(nn.Module, ABC):
    """Encode once what structures share, decode the structures that are wanted."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def encode(self, x: torch.Tensor) -> Any:
        """Compute the features that all structures share, for `decode`.

        `x` is (B, inputs, n, H, W): the network's planes, H and W multiples of
        ``config.stride``. A network of fixed depth with a prefix mapping also takes D/r
        of its D planes. Raises InputError for another shape; says which would fit.
        """

    @abstractmethod
    def decode(
        self, features: Any, structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Predict structures (B, S, D, H, W): those of these indices, or all."""

    @abstractmethod
    def decode_tasks(self, features: Any, index: torch.Tensor) -> torch.Tensor:
        """Predict one structure for each sample: (B,) → (B, 1, D, H, W)."""

    def wanted(self, structures: Sequence[int] | None) -> list[int]:
        """Check which structures are asked for; all where left out."""
        count = self.config.outputs
        chosen = list(range(count)) if structures is None else list(structures)
        if not chosen or any(not 0 <= one < count for one in chosen):
            raise InputError(
                f"structures {chosen} are not in this network; give numbers from 0 to "
                f"{count - 1}"
            )
        return chosen

    def forward(
        self,
        x: torch.Tensor,
        structures: Sequence[int] | None = None,
        tasks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        features = self.encode(x)
        if tasks is not None:
            self.wanted(tasks.tolist())
            return self.decode_tasks(features, tasks)
        return self.decode(features, structures)

    def bake(self) -> None:
        """Fold weight standardisation into plain weights, in place."""
        for module in self.modules():
            if isinstance(module, Convolution) and module.gain is not None:
                module.bake()
            if isinstance(module, Network):
                config = module.config.model_copy(update={"standardised": False})
                module.config = config


class View(nn.Module):
    """The network's way of looking at a stack; it has no parameters.

    A network of fixed depth with a prefix mapping interpolates where n is a whole share
    of its planes; every other one takes its planes as they come. For a 2D encoder depth
    is folded into channels.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        config = self.config
        self._check(x)
        planes = x.shape[2]
        if config.topology == "3d":
            return x
        if planes != config.planes:
            view = SparseView.from_ratio(planes, config.planes / planes)
            weights = torch.from_numpy(view.weights(config.interpolation))
            x = torch.einsum("dn,bcnhw->bcdhw", weights.to(x), x)
        return x if config.encoder_3d else fold(x)

    def _check(self, x: torch.Tensor) -> None:
        config = self.config
        if x.ndim != 5 or x.shape[1] != config.inputs:
            raise InputError(
                f"the network takes (batch, {config.inputs}, planes, height, width), "
                f"not {tuple(x.shape)}; arrange the array so"
            )
        planes = x.shape[2]
        step = config.stride
        if x.shape[3] % step or x.shape[4] % step or 0 in x.shape:
            raise InputError(
                f"height and width {x.shape[3]}×{x.shape[4]} are not multiples of "
                f"{step}; pad or crop them to "
                f"{_next(x.shape[3], step)}×{_next(x.shape[4], step)}"
            )
        if config.topology == "3d":
            depths = config.level_depths(config.planes)
            step = config.planes // depths[-1]
            if planes % step:
                raise InputError(
                    f"{planes} planes are not a multiple of {step}; pad or crop them "
                    f"to {_next(planes, step)}"
                )
            return
        shares = config.mapping == "prefix" and config.planes % planes == 0
        if planes != config.planes and not shares:
            more = ", or a whole share of them" if config.mapping == "prefix" else ""
            raise InputError(
                f"the network takes {config.planes} planes{more}, not {planes}; "
                "give as many"
            )


def _next(size: int, step: int) -> int:
    return max(step, -(-size // step) * step)
