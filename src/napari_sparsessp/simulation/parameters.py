"""The widely randomised parameters of one simulated colony."""

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class ColonyParameters:
    """One draw of everything that differs between two simulated colonies.

    Lengths in µm, spatial frequencies in cycles/µm, refractive indices absolute
    for the medium and as differences to it or to the cytoplasm else; docs/simulator.md
    holds them against the literature: Liu et al. 2016 (doi 10.1039/C5LC01445J) for
    cells, Schürmann et al. 2016 (doi 10.1002/jbio.201500273) and Steelman et al. 2017
    (doi 10.1002/jbio.201600314) for nuclei being less dense than cytoplasm. Sizes of
    hiPSC colonies follow Viana et al. 2023 (doi 10.1038/s41586-022-05563-7).
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
    swell: float
    lean: float
    crowding: float
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
    envelope: float
    nucleolus: float
    membrane: float
    mitochondria: float
    organelles: float
    granules: float
    granule_size: float
    vesicles: float
    vesicle_size: float
    debris: float
    droplets: float
    droplet_index: float
    absorption: float
    # bright-field
    wavelength: float
    objective_na: float
    condenser_na: float
    slant: float
    relief: float
    # fluorescence
    blur_xy: float
    blur_z: float
    haze: float
    # phase contrast and DIC
    ring_na: float
    ring_width: float
    ring_transmission: float
    shear: float
    shear_angle: float
    bias: float


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

    spacing = u(8.2, 12.0)
    return ColonyParameters(
        seed=seed,
        spacing=spacing,
        spacing_jitter=u(0.12, 0.3),
        height=u(9.0, 16.5),
        dome=u(0.3, 3.0),
        bend=u(0.05, 0.18),
        floor=u(0.0, 4.0),
        tilt=u(-0.04, 0.04),
        edge=1.0 if rng.random() < 0.2 else 0.0,
        heading=u(0.0, 2 * math.pi),
        swell=u(0.0, 2.4),
        lean=u(0.0, 0.18),
        crowding=u(0.0, 0.9),
        nucleus_size=u(0.8, 1.08),
        nucleus_height=u(3.2, 5.4),
        elongation=u(1.05, 1.4),
        boxiness=u(2.0, 4.0),
        roughness=u(0.1, 0.6),
        mitotic=u(0.0, 0.08),
        medium=u(1.333, 1.338),
        cytoplasm=u(0.016, 0.036),
        nucleus=u(-0.014, 0.002),
        chromatin=log_uniform(0.0015, 0.01),
        envelope=log_uniform(0.0007, 0.008),
        nucleolus=u(0.006, 0.028),
        membrane=log_uniform(0.0015, 0.02),
        mitochondria=u(0.010, 0.045),
        organelles=log_uniform(0.15, 1.2),
        granules=log_uniform(0.002, 0.012),
        granule_size=log_uniform(0.25, 1.2),
        vesicles=log_uniform(0.003, 0.04),
        vesicle_size=u(0.25, 0.45),
        debris=log_uniform(0.001, 0.02),
        droplets=u(0.0, 14.0),
        droplet_index=u(0.05, 0.11),
        absorption=u(0.0, 0.12),
        wavelength=u(0.5, 0.75),
        objective_na=u(0.8, 1.25),
        condenser_na=u(0.2, 0.65),
        slant=u(0.0, 0.3),
        relief=u(0.0, 0.6),
        blur_xy=u(0.12, 0.24),
        blur_z=u(0.35, 0.7),
        haze=u(0.05, 0.3),
        ring_na=u(0.3, 0.5),
        ring_width=u(0.12, 0.25),
        ring_transmission=u(0.15, 0.3),
        shear=u(0.2, 0.3),
        shear_angle=u(0.0, 2 * math.pi),
        bias=u(0.7, 1.6),
    )
