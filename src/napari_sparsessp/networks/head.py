"""Heads: from the decoder's last feature to the dense planes of each structure."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.conditioning.dodnet import DynamicHead
from napari_sparsessp.networks.conditioning.repmode import ExpertConvolution
from napari_sparsessp.networks.conditioning.task import Task
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.convolution import Convolution, TransposedConvolution
from napari_sparsessp.networks.fold import unfold
from napari_sparsessp.networks.units import UnitKind, make_norm


class Head(nn.Module):
    """`prepare` is shared by the structures, `predict` gives those that are asked for.

    Parameters
    ----------
    config : NetworkConfig
    kind : UnitKind
        Of the decoder.
    width, context : int
        Channels of the decoder's last feature, and of the bottleneck.
    together : int
        Structures that one pass gives: T where all share the trunk.
    """

    def __init__(
        self,
        config: NetworkConfig,
        kind: UnitKind,
        width: int,
        context: int,
        together: int,
    ) -> None:
        super().__init__()
        self.flat = kind.dimension == 2
        self.planes = config.decoded_planes
        self.activated = kind.order == "post"
        self.norm = nn.Identity() if self.activated else make_norm(kind, width)
        self.dynamic: DynamicHead | None = None
        self.stretch: Stretch | None = None
        self.stretched: TransposedConvolution | None = None
        dimension, kernel = kind.dimension, config.kernel if self.activated else 1
        planes = self.planes if self.flat else 1
        if config.mapping == "postfix" and config.postfix == "feature":
            self.stretch = Stretch(config, kind, width)
            # From here on depth is depth again.
            dimension, kernel, width, planes = 3, 1, config.head_width, 1
            self.flat = False
        elif config.mapping == "postfix":
            ratio = (config.ratio, 1, 1)
            self.stretched = TransposedConvolution(3, 1, 1, ratio)
        self.before: Convolution | None = None
        self.conv: nn.Module | None = None
        if config.conditioning in ("dodnet", "tgnet"):
            if self.stretch is None:
                self.before = Convolution(dimension, width, config.head_width, kernel=1)
            self.dynamic = DynamicHead(
                context, config.outputs, config.head_width, planes
            )
        elif config.conditioning == "repmode" and kernel > 1:
            self.conv = ExpertConvolution(
                dimension, width, planes, kernel, config.outputs
            )
        else:
            bias = config.backbone != "plain" or kind.plain
            self.conv = Convolution(
                dimension, width, together * planes, kernel, bias=bias, gain=0.3
            )

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """Do what all structures share."""
        if not self.activated:
            x = F.relu(self.norm(x))
        if self.stretch is not None:
            x = self.stretch(x)
        return x if self.before is None else self.before(x)

    def predict(
        self,
        x: torch.Tensor,
        context: torch.Tensor | None,
        tasks: Sequence[Task] | None = None,
        rows: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Give structures from what `prepare` gave.

        Parameters
        ----------
        x : Tensor
            (B, C, …)
        context : Tensor, optional
            (B, C₅) pooled bottleneck, for dynamic heads.
        tasks : sequence of Task, optional
            Structure of each sample, once for each wanted output.
        rows : sequence of int, optional
            Of a head for all structures: the wanted ones.

        Returns
        -------
        Tensor
            (B, S, D, H, W)
        """
        if self.dynamic is not None:
            assert tasks is not None
            assert context is not None
            y = self.dynamic(x, context, [task.index for task in tasks])
        elif isinstance(self.conv, ExpertConvolution):
            assert tasks is not None
            y = torch.cat([self.conv(x, task) for task in tasks], dim=1)
        else:
            y = self._chosen(x, rows)
        y = unfold(y, self.planes) if self.flat else y
        if self.stretched is not None:
            flat = y.flatten(0, 1)[:, None]
            y = self.stretched(flat).unflatten(0, y.shape[:2])[:, :, 0]
        return y

    def _chosen(self, x: torch.Tensor, rows: Sequence[int] | None) -> torch.Tensor:
        conv = self.conv
        assert isinstance(conv, Convolution)
        if rows is None:
            return conv(x)
        size = self.planes if self.flat else 1
        index = torch.tensor(
            [row * size + plane for row in rows for plane in range(size)],
            device=x.device,
        )
        bias = None if conv.bias is None else conv.bias[index]
        return conv.convolved(x, conv.weight[index], bias)


class Stretch(nn.Module):
    """Postfix mapping on the feature: a learned deconvolution along z.

    A 1×1 convolution to F channels (times D/r where the decoder is 2D, then unfolded),
    a transposed convolution with kernel and stride (r, 1, 1), norm and activation.

    Parameters
    ----------
    config : NetworkConfig
    kind : UnitKind
        Of the decoder.
    width : int
        Channels of its last feature.
    """

    def __init__(self, config: NetworkConfig, kind: UnitKind, width: int) -> None:
        super().__init__()
        self.planes = config.planes if kind.dimension == 2 else None
        channels = config.head_width
        self.narrow = Convolution(
            kind.dimension, width, channels * (self.planes or 1), kernel=1
        )
        self.deconv = TransposedConvolution(3, channels, channels, (config.ratio, 1, 1))
        self.norm = make_norm(replace(kind, dimension=3), channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.narrow(x)
        if self.planes is not None:
            x = unfold(x, self.planes)
        return F.relu(self.norm(self.deconv(x)))
