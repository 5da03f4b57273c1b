"""The widely randomised parameters of one simulated colony."""

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class ColonyParameters:
    """One draw of everything that differs between two simulated colonies.

    Lengths in µm, spatial frequencies in cycles/µm, refractive indices absolute
    for the medium and as differences else. Ranges: refractive indices from Liu et
    al. 2016 (doi 10.1117/1.JBO.21.9.090901) widened; sizes of hiPSC colonies from
    Viana et al. 2023 (doi 10.1038/s41586-022-05563-7).
    """

    seed: int
    # cells
    spacing: float
    spacing_jitter: float
    height: float
    dome: float
    bend: float
    floor: float
    tilt: float
    edge: float
    heading: float
    # nuclei
    nucleus_size: float
    nucleus_height: float
    elongation: float
    boxiness: float
    roughness: float
    mitotic: float
    # refractive index
    medium: float
    cytoplasm: float
    nucleus: float
    chromatin: float
    nucleolus: float
    membrane: float
    mitochondria: float
    organelles: float
    granules: float
    granule_size: float
    debris: float
    droplets: float
    droplet_index: float
    absorption: float
    # bright-field
    wavelength: float
    objective_na: float
    condenser_na: float
    # fluorescence
    blur_xy: float
    blur_z: float
    haze: float


def draw_parameters(seed: int) -> ColonyParameters:
    """Draw the parameters that belong to a seed.

    Parameters
    ----------
    seed : int
        Same seed, same colony.

    Returns
    -------
    ColonyParameters
    """
    rng = random.Random(seed)
    u = rng.uniform

    def log_uniform(low: float, high: float) -> float:
        return math.exp(u(math.log(low), math.log(high)))

    spacing = u(9.5, 14.5)
    return ColonyParameters(
        seed=seed,
        spacing=spacing,
        spacing_jitter=u(0.12, 0.3),
        height=u(9.0, 14.5),
        dome=u(0.3, 3.0),
        bend=u(0.04, 0.14),
        floor=u(0.0, 4.0),
        tilt=u(-0.04, 0.04),
        edge=1.0 if rng.random() < 0.3 else 0.0,
        heading=u(0.0, 2 * math.pi),
        nucleus_size=u(0.66, 0.92),
        nucleus_height=u(3.4, 5.8),
        elongation=u(1.05, 1.4),
        boxiness=u(2.0, 4.0),
        roughness=u(0.1, 0.6),
        mitotic=u(0.0, 0.1),
        medium=u(1.333, 1.338),
        cytoplasm=u(0.016, 0.036),
        nucleus=u(-0.014, 0.002),
        chromatin=log_uniform(0.0015, 0.008),
        nucleolus=u(0.006, 0.028),
        membrane=u(0.004, 0.03),
        mitochondria=u(0.010, 0.045),
        organelles=u(0.3, 1.5),
        granules=log_uniform(0.0015, 0.008),
        granule_size=log_uniform(0.25, 1.2),
        debris=log_uniform(0.001, 0.02),
        droplets=u(0.0, 14.0),
        droplet_index=u(0.05, 0.11),
        absorption=u(0.0, 0.12),
        wavelength=u(0.5, 0.75),
        objective_na=u(0.8, 1.25),
        condenser_na=u(0.2, 0.65),
        blur_xy=u(0.12, 0.24),
        blur_z=u(0.35, 0.7),
        haze=u(0.05, 0.3),
    )
