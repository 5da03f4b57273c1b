"""Write what waveorder says of a weak object, for the tests.

    python tools/waveorder_reference.py

The transfer functions of bright-field on three microscopes, by
``waveorder.optics.compute_weak_object_transfer_function_3D``, in
``tests/simulation/data/waveorder.npz``; ``tests/simulation/test_waveorder.py`` holds
the simulator against them. Needs waveorder, whose other dependencies it does without:
``pip install --no-deps waveorder==3.0.2``.
"""

from pathlib import Path

import numpy as np
import torch

OUT = Path(__file__).parents[1] / "tests" / "simulation" / "data" / "waveorder.npz"
APERTURES = ((0.8, 0.3), (1.0, 0.5), (1.2, 0.6))  # objective, condenser
WAVELENGTH, MEDIUM, VOXEL = 0.6, 1.335, 0.29  # µm, index, µm
PLANES, PIXELS, FINER = 17, 256, 3


def transfer(objective: float, condenser: float) -> tuple[np.ndarray, np.ndarray]:
    """Transfer of index and of absorption at these numerical apertures.

    (PLANES, Q) first-order change of the light for an index contrast of 1, over axial
    and lateral frequencies: the imaginary and the real part, the others vanish. Tapered
    along z by waveorder's Hann window.
    """
    from waveorder import optics

    step = 1 / (PIXELS * VOXEL / FINER)  # finer than the grid: both pupils must fit
    along = torch.fft.fftfreq(PIXELS, 1 / (PIXELS * step))
    radial = torch.hypot(along[:, None], along[None])
    z = torch.fft.ifftshift((torch.arange(PLANES) - PLANES // 2) * VOXEL)
    pupil = optics.generate_pupil(radial, objective, WAVELENGTH)
    source = optics.generate_pupil(radial, condenser, WAVELENGTH)
    inside = WAVELENGTH / MEDIUM
    kernel = optics.generate_propagation_kernel(radial, pupil, inside, z)
    green = optics.generate_greens_function_z(
        radial, pupil, inside, z, axially_even=False
    )
    real, imaginary = optics.compute_weak_object_transfer_function_3D(
        source, source, pupil, kernel, green, VOXEL
    )
    # Its potential is −2 n k² per unit of index; its light goes to larger z.
    potential = -2 * MEDIUM * (2 * torch.pi / WAVELENGTH) ** 2
    shown = along[: PIXELS // 2] < 0.5 / VOXEL
    index = real[:, 0, : PIXELS // 2][:, shown].conj() * potential
    absorption = imaginary[:, 0, : PIXELS // 2][:, shown].conj() * potential
    return index.imag.numpy(), absorption.real.numpy()


def main() -> None:
    """Compute and write."""
    both = np.stack([transfer(*one) for one in APERTURES], 1).astype("f4")
    np.savez_compressed(OUT, index=both[0], absorption=both[1])
    print(OUT, OUT.stat().st_size)


if __name__ == "__main__":
    main()
