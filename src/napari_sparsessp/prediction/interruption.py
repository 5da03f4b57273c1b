"""Stop a prediction in the middle of a tile: a network that looks up between layers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_sparsessp.prediction.stack import Interrupted

if TYPE_CHECKING:
    import torch


@contextmanager
def interruptible(
    network: "torch.nn.Module", cancel: threading.Event | None
) -> Iterator[None]:
    """Let a run with this network end before its next layer once `cancel` is set.

    A run that is given the same event then ends with `Cancelled`; what was done of the
    tile is lost. Without it, a run ends before its next tile.

    Parameters
    ----------
    network : Module
        A copy of it, for another device, is interrupted as well.
    cancel : Event or None
        None changes nothing.
    """
    if cancel is None:
        yield
        return

    # a function, which copies of the network share; a lock could not be copied
    def look(_module: Any, _arguments: Any) -> None:
        if cancel.is_set():
            raise Interrupted

    hooks = [one.register_forward_pre_hook(look) for one in network.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
