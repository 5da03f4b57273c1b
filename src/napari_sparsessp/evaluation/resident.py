"""Memory of this process, now and at its peak."""

import sys
from pathlib import Path


def resident_mib(what: str) -> float:
    """Resident memory of this process in MiB.

    Parameters
    ----------
    what : {"VmRSS", "VmHWM"}
        Now, or at its peak so far.
    """
    status = Path("/proc/self/status")
    if status.exists():
        # The usual ru_maxrss would begin with that of the process that started us.
        for line in status.read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) / 2**10
    import psutil

    info = psutil.Process().memory_info()
    if what == "VmRSS":
        return info.rss / 2**20
    if sys.platform == "win32":
        return info.peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
