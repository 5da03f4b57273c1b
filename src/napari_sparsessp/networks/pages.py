"""Large memory pages for torch on Linux.

The features of a tile are tens of megabytes each. In pages of 4 KiB, handing such a
block out costs more than a 1×1 convolution that fills it (docs/speed.md).
"""

import os
import sys

VARIABLE = "THP_MEM_ALLOC_ENABLE"
"""What torch reads before it first takes memory, and never again."""


def ask_for_large_pages() -> None:
    """Have torch ask Linux for pages of 2 MiB, unless the user has said otherwise.

    Needs no torch, and has to come before it takes memory.
    """
    if sys.platform == "linux":
        os.environ.setdefault(VARIABLE, "1")
