"""Make, copy and rename bundles: models of several files, one row everywhere.

A folder is written under a hidden name beside its place and renamed when it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue, ValidationError

from napari_sparsessp.errors import InputError, OutputError, invalid_field
from napari_sparsessp.files import atomic_write, beside, commit, output_errors, remove
from napari_sparsessp.models.bundle_file import (
    BUNDLE_NAME,
    BundleFile,
    Member,
    bundle_card,
    member_files,
    read_bundle,
)
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.library import (
    card_of,
    check_id_free,
    user_folder,
    weights_file,
)
from napari_sparsessp.models.weights import CARD_KEY, copy_weights, read_header
from napari_sparsessp.tasks import Progress, no_progress

ADVICE = "make room or set SPARSESSP_MODELS to another folder"


def make_bundle(
    id: str,  # noqa: A002 - what a card calls it
    name: str,
    members: Sequence[Path],
    *,
    licence: str = "",
    citation: str = "",
    source: Mapping[str, JsonValue] | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Copy models into a bundle among the user's own; return its folder.

    Parameters
    ----------
    id, name
        Of the bundle; its members keep theirs.
    members
        Model files or folders. Voxel size and topology are the same in all; of two
        that predict the same structure, each is for another modality.
    licence, citation
        Of the whole; those of the members where left out.
    source
        As `ModelCard.source`.
    overwrite
        Replace the user's own bundle of this id.

    Raises
    ------
    InputError
        Id or name cannot be used, or there are no members.
    ModelError
        The members do not make one model, or a model of this id is installed already.
    OutputError
        The folder cannot be written.
    """
    cards = [card_of(Path(path)) for path in members]
    try:
        bundle = BundleFile(
            id=id,
            name=" ".join(name.split()),
            licence=licence,
            citation=citation,
            source=dict(source or {}),
            members=tuple(Member(file=f"{card.id}.safetensors") for card in cards),
        )
    except ValidationError as error:
        where, why = invalid_field(error)
        raise InputError(
            f"no bundle can be made: {where or 'members'} cannot be used ({why}); "
            "correct it"
        ) from error
    bundle_card(bundle, cards)
    return _add(bundle, list(map(Path, members)), overwrite, progress)


def add_bundle(
    folder: Path,
    *,
    id: str | None = None,  # noqa: A002 - what a card calls it
    source: Mapping[str, JsonValue] | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Copy a bundle's folder among the user's models; as `manage.add_model`."""
    card_of(folder)  # all members, before anything is written
    bundle = read_bundle(folder)
    fields = bundle.model_dump(by_alias=True)
    fields["source"] = {**bundle.source, **(source or {})}
    try:
        changed = BundleFile.model_validate(fields | {"id": id or bundle.id})
    except ValidationError as error:
        raise InputError(
            f"{id!r} is no id of a model; write lower-case letters, digits and -"
        ) from error
    return _add(changed, member_files(folder, bundle), overwrite, progress)


def export_bundle(
    folder: Path,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """Copy a bundle to another folder; only a bundle or nothing may be there."""
    bundle = read_bundle(folder)
    if out.suffix == ".safetensors":
        raise OutputError(
            f"{bundle.id} is a bundle of {len(bundle.members)} files, which one file "
            "cannot hold; give the name of a folder"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not overwrite:
            raise OutputError(f"{out} exists already; give another name or --overwrite")
        if not (out / BUNDLE_NAME).is_file():
            raise OutputError(
                f"{out} is no bundle and is not replaced by one; give another name"
            )
        if out.samefile(folder):
            raise OutputError(f"{out} is the model itself; choose another place")
    with output_errors(f"bundle {out}"):
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(bundle, member_files(folder, bundle), out, progress)
    return out


def rename_bundle(folder: Path, name: str) -> ModelCard:
    """Change the name of a bundle; return its new card."""
    changed = read_bundle(folder).model_copy(update={"name": name})
    with atomic_write(folder / BUNDLE_NAME, "bundle") as part:
        part.write_text(changed.to_json(), encoding="utf-8")
    return card_of(folder)


def _add(
    bundle: BundleFile, members: Sequence[Path], overwrite: bool, progress: Progress
) -> Path:
    target = user_folder() / bundle.id
    check_id_free(bundle.id, target, overwrite)
    with output_errors(f"bundle {target}", ADVICE):
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(bundle, members, target, progress)
    return target


def _write(
    bundle: BundleFile, members: Sequence[Path], target: Path, progress: Progress
) -> None:
    """Write the folder of a bundle: all of it or nothing."""
    originals = [weights_file(path) for path in members]
    sizes = [path.stat().st_size for path in originals]
    with _new_folder(target) as folder:
        before = 0

        def copied(done: float, total: float | None = None, what: str = "") -> None:
            progress(before + done, max(sum(sizes), 1), what)

        for path, original, size, file in zip(
            members, originals, sizes, member_files(folder, bundle), strict=True
        ):
            # A card that lies beside has to go into the one file.
            inside = CARD_KEY in read_header(original).metadata
            card = None if inside else card_of(path)
            copy_weights(original, file, card, copied, ADVICE)
            before += size
        with atomic_write(folder / BUNDLE_NAME, "bundle") as part:
            part.write_text(bundle.to_json(), encoding="utf-8")


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Yield a hidden folder that gets its name, or is removed, at the end."""
    folder = beside(target, f"{os.getpid()}.part")
    remove(folder)
    folder.mkdir()
    try:
        yield folder
        commit(folder, target)
    finally:
        remove(folder)
