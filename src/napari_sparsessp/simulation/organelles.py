"""The twelve structures inside the cells, and their refractive index."""

from dataclasses import dataclass

import torch

from napari_sparsessp.simulation.cells import Axes, Cells
from napari_sparsessp.simulation.parameters import (
    ColonyParameters,
    RandomFields,
    inside,
    shell,
)


def _near_poles(cells: Cells, fields: RandomFields, radius: float) -> torch.Tensor:
    """1 at a point beside each nucleus, falling off over `radius` µm."""
    _, height, width = fields.shape
    voxel, device = fields.voxel, fields.generator.device
    axes = Axes.of(fields.shape, voxel, device)
    out = torch.zeros(fields.shape, device=device)
    reach = int(3 * radius / voxel)
    for pz, py, px in cells.poles.tolist():
        row, column = int(py / voxel), int(px / voxel)
        if not (-reach < row < height + reach and -reach < column < width + reach):
            continue
        rows = slice(max(row - reach, 0), max(row + reach + 1, 0))
        columns = slice(max(column - reach, 0), max(column + reach + 1, 0))
        y, x = axes.y[:, rows] - py, axes.x[:, :, columns] - px
        away = (axes.z - pz) ** 2 + y**2 + x**2
        spot = torch.exp(-away / (2 * radius**2))
        out[:, rows, columns] = torch.maximum(out[:, rows, columns], spot)
    return out


@dataclass(frozen=True, eq=False)
class _Places:
    """Soft masks that several structures share, each (D, H, W)."""

    body: torch.Tensor
    in_nucleus: torch.Tensor
    cytoplasm: torch.Tensor
    resting: torch.Tensor
    perinuclear: torch.Tensor
    rim: torch.Tensor
    apical: torch.Tensor
    basal: torch.Tensor
    wall: torch.Tensor
    patchy: torch.Tensor


def _places(cells: Cells, fields: RandomFields) -> _Places:
    body = cells.body
    in_nucleus = inside(cells.nucleus)
    return _Places(
        body=body,
        in_nucleus=in_nucleus,
        cytoplasm=body * (1 - in_nucleus),
        resting=1 - cells.mitosis,
        perinuclear=torch.exp(-torch.relu(-cells.nucleus) / 2.5),
        rim=shell(cells.nucleus, 0.35),
        apical=torch.exp(-((cells.top - 1.4) ** 2) / 0.9**2),
        basal=torch.exp(-((cells.bottom - 0.4) ** 2) / 0.6**2) * body,
        wall=shell(cells.wall, 0.3) * body,
        patchy=torch.sigmoid(1.5 * fields.smooth(3.0)),
    )


def _nuclear(
    cells: Cells, at: _Places, fields: RandomFields
) -> dict[str, torch.Tensor]:
    """DNA, nuclear envelope, nucleoli."""
    coarse, fine = fields.uniform(0.08, 0.25), fields.uniform(0.08, 0.3)
    chromatin = 1 + fine * fields.smooth(0.5) + coarse * fields.smooth(1.3)
    # Heterochromatin lies against the envelope, and around nucleoli.
    depth = torch.relu(cells.nucleus)
    chromatin = chromatin + fields.uniform(0.0, 0.5) * torch.exp(-depth / 0.5)
    chromatin = chromatin.clamp_min(0.2) * (1 + 1.8 * cells.mitosis)
    hollow = 1 - fields.uniform(0.1, 0.65) * cells.nucleoli
    envelope = at.rim * at.resting * at.body * (1 + 0.25 * fields.smooth(1.0))
    return {
        "dna": at.in_nucleus * cells.brightness * chromatin * hollow,
        "nuclear_envelope": envelope
        + 0.12 * at.in_nucleus * at.resting
        + 0.35 * cells.mitosis * at.body,
        "nucleolus": cells.nucleoli * at.body * (1 + 0.2 * fields.smooth(0.5))
        + 0.08 * at.in_nucleus,
    }


def _cortical(
    cells: Cells, at: _Places, fields: RandomFields
) -> dict[str, torch.Tensor]:
    """Grow the cell's borders: actin, myosin, membrane, junctions."""
    belt = at.wall * at.apical
    fibres = at.basal * fields.filaments(1.8, 0.35)
    face = shell(cells.top, 0.3) + shell(cells.bottom, 0.3)
    face = face * inside(cells.wall + 0.1)
    vesicles = at.cytoplasm * (1 + 4 * fields.puncta(0.5, 1.6))
    plaques = at.wall * fields.puncta(0.5, 0.7) * inside(cells.bottom - 3.0, 1.0)
    junction = torch.exp(-((cells.top - 1.1) ** 2) / 0.5**2) * at.body
    return {
        "actin_filament": at.wall
        + 1.6 * belt
        + 0.5 * shell(cells.top, 0.4) * at.body
        + 1.5 * fibres
        + 0.12 * at.cytoplasm,
        "actomyosin_bundle": 2.0 * belt
        + 0.4 * at.wall
        + 1.4 * fibres
        + 0.3 * at.basal * at.patchy
        + 0.2 * at.cytoplasm,
        "cell_membrane": at.wall + 0.7 * face + 0.12 * vesicles,
        "desmosome": 3.0 * plaques + 0.4 * belt + 0.03 * at.cytoplasm,
        "tight_junction": 2.5 * shell(cells.wall, 0.25) * junction
        + 0.03 * at.cytoplasm,
    }


def _cytoplasmic(
    cells: Cells, at: _Places, fields: RandomFields
) -> dict[str, torch.Tensor]:
    """Endoplasmic reticulum, Golgi, microtubules, mitochondria."""
    poles = _near_poles(cells, fields, 1.6)
    centrosome = _near_poles(cells, fields, 0.5)
    reticulum = 0.35 + fields.sheets(0.8, 0.35)
    ribbons = 0.2 + 1.4 * fields.sheets(0.6, 0.45)
    threads = 0.35 + 0.9 * fields.filaments(0.9, 0.5)
    threads = threads * (0.7 + 1.3 * _near_poles(cells, fields, 3.5))
    tubules = fields.filaments(1.0, 0.4) * (0.3 + 1.5 * at.perinuclear) * at.patchy
    around = (0.4 + 0.9 * at.perinuclear) * (0.6 + 0.6 * at.patchy)
    spread = 0.6 + 0.5 * at.apical + 0.5 * at.patchy
    return {
        "endoplasmic_reticulum": at.cytoplasm * reticulum * around
        + 0.3 * at.rim * at.resting * at.body,
        "golgi_apparatus": at.cytoplasm * (poles * ribbons + 0.03),
        "microtubule": at.cytoplasm * threads * spread + 2.0 * centrosome * at.body,
        "mitochondria": at.cytoplasm * (tubules + 0.06),
    }


def grow_structures(cells: Cells, fields: RandomFields) -> dict[str, torch.Tensor]:
    """Label density (D, H, W) ≥ 0 of the twelve structures, ids sorted."""
    at = _places(cells, fields)
    grown = {
        **_nuclear(cells, at, fields),
        **_cortical(cells, at, fields),
        **_cytoplasmic(cells, at, fields),
    }
    return dict(sorted(grown.items()))


def _vesicles(
    p: ColonyParameters, cells: Cells, cytoplasm: torch.Tensor, fields: RandomFields
) -> torch.Tensor:
    """Endosomes, lysosomes and the like: what makes cytoplasm look grainy.

    They crowd beside and above the nucleus, which looks smooth in between.
    """
    small = fields.puncta(p.vesicle_size, 1.3)
    large = fields.puncta(2 * p.vesicle_size, 1.8)
    crowd = torch.sigmoid(2 * fields.smooth(2.5)) + torch.exp(
        -torch.relu(cells.top - 1.0) / 2.0
    )
    return p.vesicles * cytoplasm * crowd * (small + large).clamp_max(2.0)


def refractive_index(
    p: ColonyParameters,
    cells: Cells,
    structures: dict[str, torch.Tensor],
    fields: RandomFields,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the refractive index minus the medium's, and the imaginary index."""
    body = cells.body
    in_nucleus = inside(cells.nucleus) * (1 - cells.mitosis)
    cytoplasm = body * (1 - inside(cells.nucleus))

    def bounded(name: str) -> torch.Tensor:
        density = structures[name]
        return (
            density / torch.quantile(density[::3, ::3, ::3].flatten(), 0.995)
        ).clamp(0, 1.5)

    o = p.organelles
    index = body * p.cytoplasm + in_nucleus * p.nucleus
    index = index + p.chromatin * in_nucleus * fields.smooth(0.6)
    index = index + 0.012 * cells.mitosis * bounded("dna")
    index = index + p.nucleolus * cells.nucleoli
    index = index + p.envelope * shell(cells.nucleus, 0.25) * body
    index = index + p.membrane * (
        shell(cells.wall, 0.22) * body * fields.uniform(-1.0, 1.0)
        + 0.5 * shell(cells.top, 0.25) * inside(cells.bottom)
    )
    index = index + p.mitochondria * bounded("mitochondria") * cytoplasm
    index = index + o * (
        0.006 * bounded("golgi_apparatus")
        + 0.006 * bounded("endoplasmic_reticulum")
        + 0.003 * bounded("microtubule")
        + 0.010 * bounded("actomyosin_bundle")
        + 0.012 * bounded("desmosome")
        + 0.008 * bounded("tight_junction")
        + 0.006 * bounded("actin_filament")
    )
    index = index + p.granules * cytoplasm * fields.smooth(p.granule_size)
    crowd = torch.relu(fields.smooth(0.35) - 3.2 + 0.09 * p.droplets)
    droplets = (
        (crowd * 3).clamp(0, 1) * cytoplasm * torch.sigmoid(2 * fields.smooth(4.0))
    )
    index = index + p.droplet_index * droplets
    index = index + _vesicles(p, cells, cytoplasm, fields)
    # Matrix below, secretions and debris above and between the cells.
    outside = 1 - body
    index = index + p.debris * outside * fields.smooth(0.7) * torch.sigmoid(
        2 * fields.smooth(3.0)
    )
    index = index + 0.05 * (outside * fields.puncta(0.4, 2.8)).clamp_max(1.0)
    absorption = p.absorption * (
        0.004 * body + 0.02 * droplets + 0.01 * cytoplasm * bounded("mitochondria")
    )
    return index, absorption
