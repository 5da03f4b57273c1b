"""The transmitted-light contrasts that a simulated colony can be seen in."""

from enum import StrEnum


class Contrast(StrEnum):
    """Way in which the refractive index becomes light and dark."""

    BRIGHT_FIELD = "bright-field"
    PHASE_CONTRAST = "phase-contrast"
    DIC = "dic"

    @property
    def label(self) -> str:
        """Name of the channel in files and figures."""
        return {
            Contrast.BRIGHT_FIELD: "Bright-field",
            Contrast.PHASE_CONTRAST: "Phase contrast",
            Contrast.DIC: "DIC",
        }[self]

    @property
    def strength(self) -> float:
        """Standard deviation of a written image over its background, about as seen."""
        return {
            Contrast.BRIGHT_FIELD: 0.08,
            Contrast.PHASE_CONTRAST: 0.25,
            Contrast.DIC: 0.2,
        }[self]
