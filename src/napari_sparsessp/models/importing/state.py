"""The weights of a checkpoint, checked before anyone uses them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import ModelError

if TYPE_CHECKING:
    import torch

PREFIXES = ("module.", "_forward_module.", "net.")
"""What data-parallel wrappers put before every name; they may be nested."""

MOST_TENSORS = 20_000
"""RepMode, the largest, has 309."""

COUNTER = "num_batches_tracked"
"""The one whole number among the weights: how many batches a norm has seen."""

State = dict[str, "torch.Tensor"]


def checked_state(raw: Any, path: Path) -> State:
    """Check the weights and give them without the prefixes of wrappers.

    Parameters
    ----------
    raw : Any
        What the checkpoint has under the name of its weights.
    path : Path
        For the messages.

    Raises
    ------
    ModelError
        Not a table of plain tensors on the CPU, or tensors that pretend to be larger
        than the file.
    """
    if type(raw).__name__ not in ("dict", "OrderedDict") or not raw:
        raise refusal(path, "it holds no table of weights")
    if len(raw) > MOST_TENSORS:
        raise refusal(path, f"it has {len(raw)} tensors, more than any known network")
    state: State = {}
    for name, tensor in raw.items():
        if not isinstance(name, str) or not name.isascii() or not name.isprintable():
            raise refusal(path, "a weight has a name that cannot be one")
        short = _without_prefixes(name)
        if short in state:
            raise refusal(path, f"it has {short} twice")
        state[short] = _checked(tensor, short, path)
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    # Stride 0 and shared storages make small files into huge networks.
    if total > 2 * path.stat().st_size + 2**20:
        raise refusal(path, "its tensors claim to be larger than the file")
    return state


def check_finite(tensor: "torch.Tensor", name: str, path: Path) -> None:
    """Refuse NaN and infinity.

    Raises
    ------
    ModelError
        The weight is not finite.
    """
    if not tensor.isfinite().all():
        raise ModelError(
            f"checkpoint {path} has weights that are NaN or infinite ({name}): its "
            "training failed; ask for another one"
        )


def refusal(path: Path, why: str) -> ModelError:
    """Give the error for weights that are no network of ours."""
    return ModelError(
        f"checkpoint {path} cannot be imported: {why}; check that it is a RepMode, "
        "SparseSSP or pytorch_fnet checkpoint, or get it again"
    )


def _without_prefixes(name: str) -> str:
    while True:
        prefix = next((one for one in PREFIXES if name.startswith(one)), None)
        if prefix is None:
            return name
        name = name[len(prefix) :]


def _checked(tensor: Any, name: str, path: Path) -> "torch.Tensor":
    import torch

    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise refusal(path, f"{name} is not a tensor")
    tensor = tensor.detach()
    if (
        tensor.layout is not torch.strided
        or tensor.is_quantized
        or tensor.is_nested
        or tensor.device.type != "cpu"
        or tensor.is_complex()
    ):
        raise refusal(path, f"{name} is sparse, quantised or not a plain tensor")
    needed = tensor.numel() * tensor.element_size()
    if needed > tensor.untyped_storage().nbytes():
        raise refusal(path, f"{name} claims to be larger than what is stored")
    if name.endswith(COUNTER):
        fits = not tensor.dtype.is_floating_point and tensor.numel() == 1
    else:
        fits = tensor.dtype.is_floating_point
    if not fits:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise refusal(path, f"{name} has numbers of type {kind}")
    return tensor
