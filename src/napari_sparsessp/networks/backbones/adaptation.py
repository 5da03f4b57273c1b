"""Fit published weights to other channels, patches and image sizes."""

from math import isqrt

import torch
import torch.nn.functional as F


def adapt_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """First layer for any number of input channels.

    The mean over the published channels is repeated and scaled by published/wanted, so
    that the same grey image in all channels gives the same activations. Colours mean
    nothing for planes: a kernel for RGB is averaged for three channels too; one for any
    other number of channels stays as it is where that is the number wanted.

    Parameters
    ----------
    weight : Tensor
        (O, C, h, w)
    channels : int

    Returns
    -------
    Tensor
        (O, channels, h, w)
    """
    published = weight.shape[1]
    if published == channels and published != 3:
        return weight
    mean = weight.mean(1, keepdim=True) * (published / channels)
    return mean.repeat(1, channels, 1, 1)


def resize_kernel(weight: torch.Tensor, size: int) -> torch.Tensor:
    """Patch kernel for patches of another size, by pseudo-inverse.

    The kernel whose answer to a linearly resized patch is closest to the published
    kernel's answer to the patch itself; equal where patches grow (Beyer et al. 2023,
    FlexiViT, arXiv 2212.08013, section 3.4).

    Parameters
    ----------
    weight : Tensor
        (O, C, p, p)
    size : int
        Wanted p.

    Returns
    -------
    Tensor
        (O, C, size, size)
    """
    published = weight.shape[-1]
    if published == size:
        return weight
    # Columns are what resizing makes of one pixel; it is the same along y and x.
    identity = torch.eye(published, dtype=torch.float64)[None]
    resize = F.interpolate(identity, size=size, mode="linear", align_corners=False)
    inverse = torch.linalg.pinv(resize[0])  # (size, published)
    return (inverse @ weight.double() @ inverse.mT).to(weight.dtype)


def resize_positions(positions: torch.Tensor, count: int) -> torch.Tensor:
    """Position embeddings of a square grid for another square grid, bicubic.

    Parameters
    ----------
    positions : Tensor
        (1, 1 + g², C): the class token's, then the grid's.
    count : int
        Wanted 1 + g².

    Returns
    -------
    Tensor
        (1, count, C); `positions` where either is no square grid.
    """
    old, new = isqrt(positions.shape[1] - 1), isqrt(count - 1)
    square = old**2 + 1 == positions.shape[1] and new**2 + 1 == count
    if old == new or not old or not square:
        return positions
    grid = positions[:, 1:].mT.unflatten(2, (old, old))
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.flatten(2).mT], dim=1)
