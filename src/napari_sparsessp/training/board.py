"""TensorBoard files of a training, where that package is installed."""

from collections.abc import Callable
from pathlib import Path

from napari_sparsessp.training.loop import LOG_STEPS, Status


def open_board(folder: Path) -> Callable[[Status], None] | None:
    """Give a listener that writes TensorBoard files, or None without TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    writer = SummaryWriter(str(folder))

    def listen(status: Status) -> None:
        if status.step % LOG_STEPS == 0 or status.entry is not None:
            writer.add_scalar("loss", status.loss, status.step)
            writer.add_scalar("rate", status.rate, status.step)
        if status.entry is not None:
            for structure, scores in status.entry.get("scores", {}).items():
                for ratio, value in scores.items():
                    writer.add_scalar(f"r2/{structure}/{ratio}", value, status.step)
            if status.entry.get("r2") is not None:
                writer.add_scalar("r2/mean", status.entry["r2"], status.step)
            writer.flush()

    return listen
