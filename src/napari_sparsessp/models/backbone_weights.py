"""Published weights of a 2D backbone, from a local file."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.errors import ModelError

if TYPE_CHECKING:
    import torch


def read_backbone_weights(path: str | Path) -> "dict[str, torch.Tensor]":
    """Read a backbone's tensors; nothing is ever downloaded.

    Parameters
    ----------
    path
        A ``.safetensors`` file, or a folder that holds ``model.safetensors``, as
        published for the transformers library.

    Returns
    -------
    For ``build_network(config, backbone_weights=…)``.

    Raises
    ------
    ModelError
        The file is missing, damaged or of another kind: a pickle could run code.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise ModelError(
            f"there are no backbone weights at {file}; give a .safetensors file or a "
            "folder that holds model.safetensors"
        )
    if file.suffix.lower() != ".safetensors":
        raise ModelError(
            f"backbone weights {file.name} are not a .safetensors file; other kinds "
            "are never opened, because they can run code: convert them first"
        )
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"backbone weights {file.name} cannot be read as safetensors; get the "
            "file again"
        ) from error
