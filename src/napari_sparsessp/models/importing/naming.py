"""Our names of weights beside the published ones.

Each function gives a part of the table "our name → published name"; a reader joins
them to the whole. Both sides have the same shapes, so no number is ever changed.
"""

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

_MODE = {
    "expert_5": "expert_conv5x5_conv",
    "expert_3": "expert_conv3x3_conv",
    "expert_1": "expert_conv1x1_conv",
    "pool_3": "expert_avg3x3_conv",
    "pool_5": "expert_avg5x5_conv",
    "average_3": "expert_avg3x3_pool",
    "average_5": "expert_avg5x5_pool",
    "gate.weight": "gate.weight",
    "gate.bias": "gate.bias",
}
"""RepMode's mixture of diverse experts (Zhou et al., CVPR 2023, section 3.2)."""

NOT_TRAINED = ("running_mean", "running_var", "num_batches_tracked", "_pool")
"""Endings of published names that are no parameters."""


def norm_names(ours: str, theirs: str) -> dict[str, str]:
    """Names of a batch norm."""
    return {f"{ours}.{name}": f"{theirs}.{name}" for name in NORM}


def convolution_names(ours: str, theirs: str, *, bias: bool) -> dict[str, str]:
    """Names of a plain convolution."""
    parts = ("weight", "bias") if bias else ("weight",)
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in parts}


def mode_names(ours: str, theirs: str, *, norm: bool = True) -> dict[str, str]:
    """Names of a mixture-of-experts convolution, with its norm where it has one."""
    names = {f"{ours}.conv.{our}": f"{theirs}.{their}" for our, their in _MODE.items()}
    if norm:
        names |= norm_names(f"{ours}.norm", f"{theirs}.subsequent_layer.0")
    return names


def step_names(ours: str, theirs: str) -> dict[str, str]:
    """Names of a strided or transposed convolution without bias, and its norm."""
    convolution = convolution_names(f"{ours}.conv", f"{theirs}.0", bias=False)
    return convolution | norm_names(f"{ours}.norm", f"{theirs}.1")
