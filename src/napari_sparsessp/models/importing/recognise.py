"""Which published format a checkpoint has."""

from pathlib import Path
from typing import Any

from napari_sparsessp.models.importing import fnet, repmode, sparsessp
from napari_sparsessp.models.importing.checkpoint import Checkpoint, open_checkpoint
from napari_sparsessp.models.importing.found import Found, Source
from napari_sparsessp.models.importing.state import checked_state, refusal

_READERS = {
    repmode.MARK: repmode.read_repmode,
    sparsessp.MARK: sparsessp.read_sparsessp,
    fnet.MARK: fnet.read_fnet,
}
"""Reader by how some names of a format's weights begin."""

_TABLES = ("nn_state", "model", "state_dict")
"""Where formats keep their weights; a bare table of weights is taken as well."""


def inspect_checkpoint(path: str | Path) -> Found:
    """Tell what a published checkpoint is, and what it does not say.

    Parameters
    ----------
    path : str or Path
        RepMode ``.p``, SparseSSP ``.pth`` or pytorch_fnet ``.p``.

    Returns
    -------
    Found

    Raises
    ------
    ModelError
        The file cannot be opened safely, or is none of these.
    """
    return read_source(path).found


def read_source(path: str | Path) -> Source:
    """Open a checkpoint and find a place for each of its weights.

    Raises
    ------
    ModelError
        The file cannot be opened safely, or is none of the known formats.
    """
    import torch

    with torch.inference_mode(False):  # its tensors could not be used outside of it
        checkpoint = open_checkpoint(path)
        fnet.refuse_ensemble(checkpoint)
        state = checked_state(_table(checkpoint), checkpoint.path)
    for mark, read in _READERS.items():
        if any(name.startswith(mark) for name in state):
            return read(checkpoint, state)
    raise refusal(checkpoint.path, "its weights are those of no known network")


def _table(checkpoint: Checkpoint) -> Any:
    for name in _TABLES:
        if name in checkpoint.content:
            return checkpoint.content[name]
    return checkpoint.content
