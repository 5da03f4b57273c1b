"""What the microscope makes of a colony: transmitted light and fluorescence."""

from napari_sparsessp.simulation.contrasts import Contrast
from napari_sparsessp.simulation.fluorescence import (
    camera_stack,
    fluorescence,
    photon_noise,
)
from napari_sparsessp.simulation.transfer import weak_object_transfer
from napari_sparsessp.simulation.transmitted import (
    brightfield,
    reshape_spectrum,
    transmitted,
)

__all__ = [
    "Contrast",
    "brightfield",
    "camera_stack",
    "fluorescence",
    "photon_noise",
    "reshape_spectrum",
    "transmitted",
    "weak_object_transfer",
]
