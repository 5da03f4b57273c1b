"""Choose device and precision, and find how much memory is free."""

import functools
import importlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DeviceInfo:
    """A device that a user can choose."""

    id: str  # ``cpu``, ``cuda:N`` or ``mps``
    label: str  # With the name of the card
    available: bool = True
    reason: str = ""  # Why not, where it is not available


def list_devices() -> list[DeviceInfo]:
    """List what this machine has; imports torch."""
    import torch

    devices = [DeviceInfo("cpu", f"CPU ({torch.get_num_threads()} threads)")]
    if torch.cuda.is_available():
        devices += [
            DeviceInfo(
                f"cuda:{index}", f"GPU {index}: {torch.cuda.get_device_name(index)}"
            )
            for index in range(torch.cuda.device_count())
        ]
    else:
        reason = (
            "no NVIDIA GPU is visible to torch"
            if torch.backends.cuda.is_built()
            else "this torch is built without CUDA"
        )
        devices.append(DeviceInfo("cuda", "GPU (CUDA)", False, reason))
    mps = torch.backends.mps.is_available()
    devices.append(
        DeviceInfo("mps", "GPU (Apple)", mps, "" if mps else "no Apple GPU is visible")
    )
    return devices


def choose_device(wanted: str) -> "torch.device":
    """Return the device that a request means; InputError lists those that are here."""
    import torch

    available = [device.id for device in list_devices() if device.available]
    if wanted == "auto":
        gpus = [device for device in available if device != "cpu"]
        return torch.device(gpus[0] if gpus else "cpu")
    found = "cuda:0" if wanted == "cuda" else wanted
    if found not in available:
        raise InputError(
            f"device {wanted} is not available; choose one of: "
            f"auto, {', '.join(available)}"
        )
    return torch.device(found)


def choose_precision(
    wanted: str, device: "torch.device", network: NetworkConfig | None = None
) -> str:
    """``fp32``, ``bf16`` or ``fp16``; ``auto`` takes bf16 where the hardware has it.

    And where the network is not slower in it.
    """
    import torch

    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return (
            "bf16"
            if torch.cuda.is_bf16_supported(including_emulation=False)
            else "fp16"
        )
    if device.type == "cpu":
        slow = network is not None and network.slow_in_half
        return "bf16" if _cpu_has_bf16() and not slow else "fp32"
    return "fp32"


def _cpu_has_bf16() -> bool:
    """Whether matrix products in bf16 are a machine instruction here."""
    import torch

    query = getattr(torch.cpu, "get_capabilities", None)  # torch 2.12 or newer
    capabilities: dict[str, object] = query() if query else {}
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def out_of_memory(error: BaseException) -> bool:
    """Whether torch or the system had too little memory, whatever device it was.

    CUDA has an error class of its own; the CPU's allocator (``not enough memory``,
    ``can't allocate memory``) and Apple's only say so in a `RuntimeError`.
    """
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in text
        for words in ("out of memory", "not enough memory", "can't allocate memory")
    )


def loaded_torch() -> Any | None:
    """Return torch if something has loaded all of it already, else None.

    A dock plans on every change while another thread may be loading torch: to import
    it there would freeze the window.
    """
    torch = sys.modules.get("torch")
    spec = getattr(torch, "__spec__", None)
    return None if getattr(spec, "_initializing", torch is None) else torch


def load_meanwhile() -> None:
    """Load torch in a thread, while a file is opened and a request is checked."""
    load = functools.partial(importlib.import_module, "torch")
    threading.Thread(target=load, name="load-torch", daemon=True).start()


def planned_device(wanted: str) -> str:
    """Return the device that a run will most likely take, without loading torch."""
    if loaded_torch() is not None:
        try:
            return str(choose_device(wanted))
        except InputError:
            return "cpu"  # the run itself says that it is not there
    return "cpu" if wanted == "auto" else wanted


def planned_precision(
    wanted: str, device: str, network: NetworkConfig | None = None
) -> str:
    """Return the precision that a run will most likely take, without loading torch."""
    torch = loaded_torch()
    if wanted != "auto" or torch is None:
        # Of two that are possible, the larger in memory.
        return "fp32" if wanted == "auto" else wanted
    return choose_precision(wanted, torch.device(device), network)


def wake_device(wanted: str) -> None:
    """Make a GPU ready, so that the plan can ask how much memory it has free."""
    device = choose_device(wanted)
    if device.type == "cuda":
        import torch

        torch.cuda.mem_get_info(device)


def release_device_memory() -> None:
    """Return to GPUs the memory that torch keeps for later."""
    torch = loaded_torch()
    if torch is None:
        return
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


_NO_LIMIT = 2**60
"""The limit of a group of processes that has none (v1), or more."""


def free_bytes(device: str = "cpu") -> int | None:
    """Bytes that a prediction could take on a device; None where it is not known.

    Never loads torch: the memory of a GPU is known once something else has loaded it.
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
    """Return the bytes that the groups (cgroups) of this process leave it.

    Containers and batch systems bound memory so; the machine's own figure does not
    show it. Pages of files that the group can give back count as free.
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
            limit, used = (_number(folder / name) for name in names[:2])
            if limit is not None and used is not None and limit < _NO_LIMIT:
                cached = _number(folder / "memory.stat", names[2]) or 0
                yield limit, used - cached
            if folder == base:
                break


def _number(path: Path, name: str = "") -> int | None:
    """Read the number of a file, or of the line of it that begins with a name."""
    try:
        words = path.read_text().split()
        return int(words[words.index(name) + 1 if name else 0])
    except (OSError, ValueError, IndexError):  # "max": no limit
        return None
