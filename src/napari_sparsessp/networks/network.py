"""What every network can do, whatever it is made of."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.convolution import Convolution


class Network(nn.Module, ABC):
    """Encode once what structures share, decode the structures that are wanted.

    Parameters
    ----------
    config : NetworkConfig
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def encode(self, x: torch.Tensor) -> Any:
        """What all structures share.

        Parameters
        ----------
        x : Tensor
            (B, inputs, n, H, W): the network's planes, H and W multiples of
            ``config.stride``. A network of fixed depth with a prefix mapping also takes
            D/r of its D planes.

        Returns
        -------
        object
            For `decode` and `decode_tasks`.

        Raises
        ------
        InputError
            The shape does not fit; says which one would.
        """

    @abstractmethod
    def decode(
        self, features: Any, structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Predict structures from what `encode` gave.

        Parameters
        ----------
        features : object
        structures : sequence of int, optional
            Indices of the wanted outputs; all where left out.

        Returns
        -------
        Tensor
            (B, S, D, H, W)
        """

    @abstractmethod
    def decode_tasks(self, features: Any, index: torch.Tensor) -> torch.Tensor:
        """Predict one structure for each sample.

        Parameters
        ----------
        features : object
        index : Tensor
            (B,) structure of each sample.

        Returns
        -------
        Tensor
            (B, 1, D, H, W)
        """

    def wanted(self, structures: Sequence[int] | None) -> list[int]:
        """Check which structures are asked for; all where left out.

        Raises
        ------
        InputError
            There is no such structure, or none is named.
        """
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
