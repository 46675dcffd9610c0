"""The catalogue of known models says nothing it cannot: no invented hash, no format that is not there."""

from __future__ import annotations

import json
import re

import pytest

from voxid.cli import main
from voxid.errors import CompatibilityError, InputError
from voxid.zoo.adding import Wish, add_model
from voxid.zoo.catalogue import KnownModel, caveats, known_model, known_models, model_of_hash
from voxid.zoo.fetching import check_address
from voxid.zoo.formats import FORMATS
from voxid.zoo.shelf import check_name

MODELS = list(known_models().values())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_an_entry_is_whole(model: KnownModel) -> None:
    """Address, licences, training speech and a page; a hash only with who says so."""
    assert check_name(model.name) == model.name
    check_address(model.url)
    assert model.page
    check_address(model.page)
    assert model.format is None or model.format in FORMATS
    assert model.format or model.note, "what cannot be added says what to do"
    assert model.licence_code
    assert model.licence_weights
    assert model.training
    assert model.dim in (192, 256, 512)
    assert (model.sha256 is None) == (model.sha256_source is None)
    assert model.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", model.sha256)
    assert model.parameters_millions is None or 0.5 < model.parameters_millions < 100


@pytest.mark.parametrize("model", [m for m in MODELS if m.published], ids=lambda model: model.name)
def test_published_rates_say_where_they_stand(model: KnownModel) -> None:
    assert model.published is not None
    assert set(model.published) == {"vox1_o", "vox1_e", "vox1_h", "source"}
    rates = [model.eer_percent(trials) for trials in ("vox1_o", "vox1_e", "vox1_h")]
    assert rates[0] is not None
    assert all(rate is None or 0.1 < rate < 5 for rate in rates)
    assert "README" in model.published["source"] or "EVALUATION" in model.published["source"]


def test_names_addresses_and_hashes_are_unique() -> None:
    for key in ("name", "url"):
        assert len({getattr(model, key) for model in MODELS}) == len(MODELS)
    hashes = [model.sha256 for model in MODELS if model.sha256]
    assert len(set(hashes)) == len(hashes) > 5
    assert model_of_hash(hashes[0]) is not None
    assert model_of_hash("0" * 64) is None


def test_voxceleb_comes_with_its_caveat() -> None:
    assert "speakers were not asked" in caveats()["VoxCeleb"]
    assert "were not measured by voxid" in caveats()["published"]


def no_torch(*_: object) -> object:
    raise AssertionError("nothing was fetched")


def test_a_model_without_a_hash_wants_one() -> None:
    with pytest.raises(InputError, match="is fetched only with --sha256"):
        add_model(Wish("wespeaker-resnet293-lm"), no_torch)  # type: ignore[arg-type]


def test_another_hash_than_the_catalogues_is_questioned() -> None:
    with pytest.raises(
        InputError, match="the catalogue says that wespeaker-resnet34-lm has SHA-256 7bb2f06e"
    ) as caught:
        add_model(Wish("wespeaker-resnet34-lm", "0" * 64), no_torch)  # type: ignore[arg-type]
    assert caught.value.code == "model_hash_mismatch"


def test_what_voxid_does_not_read_says_what_to_do() -> None:
    with pytest.raises(CompatibilityError, match="export it with torch.onnx.export") as caught:
        add_model(Wish("redimnet-b2-lm"), no_torch)  # type: ignore[arg-type]
    assert caught.value.code == "model_format_unsupported"


def test_an_unknown_name() -> None:
    with pytest.raises(InputError, match="See voxid models catalogue for the names"):
        known_model("titanet")


def test_the_command_line_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "catalogue", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in told["models"]] == list(known_models())
    assert set(told["caveats"]) == set(caveats())
    assert main(["models", "catalogue"]) == 0
    out = capsys.readouterr()
    assert "wespeaker-resnet34-lm" in out.out
    assert "speakers were not asked" in " ".join(out.err.split())
