"""The geometry of a colony: cells in a layer, a nucleus in each."""

import math
from dataclasses import dataclass

import torch

from napari_sparsessp.simulation.fields import Grid, RandomFields, inside
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


def _walls(
    centres: torch.Tensor, y: torch.Tensor, x: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance to the Voronoi border, and index of the own cell."""
    best = torch.full_like(y, 1e6)
    second = torch.full_like(y, 1e6)
    owner = torch.zeros(y.shape, dtype=torch.int64, device=y.device)
    for index, (cy, cx) in enumerate(centres):
        distance = torch.hypot(y - cy, x - cx)
        closer = distance < best
        second = torch.where(closer, best, torch.minimum(second, distance))
        owner = torch.where(closer, torch.full_like(owner, index), owner)
        best = torch.minimum(best, distance)
    return (second - best) / 2, owner


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
    device = fields.generator.device
    voxel = fields.voxel
    z = (torch.arange(depth, device=device) * voxel)[:, None, None]
    y = (torch.arange(height, device=device) * voxel)[None, :, None]
    x = (torch.arange(width, device=device) * voxel)[None, None, :]
    bend = p.bend * p.spacing
    warped_y = (y + bend * fields.smooth(4.0, 8.0)).expand(shape)
    warped_x = (x + bend * fields.smooth(4.0, 8.0)).expand(shape)
    centres = _centres(p, (height * voxel, width * voxel), fields)
    wall, owner = _walls(centres, warped_y, warped_x)

    rand = torch.rand(
        (len(centres), 8), generator=fields.generator, device=device
    )  # per-cell randomness, one row a cell
    lateral = (y * math.cos(p.heading) + x * math.sin(p.heading)) * p.tilt
    floor = p.floor + lateral[0] + 0.3 * fields.plane(6.0)
    cell_height = p.height * (0.85 + 0.3 * rand[:, 0])
    roof = floor + cell_height[owner[depth // 2]] + 0.4 * fields.plane(3.0)
    top = roof - z - p.dome * torch.exp(-wall / 1.5)
    bottom = z - floor
    body = inside(top) * inside(bottom)
    if p.edge:
        rim = (
            (y - height * voxel / 2) * math.sin(p.heading)
            + (x - width * voxel / 2) * math.cos(p.heading)
            + fields.uniform(0.1, 0.4) * height * voxel
            + 2.0 * fields.plane(6.0)
        )
        body = body * inside(rim, 0.3)
        top = torch.minimum(top, rim.expand(shape))
    nuclei = _grow_nuclei(p, (z, y, x), owner, rand, cell_height, floor, fields)
    nucleus, brightness, mitosis, nucleoli, poles = nuclei
    nucleus = torch.minimum(nucleus, torch.minimum(wall - 0.35, top - 0.35))
    nucleus = torch.minimum(nucleus, bottom - 0.25)
    return Cells(wall, top, bottom, body, nucleus, brightness, mitosis, nucleoli, poles)


def _footprints(
    owner: torch.Tensor, count: int, voxel: float
) -> tuple[list[float], list[float], list[float]]:
    """Centroid (y, x) and radius in µm of each cell's area in the middle plane."""
    plane = owner[owner.shape[0] // 2]
    flat = plane.flatten()
    rows = torch.arange(plane.shape[0], device=owner.device, dtype=torch.float32)
    columns = torch.arange(plane.shape[1], device=owner.device, dtype=torch.float32)
    area = torch.bincount(flat, minlength=count).float()
    y = torch.bincount(flat, rows[:, None].expand(plane.shape).flatten(), count)
    x = torch.bincount(flat, columns[None].expand(plane.shape).flatten(), count)
    known = area.clamp_min(1)
    radius = torch.sqrt(area / math.pi) * voxel
    return (
        (y / known * voxel).tolist(),
        (x / known * voxel).tolist(),
        radius.tolist(),
    )


def _grow_nuclei(
    p: ColonyParameters,
    axes: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    owner: torch.Tensor,
    rand: torch.Tensor,
    cell_height: torch.Tensor,
    floor: torch.Tensor,
    fields: RandomFields,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Place an uneven ellipsoid with nucleoli in each cell."""
    z, y, x = axes
    shape, voxel, device = fields.shape, fields.voxel, fields.generator.device
    nucleus = torch.full(shape, -20.0, device=device)
    brightness = torch.ones(shape, device=device)
    mitosis = torch.zeros(shape, device=device)
    nucleoli = torch.zeros(shape, device=device)
    rough = p.roughness * fields.smooth(2.5)
    lumps = 0.25 * fields.smooth(0.8)
    poles = []
    footprints = _footprints(owner, len(rand), voxel)
    for index, (cy, cx, cell_radius) in enumerate(zip(*footprints, strict=True)):
        if cell_radius < 1.0:
            continue
        r = rand[index].tolist()
        row, column = int(cy / voxel), int(cx / voxel)
        rz = min(
            p.nucleus_height * (0.85 + 0.3 * r[1]), 0.45 * float(cell_height[index])
        )
        slack = float(cell_height[index]) - 2 * rz
        cz = float(floor[row, column]) + rz + max(slack, 0.0) * (0.05 + 0.55 * r[2])
        radius = p.nucleus_size * cell_radius * (0.9 + 0.2 * r[3])
        dividing = r[6] < p.mitotic
        angle = math.pi * r[4]
        stretch = math.sqrt(p.elongation) * (1.5 if dividing else 1.0)
        reach = int(1.7 * max(radius, rz) * (1.5 if dividing else 1.0) / voxel)
        window = (
            slice(None),
            slice(max(row - reach, 0), row + reach + 1),
            slice(max(column - reach, 0), column + reach + 1),
        )
        dy, dx, dz = y[:, window[1]] - cy, x[:, :, window[2]] - cx, z - cz
        a = (math.cos(angle) * dy + math.sin(angle) * dx) / (radius * stretch)
        b = (math.cos(angle) * dx - math.sin(angle) * dy) / (radius / stretch)
        q = torch.sqrt(a**2 + b**2 + (dz / rz).abs() ** p.boxiness + 1e-6)
        own = (1 - q) * min(radius, rz) + rough[window]
        own = torch.where(owner[window] == index, own, torch.full_like(own, -20.0))
        closest = own > nucleus[window]
        nucleus[window] = torch.where(closest, own, nucleus[window])
        level = math.exp(0.5 * (r[5] - 0.5))
        brightness[window] = torch.where(closest, level, brightness[window])
        mitosis[window] = torch.where(closest, float(dividing), mitosis[window])
        poles.append((cz + 0.5 * rz, cy + (radius + 0.6) * math.cos(7 * angle),
                      cx + (radius + 0.6) * math.sin(7 * angle)))  # fmt: skip
        if dividing:
            continue
        for _ in range(1 + int(fields.uniform(0, 3.99))):
            nz = cz + rz * fields.uniform(-0.5, 0.5)
            ny = cy + radius * fields.uniform(-0.5, 0.5)
            nx = cx + radius * fields.uniform(-0.5, 0.5)
            size = fields.uniform(0.7, 1.7)
            away = torch.sqrt(
                (z - nz) ** 2
                + (y[:, window[1]] - ny) ** 2
                + (x[:, :, window[2]] - nx) ** 2
            )
            spot = inside(size - away + lumps[window], 0.12)
            nucleoli[window] = torch.maximum(nucleoli[window], spot)
    nucleoli = nucleoli * inside(nucleus - 0.4)
    return nucleus, brightness, mitosis, nucleoli, torch.tensor(poles, device=device)
