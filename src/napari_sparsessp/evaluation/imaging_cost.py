"""What a sparsity ratio means at the microscope: planes, light, seconds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImagingCost:
    """Imaging every r-th plane, beside imaging every plane.

    Attributes
    ----------
    planes, dense_planes : int
        Of one stack: imaged, and of the dense stack.
    plane_ms : float
        Milliseconds for each plane: exposure, and what moving and reading out take.
    times : int
        Stacks of the time-lapse; 1 for a single stack.
    """

    planes: int
    dense_planes: int
    plane_ms: float = 0.0
    times: int = 1

    @property
    def light(self) -> float:
        """Light dose as a share of that of the dense stack."""
        return self.planes / self.dense_planes

    @property
    def stack_seconds(self) -> float:
        """Seconds to image one stack."""
        return self.planes * self.plane_ms / 1000

    @property
    def dense_stack_seconds(self) -> float:
        """Seconds to image the dense stack."""
        return self.dense_planes * self.plane_ms / 1000

    @property
    def series_seconds(self) -> float:
        """Seconds of imaging in the whole time-lapse."""
        return self.stack_seconds * self.times

    @property
    def dense_series_seconds(self) -> float:
        """Seconds of imaging in the whole time-lapse of dense stacks."""
        return self.dense_stack_seconds * self.times

    @property
    def stacks_for_one(self) -> float:
        """Stacks that can be imaged with the light of one dense stack."""
        return self.dense_planes / self.planes
