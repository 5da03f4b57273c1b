"""The paper's networks: view → encoder → transform → decoder → head."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from napari_sparsessp.networks.conditioning import (
    ExpertConvolution,
    Task,
    TaskCoder,
    by_task,
    code_length,
)
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.layers import (
    Convolution,
    TransposedConvolution,
    without_values,
)
from napari_sparsessp.networks.network import Network, View
from napari_sparsessp.networks.stages import (
    Decoder,
    Head,
    Stretch,
    make_encoder,
    make_transform,
)
from napari_sparsessp.networks.units import Unit, kind_of, make_norm


@dataclass(frozen=True)
class Features:
    """Encoder output, shared by all structures."""

    view: torch.Tensor  # what the network sees
    # Features from full resolution down, on the decoder's side; empty where each
    # structure has an encoder of its own.
    levels: tuple[torch.Tensor, ...] = ()
    context: torch.Tensor | None = None  # (B, C) pooled bottleneck

    def rows(self, rows: torch.Tensor | slice) -> "Features":
        """Only some samples of the batch."""
        context = None if self.context is None else self.context[rows]
        return Features(
            self.view[rows], tuple(one[rows] for one in self.levels), context
        )


class UNet(Network):
    """U-Net of any topology, mapping, projection and conditioning."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        method, where = config.conditioning, config.task_where
        everywhere = method == "repmode" or (where == "all" and config.conditions_units)
        self.conditioned_at_input = where == "input" and config.conditions_units
        self.shares_encoder = not everywhere and not self.conditioned_at_input
        self.shares_trunk = not config.per_structure
        dimension = 3 if config.encoder_3d else 2
        inputs = config.inputs * (1 if config.encoder_3d else config.planes)
        if self.conditioned_at_input:
            inputs += code_length(config)
        kind = kind_of(config, dimension, conditioned=everywhere)
        self.view = View(config)
        self.coder = TaskCoder(config)
        self.encoder = make_encoder(kind, inputs)
        self.transform, widths = make_transform(config, self.encoder.widths)
        context, deepest = self.encoder.widths[-1], dimension
        dimension = 3 if config.decoder_3d else 2
        kind = kind_of(config, dimension, conditioned=not self.conditioned_at_input)
        together = config.outputs if self.shares_trunk else 1
        # f = GAP(ReLU(norm(F))) where units end without norm and activation.
        self.context_norm = (
            make_norm(config, deepest, context)
            if config.backbone == "dod" and config.conditioning in ("dodnet", "tgnet")
            else None
        )
        self.decoder: Decoder | nn.ModuleList
        self.head: Head | nn.ModuleList
        if method == "multihead" and config.heads == "decoder":
            each = range(config.outputs)
            self.decoder = nn.ModuleList(Decoder(kind, widths) for _ in each)
            self.head = nn.ModuleList(Head(kind, context, together) for _ in each)
        else:
            self.decoder, self.head = (
                Decoder(kind, widths),
                Head(kind, context, together),
            )
        self.merged = MergedNetworks(self) if method == "repmode" else None

    def encode(self, x: torch.Tensor) -> Features:
        view = self.view(x)
        return self._encoded(view) if self.shares_encoder else Features(view)

    def decode(
        self, features: Features, structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        wanted = self.wanted(structures)
        if not self.shares_trunk:
            return torch.cat([self._each(features, one) for one in wanted], dim=1)
        decoder, head = self._way()
        prepared = head.prepare(decoder(features.levels))
        tasks = [self._task(features, one) for one in wanted]
        rows = None if structures is None else wanted
        return head.predict(prepared, features.context, tasks, rows)

    def decode_tasks(self, features: Features, index: torch.Tensor) -> torch.Tensor:
        if not self.shares_trunk:
            return self._each(features, index)
        decoder, head = self._way()
        prepared = head.prepare(decoder(features.levels))
        y = head.predict(prepared, features.context, [self._task(features, index)])
        # Of a head for all structures, each sample's own.
        return y[torch.arange(len(y)), index][:, None] if y.shape[1] > 1 else y

    def decode_view(self, view: torch.Tensor) -> torch.Tensor:
        """Predict all structures from what the network sees."""
        return self.decode(self._encoded(view))

    def _encoded(self, view: torch.Tensor, task: Task | None = None) -> Features:
        x = view
        if self.conditioned_at_input:
            assert task is not None
            code = task.code.to(x.dtype).view(*task.code.shape, *[1] * (x.ndim - 2))
            x = torch.cat([x, code.expand(-1, -1, *x.shape[2:])], dim=1)
        levels = self.encoder(x, task)
        deepest = levels[-1]
        if self.context_norm is not None:
            deepest = torch.relu(self.context_norm(deepest))
        context = deepest.flatten(2).mean(2)
        return Features(view, tuple(self.transform(levels, task)), context)

    def _task(self, features: Features, index: torch.Tensor | int) -> Task:
        view = features.view
        if isinstance(index, int):
            every = torch.full((len(view),), index, device=view.device)
            return self.coder(every, index)
        return self.coder(index)

    def _each(self, features: Features, index: torch.Tensor | int) -> torch.Tensor:
        """(B, 1, D, H, W) where each structure has a way of its own."""
        if self.merged is not None and not (self.training or torch.is_grad_enabled()):
            merged = self.merged
            return by_task(index, lambda one, rows: merged(one, features.view, rows))
        if isinstance(self.decoder, nn.ModuleList):

            def own(one: int, rows: torch.Tensor | slice) -> torch.Tensor:
                decoder, head = self._way(one)
                some = features.rows(rows)
                return head.predict(head.prepare(decoder(some.levels)), some.context)

            return by_task(index, own)
        task = self._task(features, index)
        if not features.levels:
            features = self._encoded(features.view, task)
        decoder, head = self._way()
        prepared = head.prepare(decoder(features.levels, task))
        return head.predict(prepared, features.context, [task])

    def _way(self, one: int | None = None) -> tuple[Decoder, Head]:
        """Decoder and head, the only ones or those of one structure."""
        decoder, head = self.decoder, self.head
        if isinstance(decoder, nn.ModuleList) and isinstance(head, nn.ModuleList):
            assert one is not None
            return decoder[one], head[one]  # type: ignore[return-value]
        assert isinstance(decoder, Decoder)
        assert isinstance(head, Head)
        return decoder, head


class MultiNet(Network):
    """One network a structure; they share nothing but the input."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        one = config.model_copy(update={"conditioning": "multihead", "outputs": 1})
        self.networks = nn.ModuleList(UNet(one) for _ in range(config.outputs))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def decode(
        self, features: torch.Tensor, structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        wanted = self.wanted(structures)
        return torch.cat([self.networks[one](features) for one in wanted], dim=1)

    def decode_tasks(self, features: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return by_task(index, lambda one, rows: self.networks[one](features[rows]))


KEPT_BYTES = 2 * 2**30
"""Where the size of the memory is unknown."""


@torch.no_grad()
def merge(network: "UNet", task: int) -> "UNet":
    """Merge a ``repmode`` network for one structure: equal in evaluation mode."""
    config = network.config
    folds = config.norm == "batch" and config.backbone != "dod"
    changes: dict[str, Any] = {"conditioning": "multihead", "outputs": 1}
    if folds:
        changes |= {"norm": "none", "bias": True}
    with without_values():
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
    """RepMode at inference: one plain network for each structure.

    The experts of each convolution are merged and batch norm is folded into the kernel,
    K' = K·γ/√(v + ε), b' = β − γ·m/√(v + ε), when a structure is first asked for and
    not in each call.
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
        """Return a key that changes when weights are trained, loaded or moved."""
        tensors = [*self._network.parameters(), *self._network.buffers()]
        if any(t.is_inference() for t in tensors):
            return (object(),)  # torch does not count their changes: keep nothing
        return tuple((t.data_ptr(), t._version, t.device) for t in tensors)
