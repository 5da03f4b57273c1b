"""The machine that something is measured on."""

import os
import platform
from pathlib import Path
from typing import Any


def all_threads() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory and system, without loading torch."""
    import psutil

    return {
        "cpu": _cpu_name(),
        "cores": all_threads(),
        "memory_mib": round(psutil.virtual_memory().total / 2**20),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
