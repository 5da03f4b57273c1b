"""Write the SHA-256 of the shipped models, for ``sparsessp models verify``.

    python tools/make_checks.py

Run it after a shipped model or its card has changed; look at the difference before it
is committed.
"""

import json

from napari_sparsessp.models.library import shipped_folder
from napari_sparsessp.models.verification import SHIPPED_CHECKS
from napari_sparsessp.models.weights import file_sha256


def main() -> None:
    """Write the table."""
    files = sorted(shipped_folder().glob("*.safetensors"))
    table = {path.name: file_sha256(path) for path in files}
    target = shipped_folder() / SHIPPED_CHECKS
    target.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
