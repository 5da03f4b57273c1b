"""The process that simulates colonies while another one trains.

Takes the fields of a `ColonyJob` with a seed, and answers when its files are there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import OutputError
from napari_sparsessp.subprocesses import serve


def simulate(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Simulate one colony on one thread.

    The number of threads changes the last bits of a colony, and the same seed has to
    give the same colony on any machine of a kind.
    """
    import torch

    from napari_sparsessp.simulation.pool import fill_pool

    torch.set_num_threads(1)
    folder, shape = Path(job["folder"]), tuple(job["shape"])
    cannot_write = ""
    try:
        list(fill_pool(folder, [job["seed"]], job["looks"], job["device"], shape))
    except OutputError as error:
        cannot_write = str(error)
    yield {"seed": job["seed"], "cannot_write": cannot_write}


if __name__ == "__main__":
    serve(simulate)
