"""FCMAE and UNeXt2, the networks of VisCy and Cytoland: ConvNeXt V2 as a 2D U-Net.

Liu, Hirata-Miyasaki et al., Nature Machine Intelligence 2025,
doi 10.1038/s42256-025-01046-2; its blocks are those of Woo et al. 2023, arXiv
2301.00808. Planes become channels in the stem, and channels planes in the head. The
response norm of each block looks at the whole image, so every output depends on all
that goes in.

Features have their channels last, (B, H, W, C): norms and products then need no copy.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.layers import Convolution, asks_onednn, draw_weights
from napari_sparsessp.networks.network import Network, View

EPSILON = 1e-6
"""Of layer norms; of the encoder of FCMAE it is `FCMAE_EPSILON`."""

FCMAE_EPSILON = 1e-5

INSTANCE_EPSILON = 1e-5

SQUARED = 2**21
"""Values that are squared in one go."""

EXPANSION = 4
"""Width inside a block, in widths of the block."""


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each pixel."""


class Product(nn.Module):
    """1×1 convolution of features that have their channels last."""

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        draw_weights(self.weight, gain * inputs**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)


class ResponseNorm(nn.Module):
    """Global response norm: channels compete by their strength over the whole image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def gains(self, squares: torch.Tensor) -> torch.Tensor:
        """Return the factor of each channel, from its squares' sum, (B, C)."""
        # The root of nothing has no gradient.
        strength = squares.clamp_min(1e-20).sqrt()
        share = strength / (strength.mean(-1, keepdim=True) + 1e-6)
        return 1 + self.weight * share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gains = self.gains(x.float().square().sum((1, 2)))
        return x * gains[:, None, None] + self.bias


class ResponseBlock(nn.Module):
    """Depthwise 7×7, layer norm, product to 4C, GELU, response norm, product to C."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        # The encoder of FCMAE has no bias here.
        biased = epsilon != FCMAE_EPSILON
        self.depthwise = nn.Conv2d(
            width, width, 7, padding=3, groups=width, bias=biased
        )
        self.norm = ChannelNorm(width, epsilon)
        self.expand = Product(width, EXPANSION * width, gain=1.4)
        self.response = ResponseNorm(EXPANSION * width)
        self.reduce = Product(EXPANSION * width, width, gain=0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C) → the same shape."""
        y = self.depthwise(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = self.norm(y)
        if not torch.is_inference_mode_enabled():
            return x + self.reduce(self.response(F.gelu(self.expand(y))))
        y = activated(self.expand, y)
        images = zip(x.flatten(1, 2), y.flatten(1, 2), strict=True)
        found = [self._reduced(*one) for one in images]
        return (found[0][None] if len(x) == 1 else torch.stack(found)).view_as(x)

    def _reduced(self, image: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Add norm and product of (N, 4C) to (N, C); may write over (N, 4C)."""
        product, response = self.reduce, self.response
        weight: torch.Tensor = product.weight
        bias: torch.Tensor = product.bias
        gains = response.gains(sum_of_squares(hidden))
        # A norm before a product is a product with another matrix: of a few pixels it
        # is those that are scaled, of many the matrix.
        if len(hidden) < len(weight):
            torch.addcmul(response.bias, hidden, gains, out=hidden)
        else:
            weight, bias = weight * gains, bias + weight @ response.bias
        if asks_onednn(hidden):
            return torch.ops.mkldnn._linear_pointwise.binary(  # type: ignore[no-any-return]
                hidden, image, weight, bias, "add"
            )
        return image + F.linear(hidden.to(image.dtype), weight.to(image.dtype), bias)


def activated(product: Product, x: torch.Tensor) -> torch.Tensor:
    """GELU of a product, in one pass over the result where oneDNN is asked.

    Each pass is shared out to the cores anew, and on a busy machine the last of them
    is waited for: a dozen passes take twice as long as four.
    """
    if asks_onednn(x):
        return torch.ops.mkldnn._linear_pointwise(  # type: ignore[no-any-return]
            x, product.weight, product.bias, "gelu", [], "none"
        )
    return torch.ops.aten.gelu_(product(x))  # type: ignore[no-any-return]


def sum_of_squares(x: torch.Tensor) -> torch.Tensor:
    """(N, C) → (C,) in float32, without a second array of that size if it is large."""
    parts = x.split(max(1, SQUARED // x.shape[1]))
    return sum(part.float().square().sum(0) for part in parts)  # type: ignore[return-value]


class Downsampling(nn.Module):
    """Layer norm, then 2×2 with stride 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(inputs, EPSILON)
        self.conv = nn.Conv2d(inputs, outputs, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(self.norm(x).permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1).contiguous()


class Stage(nn.Module):
    """Blocks of one resolution after what leads there."""

    def __init__(
        self, entry: nn.Module, width: int, blocks: int, epsilon: float
    ) -> None:
        super().__init__()
        self.entry = entry
        self.blocks = nn.ModuleList(
            ResponseBlock(width, epsilon) for _ in range(blocks)
        )

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        x = self.entry(*features)
        for block in self.blocks:
            x = block(x)
        return x


class PatchStem(nn.Module):
    """Blocks of (kz, ky, kx) voxels become channels: C/r of each of r groups of planes.

    (B, D, H, W) → (B, H/ky, W/kx, C), channels c·r + group.
    """

    def __init__(self, config: NetworkConfig, width: int, epsilon: float) -> None:
        super().__init__()
        self.kernel = config.stem
        self.groups = config.depth // config.stem[0]
        kz, ky, kx = config.stem
        self.conv = Product(kz * ky * kx, width // self.groups)
        self.norm = ChannelNorm(width, epsilon)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kz, ky, kx = self.kernel
        x = x.unflatten(3, (-1, kx)).unflatten(2, (-1, ky)).unflatten(1, (-1, kz))
        # (B, groups, kz, H', ky, W', kx) → (B, H', W', groups, kz·ky·kx)
        x = self.conv(x.permute(0, 3, 5, 1, 2, 4, 6).flatten(4))
        return self.norm(x.transpose(3, 4).flatten(3))  # type: ignore[no-any-return]


class Fusion(nn.Module):
    """The coarser feature, spread out, beside the finer one; layer norm, 1×1."""

    def __init__(self, coarse: int, skip: int, outputs: int) -> None:
        super().__init__()
        width = coarse // 4 + skip
        self.norm = ChannelNorm(width, EPSILON)
        self.conv = Product(width, outputs)

    def forward(self, coarse: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        x = coarse.unflatten(3, (-1, 2, 2)).permute(0, 1, 4, 2, 5, 3)
        x = x.flatten(3, 4).flatten(1, 2)
        x = self.norm(torch.cat([x, skip], 3))
        return self.conv(x)  # type: ignore[no-any-return]


def spread(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Pixel shuffle, (B, H, W, C·f²) → (B, C, f·H, f·W), channels (c, y, x)."""
    x = x.unflatten(3, (-1, factor, factor)).permute(0, 3, 1, 4, 2, 5)
    return x.flatten(4, 5).flatten(2, 3)


def mean_before(x: torch.Tensor, size: int) -> torch.Tensor:
    """Mean over the `size` pixels up to each in y and x, zeros outside: (…, H, W).

    `size` is a power of two: sums of two, of two of these, and so on.
    """
    x = F.pad(x, (size - 1, 0, size - 1, 0))
    width = 1
    while width < size:
        x = x[..., width:] + x[..., :-width]
        x = x[..., width:, :] + x[..., :-width, :]
        width *= 2
    return x / size**2


class ShuffleHead(nn.Module):
    """Channels become voxels: outputs × planes × pixels; no weights."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.depth, self.pixels = config.depth, config.stem[2]
        self.pool = config.head_pool

    def forward(self, x: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """(B, H, W, L) → (B, S, D, f·H, f·W)."""
        x = x.unflatten(3, (-1, self.depth * self.pixels**2))
        chosen = x if list(rows) == list(range(x.shape[3])) else x[..., rows, :]
        y = spread(chosen.flatten(3), self.pixels)
        if self.pool:
            y = mean_before(y, self.pixels)
        return y.unflatten(1, (-1, self.depth))


class ConvolutionHead(nn.Module):
    """A 3D convolution at half resolution, whose pixels become 2×2 of the prediction.

    The instance norm in it looks at all of its window.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.depth, self.pool = config.depth, config.head_pool
        inputs = config.decoder_widths[0] // 4 // (config.depth + 2)
        width = 4 * config.outputs * config.head_expansion
        self.conv = Convolution(3, inputs, width, 3)
        self.conv.padding = (0, 1, 1)
        self.slope = nn.Parameter(torch.full((1,), 0.25))
        self.last = Product(width, 4 * config.outputs)

    def forward(self, x: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """(B, H, W, L) → (B, S, D, 4·H, 4·W)."""
        x = spread(x, 2)
        if self.pool:
            x = mean_before(x, 2)
        x = self.conv(x.unflatten(1, (-1, self.depth + 2)).contiguous())
        x = F.prelu(F.instance_norm(x, eps=INSTANCE_EPSILON), self.slope.to(x.dtype))
        weight = self.last.weight.unflatten(0, (-1, 4))[list(rows)].flatten(0, 1)
        bias = self.last.bias.unflatten(0, (-1, 4))[list(rows)].flatten()
        y = (weight @ x.flatten(2) + bias[:, None]).unflatten(2, x.shape[2:])
        # (B, S·2·2, D, H, W), channels (s, y, x)
        y = y.unflatten(1, (-1, 2, 2)).permute(0, 1, 4, 5, 2, 6, 3)
        return y.flatten(5, 6).flatten(3, 4)


class UNeXt(Network):
    """FCMAE or UNeXt2: four resolutions down, three up, and a head."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.view = View(config)
        widths = config.encoder_widths
        fcmae = config.backbone == "fcmae"
        epsilon = FCMAE_EPSILON if fcmae else EPSILON
        entries: list[nn.Module] = [PatchStem(config, widths[0], epsilon)]
        entries += [
            Downsampling(a, b) for a, b in zip(widths, widths[1:], strict=False)
        ]
        self.encoder = nn.ModuleList(
            Stage(entry, width, blocks, epsilon)
            for entry, width, blocks in zip(
                entries, widths, config.encoder_blocks, strict=True
            )
        )
        decoder = (*config.decoder_widths, widths[-1])
        self.decoder = nn.ModuleList(
            Stage(Fusion(coarse, skip, width), width, config.decoder_blocks, EPSILON)
            for width, coarse, skip in zip(decoder, decoder[1:], widths, strict=False)
        )
        shuffles = config.head_form == "shuffle"
        self.head = (ShuffleHead if shuffles else ConvolutionHead)(config)

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.view(x)
        feature = x[:, 0] if x.ndim == 5 else x
        features = []
        for stage in self.encoder:
            # The next stage makes a feature of its own: this one stays as it is.
            feature = stage(feature)
            features.append(feature)
        return features

    def decode(
        self, features: list[torch.Tensor], structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        rows = self.wanted(structures)
        y = features[-1]
        for stage, skip in zip(
            reversed(self.decoder), reversed(features[:-1]), strict=True
        ):
            y = stage(y, skip)
        return self.head(y, rows)  # type: ignore[no-any-return]

    def decode_tasks(
        self, features: list[torch.Tensor], index: torch.Tensor
    ) -> torch.Tensor:
        y = self.decode(features)
        return y[torch.arange(len(y)), index][:, None]
