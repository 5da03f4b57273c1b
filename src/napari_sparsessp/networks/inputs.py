"""What a network sees of a sparse stack."""

import torch

DISTANCE_SCALE = 4.0  # dense planes; the second input channel is distance / this
DISTANCE_LIMIT = 2.0  # beyond 8 planes all is equally far


def network_input(dense: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
    """Stack the interpolated stack and where it was measured.

    Parameters
    ----------
    dense : Tensor
        (..., D, H, W) interpolated over z, normalised.
    distance : Tensor
        (D,) signed distance to the nearest measured plane, in dense planes.

    Returns
    -------
    Tensor
        (..., 2, D, H, W)
    """
    scaled = (distance / DISTANCE_SCALE).clamp(-DISTANCE_LIMIT, DISTANCE_LIMIT)
    where = scaled[:, None, None].expand_as(dense)
    return torch.stack([dense, where.to(dense.dtype)], dim=-4)
