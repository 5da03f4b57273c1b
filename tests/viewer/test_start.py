"""Opening the docks is quick and loads no torch; the manifest is valid."""

import json
import subprocess
import sys

import numpy as np

from napari_sparsessp.io.samples import PUBLIC_SAMPLES

CODE = """
import json, sys, time
import napari
viewer = napari.Viewer(show=False)
began = time.process_time()
_, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
opened = time.process_time() - began
import numpy as np
viewer.add_image(np.zeros((8, 64, 64), np.uint8), scale=(1.16, .29, .29),
                 units=("um",) * 3, name="bright-field")
dock.refresh_now()
state = dock.form.foot.state.value
heavy = [name for name in ("torch", "bioio", "skimage.metrics") if name in sys.modules]
for name in sys.argv[1:]:
    viewer.window.add_plugin_dock_widget("napari-sparsessp", name)
imported = [name for name in ("torch", "bioio", "matplotlib") if name in sys.modules]
print(json.dumps([opened, heavy + imported, state, len(dock.form.structures.rows)]))
viewer.close()
"""


def test_the_docks_open_quickly_and_import_no_torch():
    others = ("Compare", "Plan sampling", "Train", "Models")
    command = [sys.executable, "-c", CODE, *others]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, imported, state, structures = json.loads(done.stdout.splitlines()[-1])
    assert imported == []
    assert seconds < 1.5  # 0.1 s of an idle core; a loaded one is slower too
    if structures:  # a model is shipped: its card is enough
        assert state == "ready"


def test_manifest_is_valid():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-sparsessp")
    manifest.validate_imports()
    names = {widget.display_name for widget in manifest.contributions.widgets}
    assert names == {"Predict", "Compare", "Plan sampling", "Train", "Models"}
    keys = {s.key for s in manifest.contributions.sample_data}
    assert keys == {"dense_colony", "sparse_colony", *PUBLIC_SAMPLES}


def test_devices_are_looked_for_only_when_the_list_opens(dock, qtbot):
    box = dock.form.device.native("device")
    assert [box.itemData(i) for i in range(box.count())] == ["auto", "cpu", ""]
    box.showPopup()
    qtbot.waitUntil(lambda: box.findText("GPU (CUDA) – no GPU here") >= 0)
    assert not box.model().item(box.count() - 1).isEnabled()
    box.hidePopup()


def test_run_never_reads_a_pixel_in_the_interface(predict_on, engine):
    """The input is only read by the engine, which the fake one never does."""
    reads = []

    class Watched:
        shape, dtype, ndim = (8, 96, 128), np.dtype("uint16"), 3

        def __getitem__(self, key):
            reads.append(key)
            return np.zeros(self.shape, self.dtype)[key]

    dock = predict_on(Watched(), contrast_limits=(0, 1))
    before = len(reads)
    dock.refresh_now()
    assert len(reads) == before
