"""A sweep's verdict becomes a registered model: once, whole, crowned, and never by running what it was given."""

import json
import os
import pickle
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from folders import write_folder
from models import FRAMES, SPLIT, learnt, make_verdict, record_sweep, write_model
from notes_heard import heard_notes
from tiny import SCENES

import report
from bddseg.checkpoint import BEST, load_checkpoint
from bddseg.errors import DataError
from bddseg.predictor import load_trained
from sweeps.errors import ModelError, NothingToRegisterError, TrackingError, UndecidedError
from sweeps.paths import PREDICT, program
from sweeps.planning.dataset import Source, load_dataset
from sweeps.registry.model_card import render_card
from sweeps.registry.refit import TEST_EVIDENCE
from sweeps.registry.registration import Registration, _refitted, _screened, register
from sweeps.registry.registry import CROWNED, Registry, Version, check_name, default_name
from sweeps.registry.weights import open_weights
from sweeps.report.holdout import Holdout, HoldoutScores, read_openings
from sweeps.statistics.scores import score_evidence
from sweeps.tracking.client import open_client
from sweeps.tracking.reader import Store
from sweeps.tracking.report_upload import ReportUpload
from sweeps.tracking.uri import database_file, default_tracking_uri


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Registration:
    """A sweep in a store that nobody writes to: recording one takes a second."""
    folder = tmp_path_factory.mktemp("recorded")
    shutil.copy(template, folder / "mlflow.db")
    return record_sweep(folder, default_tracking_uri(folder), weights=write_model(folder / "weights"))


@pytest.fixture
def screened(recorded: Registration, tmp_path: Path) -> Registration:
    """The sweep in a store of the test's own."""
    uri = default_tracking_uri(tmp_path)
    source, target = (sqlite3.connect(database_file(address)) for address in (recorded.store.tracking_uri, uri))
    with closing(source), closing(target):
        source.backup(target)
    return replace(recorded, store=Store(uri), ledger=ReportUpload(uri))


def done(registration: Registration) -> tuple[Version, list[str]]:
    """Register; return the version and what was said."""
    with heard_notes() as sentences:
        return register(registration), sentences


def aliases(registration: Registration) -> dict[str, str]:
    aliases_of = open_client(registration.store.tracking_uri).get_registered_model(registration.name).aliases
    return {alias: str(number) for alias, number in aliases_of.items()}


def test_the_leader_of_a_screening_becomes_champion(screened: Registration) -> None:
    version, messages = done(screened)
    assert version.label == "version 1 of streets" and aliases(screened) == {"champion": "1"}
    assert messages == [
        "trial a: the leader of a screening, not confirmed",
        "registered as version 1 of streets; @champion is version 1",
    ]


def test_a_version_says_where_it_comes_from(screened: Registration) -> None:
    tags = done(screened)[0].tags
    assert tags["sweep.id"] == screened.report.sweep_id and tags["sweep.trial_id"] == "a"
    assert tags["sweep.config_digest"] == learnt()[0].digest() and tags["data.fingerprint"] == FRAMES.fingerprint
    assert (tags["verdict.outcome"], tags["model.refit"]) == ("leader", "false")


def test_the_same_trial_is_registered_once(screened: Registration) -> None:
    done(screened)
    version, messages = done(screened)
    assert version.number == "1" and aliases(screened) == {"champion": "1"}
    assert messages[1] == "already registered: version 1 of streets; @champion is version 1"


def test_another_champion_takes_over_and_the_old_one_is_remembered(screened: Registration, tmp_path: Path) -> None:
    done(screened)
    registry = Registry(screened.store)
    other = registry.add("streets", screened.report.run_id, write_model(tmp_path / "other").parent, {}, "")
    assert registry.promote(other) == "@champion is version 2, after version 1"
    assert aliases(screened) == {"champion": "2", "previous-champion": "1"}


def test_registering_an_earlier_champion_again_moves_nothing(screened: Registration, tmp_path: Path) -> None:
    done(screened)
    registry = Registry(screened.store)
    registry.promote(registry.add("streets", screened.report.run_id, write_model(tmp_path / "other").parent, {}, ""))
    assert done(screened)[1][1].endswith("@champion is version 2")
    assert aliases(screened) == {"champion": "2", "previous-champion": "1"}


def test_a_registration_that_died_before_the_crown_is_completed(
    screened: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "promote", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            done(screened)
    assert aliases(screened) == {}
    assert done(screened)[0].number == "1" and aliases(screened) == {"champion": "1"}


def undecided(registration: Registration, **changes: Any) -> Registration:
    return replace(reported(registration, verdict=make_verdict(outcome="undecided")), **changes)


def test_an_undecided_verdict_is_not_registered_unless_forced(screened: Registration) -> None:
    with pytest.raises(UndecidedError, match="the verdict is undecided, so there is no champion; --force"):
        done(undecided(screened))
    assert not open_client(screened.store.tracking_uri).search_registered_models()


def test_a_forced_registration_moves_no_alias_and_is_not_crowned(screened: Registration, tmp_path: Path) -> None:
    registry = Registry(screened.store)
    registry.promote(registry.add("streets", screened.report.run_id, write_model(tmp_path / "other").parent, {}, ""))
    version, messages = done(undecided(screened, is_forced=True))
    assert messages[0] == "trial a: the leader of an undecided verdict"
    assert messages[1].endswith("not made @champion, since the verdict is undecided: @champion stays version 1")
    assert aliases(screened) == {"champion": "1"}
    tags = open_client(screened.store.tracking_uri).get_model_version("streets", version.number).tags
    assert CROWNED not in tags and tags["verdict.outcome"] == "undecided"


def test_a_model_that_was_registered_undecided_is_crowned_once_the_verdict_is_decided(screened: Registration) -> None:
    done(undecided(screened, is_forced=True))
    assert aliases(screened) == {}
    version, messages = done(screened)
    assert messages[1] == "already registered: version 1 of streets; @champion is version 1"
    assert (version.number, aliases(screened)) == ("1", {"champion": "1"})


def test_a_registered_model_is_found_by_its_sweep(screened: Registration) -> None:
    done(undecided(screened, is_forced=True))
    with open_weights(f"streets@{screened.report.sweep_id}", screened.store) as path:
        assert load_checkpoint(path)["config"] == learnt()[0].to_dict()


def test_the_card_of_an_undecided_model_says_so(screened: Registration, tmp_path: Path) -> None:
    assert "registered on request and was not made champion" in card_of(undecided(screened), tmp_path)


def test_the_registered_weights_are_those_of_the_trial(screened: Registration) -> None:
    done(screened)
    run = screened.report.trials[0].run_id
    with open_weights("streets@champion", screened.store) as path, open_weights(run, screened.store) as recorded:
        assert path.read_bytes() == recorded.read_bytes()
        predicted = load_trained(load_checkpoint(path)).predict(FRAMES.images[list(SPLIT.val)])
    assert predicted.shape == (len(SPLIT.val), 16, 16)


@pytest.fixture
def files(screened: Registration) -> Path:
    """The files of a registered version."""
    done(screened)
    client = open_client(screened.store.tracking_uri)
    source = client.get_model_version("streets", "1").source
    location = client.get_logged_model(source.removeprefix("models:/")).artifact_location
    return Path(location.removeprefix("file://"))


def test_a_version_holds_weights_settings_and_card(files: Path) -> None:
    assert {BEST, "card.md", "config.json", "MLmodel", "requirements.txt"} < {path.name for path in files.iterdir()}


def test_the_configuration_says_what_an_input_must_look_like(files: Path) -> None:
    config = json.loads((files / "config.json").read_text())
    assert config["input"]["size_px"] == 16 and len(config["input"]["mean"]) == 3
    assert config["settings"] == learnt()[0].to_dict()
    assert config["bdd100k_labels"] == [0, 2, 8, 10, 13]


def test_the_card_says_verdict_interval_and_limits(files: Path, screened: Registration) -> None:
    card = (files / "card.md").read_text()
    assert "The leader is ahead." in card and "One run per setting." in card
    assert "mIoU 0.700, 95 % interval 0.650 to 0.750 (validation, 4 images)" in card
    assert f"{program(PREDICT)} streets@{screened.report.sweep_id}" in card and "## Limits" in card


def reported(registration: Registration, **changes: Any) -> Registration:
    return replace(registration, report=replace(registration.report, **changes))


def card_of(registration: Registration, tmp_path: Path) -> str:
    """Return the card of a screened trial."""
    record = registration.store.read_sweep(registration.report.sweep_id)
    with _screened(registration, record, tmp_path) as card:
        return render_card(card)


def test_the_card_has_test_figures_only_where_the_report_opened_them(screened: Registration, tmp_path: Path) -> None:
    assert "The test set is sealed for this model" in card_of(reported(screened, test=Holdout()), tmp_path)
    opened = Holdout((HoldoutScores("a", 2, score_evidence(learnt()[1].best_evidence("test"))),))
    assert "| IoU | validation | test |" in card_of(reported(screened, test=opened), tmp_path)


def test_a_hostile_name_in_the_card_is_text(screened: Registration, tmp_path: Path) -> None:
    hostile = replace(screened.report.trials[0], name="<script>alert(1)</script> | [x](http://y)")
    text = card_of(reported(screened, settings=(hostile,), trials=(hostile,)), tmp_path)
    assert "<script>" not in text and r"\[x\]" in text


@pytest.mark.parametrize("name", ["../x", "a/b", "a:b", "x' or 1=1", "", "..", "ä", "m" * 300])
def test_a_name_that_means_something_elsewhere_is_refused(screened: Registration, name: str) -> None:
    with pytest.raises(ModelError, match="must be of 1 to 128 letters, digits"):
        done(replace(screened, name=name))


def test_a_trial_whose_weights_were_not_kept_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(NothingToRegisterError, match="its weights were not kept; --keep-weights all"):
        done(record_sweep(tmp_path, uri, weights=None))


def test_a_running_sweep_is_refused(tmp_path: Path, uri: str) -> None:
    registration = record_sweep(tmp_path, uri, weights=write_model(tmp_path / "weights"), status="")
    with pytest.raises(NothingToRegisterError, match="is running: its leader may still change"):
        done(registration)


def test_torn_weights_are_refused_and_nothing_is_registered(tmp_path: Path, uri: str) -> None:
    path = write_model(tmp_path / "weights")
    path.write_bytes(path.read_bytes()[:2000])
    registration = record_sweep(tmp_path, uri, weights=path)
    with pytest.raises(NothingToRegisterError, match="is not a readable checkpoint"):
        done(registration)
    assert not open_client(uri).search_registered_models()


def test_weights_of_another_trial_are_refused(tmp_path: Path, uri: str) -> None:
    registration = record_sweep(tmp_path, uri, weights=write_model(tmp_path / "weights", "vanilla_unet"))
    with pytest.raises(NothingToRegisterError, match=r"its weights are those of trial .*, but must be those of"):
        done(registration)


class Malice:
    """Leaves a file behind when it is unpickled by whoever trusts it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_malicious_file_of_weights_is_not_run(tmp_path: Path, uri: str, writer: str) -> None:
    path, sign = tmp_path / BEST, tmp_path / "it ran"
    content = {"format": 1, "weights": Malice(sign)}
    torch.save(content, path) if writer == "torch" else path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(DataError, match="not a readable checkpoint"):
        load_checkpoint(path)
    with pytest.raises(NothingToRegisterError, match="not a readable checkpoint"):
        done(record_sweep(tmp_path, uri, weights=path))
    assert not sign.exists()
    torch.load(path, weights_only=False) if writer == "torch" else pickle.loads(path.read_bytes())
    assert sign.exists(), "the file would have run"


def test_a_sweep_without_a_verdict_is_refused(screened: Registration) -> None:
    with pytest.raises(NothingToRegisterError, match="has no verdict"):
        done(reported(screened, verdict=None))


def test_a_tie_of_a_screening_registers_its_leader_and_names_the_recommended_one(screened: Registration) -> None:
    tie = make_verdict(outcome="tie", recommended="b", tied=("a", "b"))
    version, messages = done(reported(screened, verdict=tie))
    assert messages[0] == "trial a: the leader of a tie; recommended as cheaper and about as good: b"
    assert version.tags["verdict.outcome"] == "tie" and version.tags["sweep.trial_id"] == "a"


def test_the_report_registers_the_sweep_that_it_is_of(
    screened: Registration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--tracking-uri", screened.store.tracking_uri, "--out", str(tmp_path / "reports"), "--no-upload"]
    assert report.main([*options, "--register", "--model-name", "streets"]) == 0
    assert "registered as version 1 of streets; @champion is version 1" in capsys.readouterr().err
    assert aliases(screened) == {"champion": "1"}


def test_the_exit_code_says_that_there_was_nothing_to_register(
    tmp_path: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record_sweep(tmp_path, uri, weights=None)
    options = ["--tracking-uri", uri, "--out", str(tmp_path / "reports"), "--no-upload", "--register"]
    assert report.main(options) == 1
    assert "its weights were not kept" in capsys.readouterr().err


@pytest.fixture
def confirmed(tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> Registration:
    """A confirmation of one finalist, on a folder of tiny images."""
    monkeypatch.setenv("BDDSEG_CACHE", str(tmp_path / "cache"))
    root = write_folder(tmp_path / "data", {f"frame{index}": SCENES[index % 4] for index in range(24)})
    config = learnt()[0]
    material = load_dataset(Source("full", root), config, tmp_path / "cache", on_bad_sample="fail", progress=False)
    manifest = {"data": {**material.to_dict(), "root": str(root)}}
    registration = record_sweep(tmp_path, uri, weights=None, tags={"sweep.finalist": "a"}, manifest=manifest)
    return reported(registration, verdict=make_verdict(stage="confirmation", outcome="winner", runs=5))


def test_a_confirmed_winner_is_trained_on_everything_and_crowned(confirmed: Registration, tmp_path: Path) -> None:
    version, messages = done(confirmed)
    assert messages[0] == "trial a: the winner"
    assert messages[1] == "training 2 epochs on all 22 images of train and validation"
    assert version.tags["model.refit"] == "true" and aliases(confirmed) == {"champion": "1"}
    with open_weights("streets@champion", confirmed.store) as path:
        best = load_checkpoint(path)
    assert best["config"]["data"]["folds"] == 1 and best["epoch"] == 2
    assert not list((tmp_path / "cache" / f"refits-{os.getuid()}").glob("*/*"))


def test_a_refit_is_recorded_as_an_opening_of_the_test_part_and_made_once(confirmed: Registration) -> None:
    done(confirmed)
    assert done(confirmed)[1][1].startswith("already registered: version 1")
    openings = read_openings(confirmed.store.read_sweep(confirmed.report.sweep_id).tags)
    assert [opening.names for opening in openings if opening.why == "refit of the confirmed setting"] == [("trial a",)]


def test_the_card_of_a_refit_says_that_it_is_not_validated(confirmed: Registration, tmp_path: Path) -> None:
    record = confirmed.store.read_sweep(confirmed.report.sweep_id)
    with _refitted(confirmed, record, tmp_path) as card:
        text = render_card(card)
    assert "**Not itself validated.**" in text and "The verdict is of 5 runs of the same setting on folds" in text
    assert "| IoU | out of fold | test |" in text


def test_a_confirmation_that_was_interrupted_is_refused(confirmed: Registration) -> None:
    with pytest.raises(NothingToRegisterError, match="was interrupted: its winner may still change; resume it"):
        done(reported(confirmed, state="interrupted"))
    assert not read_openings(confirmed.store.read_sweep(confirmed.report.sweep_id).tags)


class ClosedLedger:
    def write_tag(self, run_id: str, key: str, value: str) -> None:
        raise TrackingError(f"{run_id} is read-only")


def test_a_refit_whose_opening_cannot_be_recorded_keeps_its_test_figures_sealed(
    confirmed: Registration, tmp_path: Path
) -> None:
    record, closed = confirmed.store.read_sweep(confirmed.report.sweep_id), replace(confirmed, ledger=ClosedLedger())
    with heard_notes() as sentences, _refitted(closed, record, tmp_path) as card:
        assert card.test is None and not (tmp_path / TEST_EVIDENCE).exists()
    assert "could NOT be recorded" in sentences[-1]


def test_of_a_confirmed_tie_the_recommended_setting_is_taken(confirmed: Registration) -> None:
    tie = make_verdict("b", stage="confirmation", outcome="tie", recommended="a", tied=("b", "a"))
    assert reported(confirmed, verdict=tie).trial_id == "a"
    assert reported(confirmed, verdict=tie).sentence() == "trial a: the recommended one of a tie"
    undecided = make_verdict("b", stage="confirmation", outcome="undecided", recommended="a")
    assert reported(confirmed, verdict=undecided).trial_id == "b"


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("", "bdd100k-unet"),
        ("streets", "bdd100k-unet"),
        ("bdd100k-19", "bdd100k-19-unet"),
        ("my data/1", "my-data-1-unet"),
    ],
)
def test_models_of_a_dataset_have_its_name(dataset: str, name: str) -> None:
    assert default_name(dataset) == check_name(name) == name
