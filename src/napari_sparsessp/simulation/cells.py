"""Cells of a colony: their shapes, a nucleus for each, and how they move.

Cells lie side by side, each widest where its nucleus lies; a nucleus rests with its
nucleoli, or divides. Live cells move while the planes of a stack are taken.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F

from napari_sparsessp.simulation.parameters import (
    ColonyParameters,
    Grid,
    RandomFields,
    inside,
    lateral_frequencies,
)

FAR = -20.0  # µm outside of any nucleus
Window = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Axes:
    """Positions of the voxels in µm: (D, 1, 1), (1, H, 1) and (1, 1, W)."""

    z: torch.Tensor
    y: torch.Tensor
    x: torch.Tensor
    voxel: float

    @staticmethod
    def of(shape: Grid, voxel: float, device: torch.device) -> "Axes":
        """Axes of a grid that begins at 0."""
        z, y, x = (torch.arange(n, device=device) * voxel for n in shape)
        return Axes(z[:, None, None], y[None, :, None], x[None, None, :], voxel)

    def window(self, y: float, x: float, reach: float) -> Window | None:
        """Voxels within `reach` µm of a point in y and x; None where there are none."""
        slices = [slice(None)]
        for centre, axis in ((y, self.y), (x, self.x)):
            first = max(int((centre - reach) / self.voxel), 0)
            last = min(int((centre + reach) / self.voxel) + 1, axis.numel())
            if first >= last:
                return None
            slices.append(slice(first, last))
        return slices[0], slices[1], slices[2]


@dataclass(frozen=True)
class _Place:
    """Centre, half height and half width of one nucleus, µm."""

    z: float
    y: float
    x: float
    rz: float
    radius: float
    angle: float
    stretch: float


def _footprints(
    owner: torch.Tensor, heights: torch.Tensor, voxel: float
) -> list[tuple[float, float, float]]:
    """Centroid (y, x) and radius in µm of each cell's area at the given heights."""
    depth, rows, columns = owner.shape
    level = (heights / voxel).long().clamp(0, depth - 1)
    count = len(heights)
    y = torch.arange(rows, device=owner.device, dtype=torch.float32)
    x = torch.arange(columns, device=owner.device, dtype=torch.float32)
    placed = [(0.0, 0.0, 0.0)] * count
    for plane in level.unique().tolist():
        flat = owner[plane].flatten().long()
        area = torch.bincount(flat, minlength=count).clamp_min(1)
        at_y = torch.bincount(flat, y[:, None].expand(rows, columns).flatten(), count)
        at_x = torch.bincount(flat, x[None].expand(rows, columns).flatten(), count)
        radius = torch.sqrt(area / math.pi) * voxel
        table = torch.stack([at_y / area * voxel, at_x / area * voxel, radius], dim=1)
        for index in (level == plane).nonzero().flatten().tolist():
            cy, cx, r = table[index].tolist()
            placed[index] = (cy, cx, r)
    return placed


def _shape(place: _Place, axes: Axes, window: Window, p: ColonyParameters,
           stage: float) -> torch.Tensor:  # fmt: skip
    """Signed distance, about, to an ellipsoid or to a dividing cell's chromosomes.

    `stage` below 0 is a resting nucleus, up to 0.5 a metaphase plate, above it the
    two plates of an anaphase on their way apart.
    """
    dz = (axes.z - place.z) / place.rz
    dy, dx = axes.y[:, window[1]] - place.y, axes.x[:, :, window[2]] - place.x
    a = math.cos(place.angle) * dy + math.sin(place.angle) * dx
    b = math.cos(place.angle) * dx - math.sin(place.angle) * dy
    if stage < 0:
        half_a, half_b = place.radius * place.stretch, place.radius / place.stretch
        q = (a / half_a) ** 2 + (b / half_b) ** 2 + dz.abs() ** p.boxiness
        return (1 - torch.sqrt(q + 1e-6)) * min(place.radius, place.rz)
    apart = place.radius * max(0.0, 1.6 * (stage - 0.5))
    half_a, half_b = 0.85 * place.radius, 0.32 * place.radius
    q = (a / half_a) ** 2 + ((b.abs() - apart) / half_b) ** 2 + dz**2
    return (1 - torch.sqrt(q + 1e-6)) * half_b


def _grow_nuclei(
    p: ColonyParameters,
    axes: Axes,
    owner: torch.Tensor,
    layer: "Layer",
    fields: RandomFields,
) -> tuple[torch.Tensor, ...]:
    """Place an uneven nucleus with nucleoli, or chromosomes, in each cell.

    `owner` (D, H, W) is the index of the cell. Returns the last five fields of `Cells`,
    nuclei not yet limited to their cells.
    """
    shape, voxel, device = fields.shape, fields.voxel, fields.generator.device
    distance = torch.full(shape, FAR, device=device)
    brightness = torch.ones(shape, device=device)
    mitosis = torch.zeros(shape, device=device)
    nucleoli = torch.zeros(shape, device=device)
    rough = p.roughness * fields.smooth(2.5)
    lumps = 0.25 * fields.smooth(0.8)
    poles = []
    table = zip(
        _footprints(owner, layer.nucleus_z, voxel),
        layer.nucleus_z.tolist(),
        layer.nucleus_rz.tolist(),
        layer.rand.tolist(),
        strict=True,
    )
    for index, ((cy, cx, cell_radius), cz, rz, r) in enumerate(table):
        if cell_radius < 1.0:
            continue
        radius = p.nucleus_size * cell_radius * (0.9 + 0.2 * r[3])
        place = _Place(cz, cy, cx, rz, radius, math.pi * r[4], math.sqrt(p.elongation))
        window = axes.window(cy, cx, 1.8 * max(radius, rz))
        assert window is not None
        dividing = r[6] < p.mitotic
        own = _shape(place, axes, window, p, r[7] if dividing else -1.0)
        own = own + rough[window] * (0.3 if dividing else 1.0)
        own = own.masked_fill(owner[window] != index, FAR)
        closest = own > distance[window]
        distance[window] = torch.where(closest, own, distance[window])
        level = math.exp(0.5 * (r[5] - 0.5))
        brightness[window].masked_fill_(closest, level)
        mitosis[window].masked_fill_(closest, float(dividing))
        poles.append((cz + 0.5 * rz, cy + (radius + 0.6) * math.cos(7 * place.angle),
                      cx + (radius + 0.6) * math.sin(7 * place.angle)))  # fmt: skip
        if not dividing:
            _add_nucleoli(nucleoli, lumps, place, axes, fields)
    at = torch.tensor(poles, device=device)
    return distance, brightness, mitosis, nucleoli, at


def _add_nucleoli(
    nucleoli: torch.Tensor, lumps: torch.Tensor, place: _Place, axes: Axes,
    fields: RandomFields,
) -> None:  # fmt: skip
    """Draw one to four lumpy spheres into the middle of a nucleus."""
    for _ in range(1 + int(fields.uniform(0, 3.99))):
        z = place.z + place.rz * fields.uniform(-0.5, 0.5)
        y = place.y + place.radius * fields.uniform(-0.5, 0.5)
        x = place.x + place.radius * fields.uniform(-0.5, 0.5)
        size = fields.uniform(0.7, 1.7)
        window = axes.window(y, x, size + 1.5)
        if window is None:
            continue
        away = torch.sqrt(
            (axes.z - z) ** 2
            + (axes.y[:, window[1]] - y) ** 2
            + (axes.x[:, :, window[2]] - x) ** 2
        )
        spot = inside(size - away + lumps[window], 0.12)
        nucleoli[window] = torch.maximum(nucleoli[window], spot)


@dataclass(frozen=True, eq=False)
class Cells:
    """Distances (µm) and masks on the grid (D, H, W), and per-nucleus facts."""

    wall: torch.Tensor  # distance to the border with the next cell, ≥ 0
    # top, bottom: height above the bottom face and below the top face; positive inside.
    top: torch.Tensor
    bottom: torch.Tensor
    body: torch.Tensor  # soft mask of the cells, 0 to 1
    # Signed distance to the nearest nuclear envelope; positive inside.
    nucleus: torch.Tensor
    brightness: torch.Tensor  # DNA content around each voxel's nucleus, about 1
    mitosis: torch.Tensor  # 1 near a dividing cell's nucleus, else 0
    nucleoli: torch.Tensor  # soft mask of the nucleoli, 0 to 1
    # (N, 3) positions (z, y, x) in µm beside each nucleus, for Golgi and centrosome.
    poles: torch.Tensor


@dataclass(frozen=True, eq=False)
class Layer:
    """The cells of a colony one by one, lengths in µm."""

    centres: torch.Tensor  # (N, 2), (y, x) at half the cell's height
    lean: torch.Tensor  # (N, 2) by which the centre moves for each µm upwards
    height: torch.Tensor  # (N,)
    # nucleus_z, nucleus_rz: (N,) centre and half height of the nucleus.
    nucleus_z: torch.Tensor
    nucleus_rz: torch.Tensor
    rand: torch.Tensor  # (N, 12), uniform between 0 and 1, for what else differs


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


def grow_cells(p: ColonyParameters, shape: Grid, fields: RandomFields) -> Cells:
    """Grow the cells of one colony."""
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
    nucleus, brightness, mitosis, nucleoli, poles = _grow_nuclei(
        p, axes, owner, layer, fields
    )
    for limit in (wall - 0.25, top - 0.3, bottom - 0.25):
        # The smaller of two distances, without an edge where they meet.
        near = torch.relu(1 - (nucleus - limit).abs() / (3 * 0.35)) ** 2
        nucleus = torch.minimum(nucleus, limit) - 0.35 * near
    return Cells(
        wall, top, bottom, body, nucleus, brightness, mitosis,
        nucleoli * inside(nucleus - 0.4), poles,
    )  # fmt: skip


REST = 0.9
"""Share of a displacement that is left a plane later."""


def drifting_speckle(
    stack: torch.Tensor, voxel: float, rate: float, generator: torch.Generator
) -> torch.Tensor:
    """Texture with a stack's own lateral spectrum that forgets itself along z.

    Of diffusing granules, the correlation between planes falls as exp(−rate q²) for
    each plane at the spatial frequency q, as it does in real stacks. `rate` is in µm²
    a plane: about 0.5 in a stack of live hiPSC with 0.29 µm between planes.
    """
    power = torch.fft.rfft2(stack - stack.mean()).abs().square().mean(0)
    lateral = lateral_frequencies(stack.shape[1:], voxel).to(stack.device)
    bins = (torch.sqrt(lateral) / 0.06).long().flatten()
    counts = torch.bincount(bins).clamp_min(1)
    radial = torch.bincount(bins, power.flatten()) / counts
    gain = radial[bins].sqrt().view_as(power)
    speckle = _remembered(len(stack), gain, torch.exp(-rate * lateral), generator)
    speckle = torch.fft.irfft2(speckle, s=stack.shape[1:])
    return speckle - speckle.mean()


def jostled(
    stack: torch.Tensor,
    voxel: float,
    step: float,
    length: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Move the content of each plane about, smoothly in space, at random in time.

    `step` is the standard deviation of the movement along an axis from one plane to
    the next, about 0.15 µm in a stack of live hiPSC; neighbours move together over
    `length` µm.
    """
    depth, height, width = stack.shape
    lateral = lateral_frequencies((height, width), voxel).to(stack.device)
    gain = torch.exp(-(math.pi**2) * lateral * length**2)
    memory = torch.full_like(gain, REST)
    # What is replaced in a step has this share of the variance.
    size = step / math.sqrt(2 * (1 - REST))
    places = []
    for axis, extent in ((2, width), (1, height)):  # grid_sample wants x first
        moved = _remembered(depth, gain, memory, generator)
        moved = torch.fft.irfft2(moved, s=(height, width))
        pixels = size / voxel * moved / moved.std().clamp_min(1e-6)
        at = torch.arange(extent, device=stack.device, dtype=stack.dtype)
        at = at.view([extent if one == axis else 1 for one in range(3)])
        places.append((2 * (at + pixels) + 1) / extent - 1)
    grid = torch.stack(places, dim=-1)
    return F.grid_sample(
        stack[:, None], grid, mode="bicubic", padding_mode="reflection",
        align_corners=False,
    )[:, 0]  # fmt: skip


def _remembered(
    depth: int, gain: torch.Tensor, memory: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Random spectra (D, H, W/2 + 1), each `memory` times the one below, and new."""
    white = torch.view_as_complex(
        torch.randn((depth, *gain.shape, 2), generator=generator, device=gain.device)
    )
    fresh = torch.sqrt(1 - memory**2)
    for before, here in pairwise(white):
        here.mul_(fresh).add_(memory * before)
    return white.mul_(gain / math.sqrt(2))
