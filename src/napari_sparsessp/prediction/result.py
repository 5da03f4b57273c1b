"""What a finished prediction gives back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from napari_sparsessp.prediction.events import Planned
from napari_sparsessp.prediction.report import Report
from napari_sparsessp.volume import Volume


@dataclass(frozen=True, eq=False)
class PredictionResult(Mapping[str, Volume]):
    """Predicted volumes by structure id, their deviations by ``dna_std``, the report.

    Attributes
    ----------
    volume : Volume
        CZYX or TCZYX, channel names = structure ids, then, with uncertainty asked
        for, ``{id}_std`` for each.
    report : Report
    """

    volume: Volume
    report: Report

    def __getitem__(self, structure: str) -> Volume:
        """Volume (ZYX or TZYX) of one structure, or of its deviation."""
        if structure not in self.volume.channel_names:
            raise KeyError(structure)
        return self.volume.channel(structure)

    def __iter__(self) -> Iterator[str]:
        """Names of the channels, in their order."""
        return iter(self.volume.channel_names)

    def __len__(self) -> int:
        """Count the channels."""
        return len(self.volume.channel_names)


def output_volume(planned: Planned) -> Volume:
    """The buffer of a run as a volume with its place in space."""
    plan = planned.plan
    return Volume(
        planned.buffer,
        plan.output_axes,
        plan.voxel_size,
        plan.channels,
        plan.origin,
        name=plan.volume.name,
        source=plan.volume.source,
    )
