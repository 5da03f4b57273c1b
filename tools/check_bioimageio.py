"""Run bioimageio.core's own test on exported models, and our tests that need it.

In an environment in FOLDER, which borrows torch from this one: bioimageio.core 0.11
pins bioimageio.spec 0.5.12, which fails beside pydantic 2.14 (0.5.14 does not).

    python tools/check_bioimageio.py FOLDER [MODEL[:RATIO] ...]
"""

import os
import site
import subprocess
import sys
import venv
from argparse import ArgumentParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = "colony-3to2d colony-2to3d colony-3d colony-2d hipsc-dna neurons-isl"
EXPORT = (sys.executable, "-m", "napari_sparsessp.cli", "models", "export")
TESTS = ROOT / "tests" / "models" / "test_bioimageio.py"
TEST = """
import sys
from bioimageio.core import test_description
verdicts = set()
for path in sys.argv[1:]:
    summary = test_description(path, weight_format="torchscript", devices=["cpu"])
    print(summary.status, path)
    print(*(f"   {part.status}: {part.name}" for part in summary.details), sep="\\n")
    print(*(one.msg for part in summary.details for one in part.errors), sep="\\n")
    verdicts.add(summary.status)
sys.exit(verdicts != {"passed"})
"""


def main() -> None:
    """Make the environment, export the models and test them."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", help="all shipped ones if left out")
    options = parser.parse_args()
    folder = options.folder.resolve()
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(folder / "env", with_pip=True)
        place = next((folder / "env").rglob("site-packages"))
        (place / "borrowed.pth").write_text("\n".join(site.getsitepackages()))
    install = ("install", "--quiet", "bioimageio.core>=0.11", "pydantic<2.14")
    subprocess.run([python, "-m", "pip", *install], check=True)
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    packages = []
    for model in options.models or SHIPPED.split():
        name, _, ratio = model.partition(":")
        packages.append(str(folder / f"{model.replace(':', '-r')}.zip"))
        more = ["--out", packages[-1], "--overwrite", *["--ratio", ratio] * bool(ratio)]
        subprocess.run([*EXPORT, name, *more], check=True)
    subprocess.run([python, "-c", TEST, *packages], check=True)
    subprocess.run([python, "-m", "pytest", "-q", TESTS], check=True)


if __name__ == "__main__":
    main()
