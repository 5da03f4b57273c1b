"""The geometry of a colony: cells side by side, each widest where its nucleus lies."""

import math
from dataclasses import dataclass

import torch

from napari_sparsessp.simulation.fields import Grid, RandomFields, inside
from napari_sparsessp.simulation.nuclei import Axes, grow_nuclei
from napari_sparsessp.simulation.parameters import ColonyParameters


@dataclass(frozen=True, eq=False)
class Cells:
    """Distances (µm) and masks on the grid (D, H, W), and per-nucleus facts.

    Attributes
    ----------
    wall : Tensor
        Distance to the border with the next cell, ≥ 0.
    top, bottom : Tensor
        Height above the bottom face and below the top face; positive inside.
    body : Tensor
        Soft mask of the cells, 0 to 1.
    nucleus : Tensor
        Signed distance to the nearest nuclear envelope; positive inside.
    brightness : Tensor
        DNA content around each voxel's nucleus, about 1.
    mitosis : Tensor
        1 near a dividing cell's nucleus, else 0.
    nucleoli : Tensor
        Soft mask of the nucleoli, 0 to 1.
    poles : Tensor
        (N, 3) positions (z, y, x) in µm beside each nucleus, for Golgi and centrosome.
    """

    wall: torch.Tensor
    top: torch.Tensor
    bottom: torch.Tensor
    body: torch.Tensor
    nucleus: torch.Tensor
    brightness: torch.Tensor
    mitosis: torch.Tensor
    nucleoli: torch.Tensor
    poles: torch.Tensor


@dataclass(frozen=True, eq=False)
class Layer:
    """The cells of a colony one by one, lengths in µm.

    Attributes
    ----------
    centres : Tensor
        (N, 2), (y, x) at half the cell's height.
    lean : Tensor
        (N, 2) by which the centre moves for each µm upwards.
    height : Tensor
        (N,)
    nucleus_z, nucleus_rz : Tensor
        (N,) centre and half height of the nucleus.
    rand : Tensor
        (N, 12), uniform between 0 and 1, for what else differs.
    """

    centres: torch.Tensor
    lean: torch.Tensor
    height: torch.Tensor
    nucleus_z: torch.Tensor
    nucleus_rz: torch.Tensor
    rand: torch.Tensor


def _centres(
    p: ColonyParameters, extent: tuple[float, float], fields: RandomFields
) -> torch.Tensor:
    """Jittered hexagonal lattice (N, 2), (y, x) in µm, a cell wider than the field."""
    step_y = p.spacing * math.sqrt(3) / 2
    rows = int(extent[0] / step_y) + 5
    columns = int(extent[1] / p.spacing) + 5
    phase_y, phase_x = fields.uniform(0, 1), fields.uniform(0, 1)
    y = (torch.arange(rows) - 2 + phase_y) * step_y
    x = (torch.arange(columns) - 2 + phase_x) * p.spacing
    grid_y = y[:, None].expand(rows, columns)
    grid_x = x[None, :] + (torch.arange(rows) % 2)[:, None] * p.spacing / 2
    lattice = torch.stack([grid_y.reshape(-1), grid_x.reshape(-1)], dim=1)
    device = fields.generator.device
    jitter = torch.randn(lattice.shape, generator=fields.generator, device=device)
    return lattice.to(device) + jitter * p.spacing_jitter * p.spacing


def _layer(p: ColonyParameters, floor: torch.Tensor, fields: RandomFields) -> Layer:
    """Draw the cells that stand on a floor (H, W)."""
    extent = (floor.shape[0] * fields.voxel, floor.shape[1] * fields.voxel)
    centres = _centres(p, extent, fields)
    count, device = len(centres), fields.generator.device
    rand = torch.rand((count, 12), generator=fields.generator, device=device)
    lean = torch.randn((count, 2), generator=fields.generator, device=device) * p.lean
    height = p.height * (0.85 + 0.3 * rand[:, 0])
    rz = torch.minimum(p.nucleus_height * (0.85 + 0.3 * rand[:, 1]), 0.45 * height)
    row = (centres[:, 0] / fields.voxel).long().clamp(0, floor.shape[0] - 1)
    column = (centres[:, 1] / fields.voxel).long().clamp(0, floor.shape[1] - 1)
    slack = (height - 2 * rz).clamp_min(0)
    # In a crowded colony nuclei lie at different heights and overlap in projection.
    place = 0.05 + 0.45 * rand[:, 2] + p.crowding * (rand[:, 8] - 0.5)
    z = floor[row, column] + rz + slack * place.clamp(0, 0.95)
    return Layer(centres, lean, height, z, rz, rand)


def _walls(
    p: ColonyParameters, layer: Layer, axes: Axes, fields: RandomFields
) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance to the border with the next cell, and index of the own cell.

    A Voronoi diagram in each plane, additively weighted: a cell swells where its
    nucleus is and leaves the rest to its neighbours.
    """
    bend = p.bend * p.spacing
    y = (axes.y + bend * fields.smooth(4.0, 8.0)).contiguous()
    x = (axes.x + bend * fields.smooth(4.0, 8.0)).contiguous()
    best = torch.full_like(y, 1e3)
    second = torch.full_like(y, 1e3)
    owner = torch.zeros(y.shape, dtype=torch.int32, device=y.device)
    reach = 2.2 * p.spacing + p.swell + 2.5 * bend
    z = axes.z.flatten()
    for index in range(len(layer.centres)):
        cy, cx = layer.centres[index].tolist()
        window = axes.window(cy, cx, reach)
        if window is None:
            continue
        up = z - float(layer.nucleus_z[index])
        swell = p.swell * torch.exp(-((up / (1.3 * layer.nucleus_rz[index])) ** 2))
        middle = (cy + up * layer.lean[index, 0])[:, None, None]
        across = (cx + up * layer.lean[index, 1])[:, None, None]
        distance = torch.hypot(y[window] - middle, x[window] - across)
        distance -= swell[:, None, None]
        near, far, own = best[window], second[window], owner[window]
        closer = distance < near
        torch.minimum(far, torch.maximum(near, distance), out=far)
        torch.minimum(near, distance, out=near)
        own.masked_fill_(closer, index)
    return ((second - best) / 2).clamp_max(20.0), owner


def _smooth_minimum(a: torch.Tensor, b: torch.Tensor, width: float) -> torch.Tensor:
    """The smaller of two distances, without an edge where they meet."""
    return (
        torch.minimum(a, b) - width * torch.relu(1 - (a - b).abs() / (3 * width)) ** 2
    )


def grow_cells(p: ColonyParameters, shape: Grid, fields: RandomFields) -> Cells:
    """Grow the cells of one colony.

    Parameters
    ----------
    p : ColonyParameters
    shape : tuple of int
        (D, H, W) voxels of ``fields.voxel`` µm.
    fields : RandomFields

    Returns
    -------
    Cells
    """
    depth, height, width = shape
    axes = Axes.of(shape, fields.voxel, fields.generator.device)
    z, y, x = axes.z, axes.y, axes.x
    lateral = (y * math.cos(p.heading) + x * math.sin(p.heading)) * p.tilt
    floor = p.floor + lateral[0] + 0.3 * fields.plane(6.0)
    layer = _layer(p, floor, fields)
    wall, owner = _walls(p, layer, axes, fields)
    apex = min(depth - 1, int((p.floor + 0.8 * p.height) / fields.voxel))
    roof = floor + layer.height[owner[apex].long()] + 0.4 * fields.plane(3.0)
    top = roof - z - p.dome * torch.exp(-wall / 1.5)
    bottom = z - floor
    body = inside(top) * inside(bottom)
    if p.edge:
        rim = (
            (y - height * fields.voxel / 2) * math.sin(p.heading)
            + (x - width * fields.voxel / 2) * math.cos(p.heading)
            + fields.uniform(0.1, 0.4) * height * fields.voxel
            + 2.0 * fields.plane(6.0)
        )
        body = body * inside(rim, 0.3)
        top = torch.minimum(top, rim.expand(shape))
    nuclei = grow_nuclei(
        p, axes, owner, layer.nucleus_z, layer.nucleus_rz, layer.rand, fields
    )
    nucleus = nuclei.distance
    for limit in (wall - 0.25, top - 0.3, bottom - 0.25):
        nucleus = _smooth_minimum(nucleus, limit, 0.35)
    return Cells(
        wall, top, bottom, body, nucleus, nuclei.brightness, nuclei.mitosis,
        nuclei.nucleoli * inside(nucleus - 0.4), nuclei.poles,
    )  # fmt: skip
