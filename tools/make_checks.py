"""Write what the shipped models give for a test input, for ``sparsessp models verify``.

    python tools/make_checks.py

Run it after a shipped model has changed, on the machine that made it; look at the
difference before it is committed.
"""

import json

from napari_sparsessp.models.header import read_header
from napari_sparsessp.models.registry import shipped_folder
from napari_sparsessp.models.serialisation import digest_of_file
from napari_sparsessp.models.store import file_sha256, load_model
from napari_sparsessp.models.verification import SHIPPED_CHECKS, make_check


def main() -> None:
    """Make the table anew."""
    table = {}
    for path in sorted(shipped_folder().glob("*.safetensors")):
        digest = digest_of_file(path, read_header(path))
        check = make_check(load_model(path).network, digest)
        table[path.name] = {
            "sha256": file_sha256(path),
            "check": check.model_dump(mode="json"),
        }
    target = shipped_folder() / SHIPPED_CHECKS
    target.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
