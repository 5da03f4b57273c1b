"""``python -m napari_sparsessp.cli``, as ``accelerate launch -m`` wants it."""

from napari_sparsessp.cli.main import app_main

if __name__ == "__main__":
    app_main()
