"""Fold depth into channels and back (SparseSSP, section 3)."""

import torch


def fold(x: torch.Tensor) -> torch.Tensor:
    """(B, C, D, H, W) → (B, C·D, H, W); channel c, plane d become c·D + d."""
    return x.flatten(1, 2)


def unfold(x: torch.Tensor, depth: int) -> torch.Tensor:
    """(B, C·D, H, W) → (B, C, D, H, W), the inverse of `fold`."""
    return x.unflatten(1, (-1, depth))
