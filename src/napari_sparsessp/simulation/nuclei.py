"""A nucleus for each cell: resting with its nucleoli, or dividing."""

import math
from dataclasses import dataclass

import torch

from napari_sparsessp.simulation.fields import Grid, RandomFields, inside
from napari_sparsessp.simulation.parameters import ColonyParameters

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


@dataclass(frozen=True, eq=False)
class Nuclei:
    """What `grow_nuclei` gives, each (D, H, W) but the last.

    Attributes
    ----------
    distance : Tensor
        Signed distance in µm to the nearest nuclear envelope; positive inside.
    brightness, mitosis, nucleoli : Tensor
        See `Cells`.
    poles : Tensor
        (N, 3) in µm.
    """

    distance: torch.Tensor
    brightness: torch.Tensor
    mitosis: torch.Tensor
    nucleoli: torch.Tensor
    poles: torch.Tensor


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
    found = [(0.0, 0.0, 0.0)] * count
    for plane in level.unique().tolist():
        flat = owner[plane].flatten().long()
        area = torch.bincount(flat, minlength=count).clamp_min(1)
        at_y = torch.bincount(flat, y[:, None].expand(rows, columns).flatten(), count)
        at_x = torch.bincount(flat, x[None].expand(rows, columns).flatten(), count)
        radius = torch.sqrt(area / math.pi) * voxel
        table = torch.stack([at_y / area * voxel, at_x / area * voxel, radius], dim=1)
        for index in (level == plane).nonzero().flatten().tolist():
            cy, cx, r = table[index].tolist()
            found[index] = (cy, cx, r)
    return found


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


def grow_nuclei(
    p: ColonyParameters,
    axes: Axes,
    owner: torch.Tensor,
    heights: torch.Tensor,
    half_heights: torch.Tensor,
    rand: torch.Tensor,
    fields: RandomFields,
) -> Nuclei:
    """Place an uneven nucleus with nucleoli, or chromosomes, in each cell.

    Parameters
    ----------
    p : ColonyParameters
    axes : Axes
    owner : Tensor
        (D, H, W) index of the cell.
    heights, half_heights : Tensor
        (N,) centre of each nucleus in z and its half height, µm.
    rand : Tensor
        (N, 12), uniform between 0 and 1.
    fields : RandomFields
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
        _footprints(owner, heights, voxel),
        heights.tolist(),
        half_heights.tolist(),
        rand.tolist(),
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
    return Nuclei(
        distance, brightness, mitosis, nucleoli, torch.tensor(poles, device=device)
    )


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
