"""Architecture read off the shapes of weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.models.importing.naming import NOT_TRAINED
from napari_sparsessp.models.importing.state import refusal

if TYPE_CHECKING:
    import torch

WIDEST = 4096
"""Channels; as in `NetworkConfig`."""

DENSE_PLANES = 32
"""Planes of the published training patches, of all three formats."""


class Shapes:
    """Shapes of a checkpoint's weights, with refusals instead of KeyErrors.

    Parameters
    ----------
    state : mapping of str to Tensor
    path : Path
        For the messages.
    """

    def __init__(self, state: Mapping[str, "torch.Tensor"], path: Path) -> None:
        self._state = state
        self._path = path

    def __contains__(self, name: str) -> bool:
        return name in self._state

    def kernel(self, name: str) -> tuple[int, ...]:
        """Shape (Co, Ci, k, …) of a convolution's weight, two- or three-dimensional.

        Raises
        ------
        ModelError
            It is missing or has a shape that no convolution has.
        """
        if name not in self._state:
            raise refusal(self._path, f"{name} is missing")
        shape = tuple(self._state[name].shape)
        # Ci of a folded feature may exceed the widest layer; planes times channels.
        wrong = len(shape) not in (4, 5) or not all(0 < n <= 2**17 for n in shape)
        if wrong or len(set(shape[2:])) != 1 or shape[0] > WIDEST:
            raise refusal(
                self._path, f"{name} has the shape {'×'.join(map(str, shape)) or '1'}"
            )
        return shape

    def columns(self, name: str) -> int:
        """Columns of a matrix.

        Raises
        ------
        ModelError
            It is missing or no matrix.
        """
        if name not in self._state:
            raise refusal(self._path, f"{name} is missing")
        shape = tuple(self._state[name].shape)
        if len(shape) != 2 or not 0 < shape[1] <= WIDEST:
            raise refusal(self._path, f"{name} is not a matrix of a gate")
        return shape[1]

    def count(self, template: str) -> int:
        """How many of ``template.format(0)``, ``template.format(1)``, … there are."""
        number = 0
        while template.format(number) in self._state:
            number += 1
        return number


def dimension(kernel: tuple[int, ...]) -> int:
    """2 or 3, of a convolution's weight."""
    return len(kernel) - 2


def parameters(state: Mapping[str, "torch.Tensor"]) -> int:
    """Trainable numbers of a checkpoint."""
    return sum(
        tensor.numel()
        for name, tensor in state.items()
        if not name.endswith(NOT_TRAINED)
    )


def dense_planes(levels: int) -> int:
    """Planes of a 3D network's patch, which halves `levels` times."""
    return max(DENSE_PLANES, 2**levels)
