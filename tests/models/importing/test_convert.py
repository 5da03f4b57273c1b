"""The model file that an import leaves behind."""

import hashlib

import numpy as np
import pytest
import torch

import published
from napari_sparsessp.errors import InputError, ModelError, OutputError
from napari_sparsessp.models.importing import (
    answers_for,
    import_checkpoint,
    inspect_checkpoint,
)
from napari_sparsessp.models.library import list_models, load_model
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "two.p"
    published.repmode(path)
    return path


@pytest.fixture
def answers(checkpoint):
    return answers_for(inspect_checkpoint(checkpoint))


def test_the_card_says_where_the_model_comes_from_and_how_to_use_it(
    checkpoint, answers
):
    card = load_model(import_checkpoint(checkpoint, answers)).card
    assert card in list_models()
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert card.source == {"format": "RepMode", "file": "two.p", "sha256": digest}
    assert card.structures == ("dna", "nuclear_envelope")
    assert card.scaling == "zscore"
    assert card.ratios == (1.0,)
    assert card.patch == (32, 128, 128)
    assert (card.topology, card.conditioning) == ("3d", "repmode")
    assert card.check is not None


def test_no_model_is_replaced_unasked(checkpoint, answers):
    target = import_checkpoint(checkpoint, answers)
    before = target.read_bytes()
    with pytest.raises(OutputError, match=r"exists already.*--id.*--overwrite"):
        import_checkpoint(checkpoint, answers)
    other = answers.model_copy(update={"name": "Another"})
    import_checkpoint(checkpoint, other, overwrite=True)
    assert target.read_bytes() != before
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("shipped", ["default", "colony-3to2d"])
def test_a_shipped_model_cannot_be_shadowed(checkpoint, answers, shipped):
    with pytest.raises(InputError, match="id of a shipped model"):
        import_checkpoint(checkpoint, answers.model_copy(update={"id": shipped}))


def test_a_refused_checkpoint_leaves_nothing(checkpoint, answers, own_models_folder):
    with torch.serialization.safe_globals([published.Namespace]):
        content = torch.load(checkpoint, weights_only=True)
    content["nn_state"]["conv_out.gate.bias"][0] = float("nan")
    torch.save(content, checkpoint)
    with pytest.raises(ModelError, match="NaN or infinite"):
        import_checkpoint(checkpoint, answers)
    assert list(own_models_folder.iterdir()) == []


def test_weights_that_overflow_are_refused(checkpoint, answers):
    """Finite weights may still give infinite values."""
    with torch.serialization.safe_globals([published.Namespace]):
        content = torch.load(checkpoint, weights_only=True)
    for name, tensor in content["nn_state"].items():
        if name.endswith("conv5x5_conv"):
            tensor.fill_(1e38)
    torch.save(content, checkpoint)
    with pytest.raises(ModelError, match="NaN or infinite values for a test input"):
        import_checkpoint(checkpoint, answers)


def test_a_file_or_a_folder_can_be_named(checkpoint, answers, tmp_path):
    file = tmp_path / "new" / "mine.safetensors"
    assert import_checkpoint(checkpoint, answers, file) == file
    assert import_checkpoint(checkpoint, answers, tmp_path / "new").name == (
        "two.safetensors"
    )


def test_progress_goes_up_in_each_stage(checkpoint, answers):
    told = []

    def progress(done, total=None, what=""):
        told.append((what, done / total if total else done))

    import_checkpoint(checkpoint, answers, progress=progress)
    for stage in dict(told):
        shares = [share for what, share in told if what == stage]
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1] <= 1
    assert told[-1] == ("writing", 1.0)


def test_a_network_of_two_channels_is_run_and_not_imported(tmp_path):
    published.repmode(tmp_path / "m.p", inputs=2)
    found = inspect_checkpoint(tmp_path / "m.p")
    with pytest.raises(ModelError, match="takes 2 input channels.*models run"):
        import_checkpoint(found.path, answers_for(found))


@pytest.mark.parametrize(
    ("make", "ratio"),
    [
        (lambda path: published.repmode(path, ("dna", "golgi", "er")), 1),
        (lambda path: published.sparsessp(path), 4),
        (lambda path: published.sparsessp(path, "2d", mapping="none", ratio=4), 4),
        (lambda path: published.fnet(path, outputs=3), 1),
        (lambda path: published.fnet(path, 2, outputs=3), 1),
    ],
)
def test_an_imported_model_predicts(tmp_path, make, ratio):
    path = tmp_path / "best_r4.pth"
    make(path)
    given = {"structures": ["dna", "golgi", "er"]}
    answers = answers_for(inspect_checkpoint(path), **given)
    model = load_model(import_checkpoint(path, answers))
    noise = np.random.default_rng(0).normal(100, 20, (8, 24, 36)).astype(np.float32)
    volume = Volume(noise, "ZYX", (0.29 * ratio, 0.29, 0.29))
    request = PredictionRequest(device="cpu", precision="fp32", structures=("dna",))
    result = predict(model, volume, request=request)
    prediction = np.asarray(result["dna"].array)
    assert prediction.shape[-3:] == (8 * ratio, 24, 36)
    assert np.isfinite(prediction).all()
    assert prediction.std() > 0
