"""A gallery whose files lie on an https server of this machine."""

import hashlib
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import published
from file_server import CERTIFICATE, FileServer
from napari_sparsessp.models import gallery

TENSORS = "model.ckpt-pretrained.data"


@cache
def fnet_file():
    """Bytes of a small checkpoint of pytorch_fnet with one output."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.p"
        published.fnet(path)
        return path.read_bytes()


class ServedGallery:
    """Entries in place of the packaged ones; `add` puts files on the server."""

    def __init__(self, settings, monkeypatch):
        self.server = FileServer(https=True).start()
        self.rows = []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("SPARSESSP_CONFIG", str(settings))
        self.file = settings / "gallery.yaml"
        monkeypatch.setattr(gallery, "GALLERY", self.file)
        self.entries()

    def entries(self):
        """The entries, read as those of the package."""
        self.file.write_text(json.dumps(self.rows), encoding="utf-8")
        gallery.read_gallery.cache_clear()
        return gallery.read_gallery()

    def stop(self):
        self.server.stop()
        gallery.read_gallery.cache_clear()

    def add(self, id_, structure="dna", content=None, **changes):
        """Offer a model of one structure; returns its entry."""
        files = [self._serve(id_, "model.p", content or fnet_file())]
        return self._add(
            {"id": id_, "name": f"Real {structure}", "predicts": [structure]}
            | {"format": "fnet-p", "files": files},
            changes,
        )

    def add_gvtnet(self, id_, folder):
        """Offer a checkpoint of TensorFlow; its index has no published checksum."""
        self.add(id_, format="gvtnet-tf1")
        names = ("model.ckpt-pretrained.index", f"{TENSORS}-00000-of-00001")
        files = [self._serve(id_, one, (folder / one).read_bytes()) for one in names]
        files[0]["git_blob_sha1"] = None
        self.rows[-1]["files"] = files
        return self.entries()[-1]

    def _serve(self, id_, file, content):
        name = f"{id_}/{file}"
        self.server.files[name] = content
        blob = b"blob %d\0" % len(content) + content
        return {
            "name": file,
            "url": self.server.url(name),
            "size": len(content),
            "git_blob_sha1": hashlib.sha1(blob).hexdigest(),
        }

    def add_bundle(self, id_, *members, **changes):
        """Offer earlier entries as one model; returns its entry."""
        shown = [s for one in members for s in one.predicts]
        parts = {"format": "bundle", "members": [one.id for one in members]}
        return self._add({"id": id_, "name": "All of them", "predicts": shown} | parts,
                         changes)  # fmt: skip

    def _add(self, fields, changes):
        plain = {
            "modality": "bright-field",
            "dimension": "3d",
            "voxel_um": [0.29, 0.29, 0.29],
            "scaling": "zscore",
            "cells": "hiPSC colonies",
            "objective": "100×",
            "licence": "GPL-3.0",
            "licence_note": "Nobody says whether it covers the weights.",
            "cite": {"text": "Wang 2021", "doi": "10.1038/s42256-020-00283-x"},
            "page": "https://example.org/models",
            "checked": None,
        }
        self.rows.append(plain | fields | changes)
        return self.entries()[-1]

    def change_file(self, id_, **fields):
        """Change what an entry states of its first file; returns the entry."""
        row = next(row for row in self.rows if row["id"] == id_)
        row["files"][0] |= fields
        return next(one for one in self.entries() if one.id == id_)
