"""RepMode at inference: one plain network for each structure.

The experts of each convolution are merged and batch norm is folded into the kernel,
K' = K·γ/√(v + ε), b' = β − γ·m/√(v + ε), once for each structure and not in each call.
"""

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_sparsessp.networks.conditioning.repmode import ExpertConvolution
from napari_sparsessp.networks.convolution import Convolution, TransposedConvolution
from napari_sparsessp.networks.head import Stretch
from napari_sparsessp.networks.units import Unit

if TYPE_CHECKING:
    from napari_sparsessp.networks.unet import UNet

KEPT_BYTES = 2 * 2**30
"""Where nobody knows how much memory there is."""


@torch.no_grad()
def merge(network: "UNet", task: int) -> "UNet":
    """Plain network of one structure, equal to `network` in evaluation mode.

    Parameters
    ----------
    network : UNet
        With conditioning ``repmode``.
    task : int
        Index of the structure.

    Returns
    -------
    UNet
        With conditioning ``multihead`` and one output.
    """
    from napari_sparsessp.networks.unet import UNet

    config = network.config
    folds = config.norm == "batch" and config.backbone != "dod"
    changes: dict[str, Any] = {"conditioning": "multihead", "outputs": 1}
    if folds:
        changes |= {"norm": "none", "bias": True}
    with torch.device("meta"):
        twin = UNet(config.model_copy(update=changes))
    weights: dict[str, torch.Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, Unit) and folds:
            weights |= _folded(module.conv, module.norm, task, f"{name}.conv")
        elif isinstance(module, Stretch) and folds:
            weights |= _folded(module.deconv, module.norm, task, f"{name}.deconv")
        elif isinstance(module, ExpertConvolution) and f"{name}.weight" not in weights:
            weights[f"{name}.weight"] = module.merged(task)
    wanted = twin.state_dict()
    rest = {k: v for k, v in network.state_dict().items() if k in wanted}
    merged = {**rest, **weights}
    for name, tensor in wanted.items():
        if name not in merged:  # a bias that only the folded head's twin has
            merged[name] = torch.zeros(tensor.shape)
    twin.load_state_dict(merged, assign=True)
    return twin.eval().requires_grad_(False)


def _folded(
    conv: nn.Module, norm: nn.Module, task: int, name: str
) -> dict[str, torch.Tensor]:
    assert isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d)
    variance, mean = norm.get_buffer("running_var"), norm.get_buffer("running_mean")
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    shift = norm.bias - mean * scale
    if isinstance(conv, ExpertConvolution):
        weight, bias = conv.merged(task), None
    else:
        assert isinstance(conv, Convolution | TransposedConvolution)
        weight, bias = conv.weight, conv.bias
    along = 1 if isinstance(conv, TransposedConvolution) else 0
    shape = [1] * weight.ndim
    shape[along] = -1
    if bias is not None:
        shift = shift + bias * scale
    return {f"{name}.weight": weight * scale.view(shape), f"{name}.bias": shift}


class MergedNetworks:
    """The merged networks of one network, made when first asked for.

    Parameters
    ----------
    network : UNet

    Attributes
    ----------
    kept_bytes : int
        Merged networks are kept up to this size, and at least one.
    """

    def __init__(self, network: "UNet") -> None:
        # Not a submodule: its weights are only another form of the network's own.
        self._network = network
        self._kept: OrderedDict[int, UNet] = OrderedDict()
        self._of: tuple[Any, ...] = ()
        self._lock = threading.Lock()
        self.kept_bytes = KEPT_BYTES

    def __getstate__(self) -> "UNet":
        """Copies and pickles leave out what can be merged again."""
        return self._network

    def __setstate__(self, network: "UNet") -> None:
        self.__init__(network)  # type: ignore[misc]

    def __call__(
        self, task: int, view: torch.Tensor, rows: torch.Tensor | slice
    ) -> torch.Tensor:
        """Predict one structure, (b, 1, D, H, W), of some samples of the view."""
        with self._lock:  # two predictions may run on one model
            twin = self._twin(task)
        return twin.decode_view(view[rows])

    def _twin(self, task: int) -> "UNet":
        state = self._state()
        if state != self._of:
            self._kept.clear()
            self._of = state
        if task not in self._kept:
            self._kept[task] = merge(self._network, task)
        self._kept.move_to_end(task)
        size = 4 * sum(p.numel() for p in self._kept[task].parameters())
        while len(self._kept) > max(1, self.kept_bytes // max(size, 1)):
            # The one asked for before this one: structures are asked for in turns,
            # and dropping the oldest would always drop the next one wanted.
            del self._kept[list(self._kept)[-2]]
        return self._kept[task]

    def _state(self) -> tuple[Any, ...]:
        """What changes when weights are trained, loaded or moved."""
        tensors = [*self._network.parameters(), *self._network.buffers()]
        if any(t.is_inference() for t in tensors):
            return (object(),)  # torch does not count their changes: keep nothing
        return tuple((t.data_ptr(), t._version, t.device) for t in tensors)
