"""Fold depth into channels and back (SparseSSP, section 3).

Features that have their channels last in memory keep them there: a convolution in
another layout than its neighbours costs a copy each time.
"""

import torch


def fold(x: torch.Tensor) -> torch.Tensor:
    """(B, C, D, H, W) → (B, C·D, H, W); channel c, plane d become c·D + d."""
    if not channels_last(x):
        return x.flatten(1, 2)
    return x.permute(0, 3, 4, 1, 2).flatten(3).permute(0, 3, 1, 2)


def unfold(x: torch.Tensor, depth: int) -> torch.Tensor:
    """(B, C·D, H, W) → (B, C, D, H, W), the inverse of `fold`."""
    y = x.unflatten(1, (-1, depth))
    if not channels_last(x):
        return y
    return y.contiguous(memory_format=torch.channels_last_3d)


def channels_last(x: torch.Tensor) -> bool:
    """Whether an image or a stack has its channels last in memory, and only so."""
    layout = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
    return x.is_contiguous(memory_format=layout) and not x.is_contiguous()
