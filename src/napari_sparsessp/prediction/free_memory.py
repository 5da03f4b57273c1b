"""How much memory is free: on the CPU, inside what a container may take; on GPUs."""

import sys
from collections.abc import Iterator
from pathlib import Path

from napari_sparsessp.prediction.device import loaded_torch

_NO_LIMIT = 2**60
"""What groups of processes have as a limit where they have none (v1), or more."""


def free_bytes(device: str = "cpu") -> int | None:
    """Bytes that a prediction could take on a device.

    Never loads torch: the memory of a GPU is known once something else has loaded it.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda:N`` or ``mps``.

    Returns
    -------
    int or None
        None where nobody knows.
    """
    if device == "cpu":
        return _free_here()
    torch = loaded_torch()
    if torch is None:
        return None
    try:
        if device.startswith("cuda"):
            if not torch.cuda.is_initialized():  # to ask would take seconds
                return None
            free, _ = torch.cuda.mem_get_info(torch.device(device))
            # What torch has taken from the device and does not use is free to it.
            spare = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(
                device
            )
            return int(free + max(spare, 0))
        most = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    except (RuntimeError, AttributeError, AssertionError):
        return None
    # An Apple GPU has no memory of its own.
    return int(min(max(most, 0), _free_here()))


def _free_here() -> int:
    import psutil

    left = [psutil.virtual_memory().available, *group_left()]
    if hasattr(psutil, "RLIMIT_AS"):  # Linux; batch systems set it
        process = psutil.Process()
        soft, _ = process.rlimit(psutil.RLIMIT_AS)
        if 0 <= soft < _NO_LIMIT:
            left.append(max(0, soft - process.memory_info().vms))
    return min(left)


def group_left(root: Path = Path("/")) -> list[int]:
    """What the groups (cgroups) that this process is in leave it, in bytes.

    Containers and batch systems bound memory so; the machine's own figure does not
    show it. Pages of files that the group can give back count as free.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    if not sys.platform.startswith("linux"):
        return []
    return [max(0, limit - used) for limit, used in _groups(root)]


def _groups(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) of each group that has a limit, from the innermost outwards."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mount = root / "sys/fs/cgroup"
    for line in lines:
        _, kinds, path = [*line.split(":", 2), "", ""][:3]
        if not kinds:
            base, names = mount, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in kinds.split(","):
            base = mount / "memory"
            names = (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            )
        else:
            continue
        # In a container the path may be the host's, and the mount the group itself.
        inner = base / path.strip("/")
        folders = [inner, *inner.parents] if inner.is_dir() else [base]
        for folder in folders:
            limit = _number(folder / names[0])
            used = _number(folder / names[1])
            if limit is not None and used is not None and limit < _NO_LIMIT:
                yield limit, used - _statistic(folder / "memory.stat", names[2])
            if folder == base:
                break


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max": no limit
        return None


def _statistic(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(one.split()[1]) for one in lines if one.startswith(f"{name} ")), 0)
