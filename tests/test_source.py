"""Where frames come from: what was given beats what is set, what is set beats what is there."""

from pathlib import Path

import pytest

from bddseg.errors import DataError, UserError
from sweeps.experiment import read_book
from sweeps.source import ROOT_VARIABLE, Source, choose_source

PROFILES = read_book()["profiles"]


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working folder on a machine without BDD100K."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    return tmp_path


def make_dataset(root: Path) -> Path:
    """Make what a BDD100K folder is recognised by."""
    (root / "images" / "10k" / "train").mkdir(parents=True)
    return root


def test_without_anything_quick_streets_are_used() -> None:
    assert choose_source(PROFILES, None, None) == Source("quick", None)


def test_a_dataset_in_the_default_place_is_used_in_full(bare: Path) -> None:
    root = make_dataset(bare / "data" / "bdd100k")
    assert choose_source(PROFILES, None, None) == Source("full", root)


def test_a_default_place_without_images_is_no_dataset(bare: Path) -> None:
    (bare / "data" / "bdd100k").mkdir(parents=True)
    assert choose_source(PROFILES, None, None) == Source("quick", None)


def test_the_variable_beats_the_default_place(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dataset(bare / "data" / "bdd100k")
    monkeypatch.setenv(ROOT_VARIABLE, str(make_dataset(bare / "elsewhere")))
    assert choose_source(PROFILES, None, None) == Source("full", bare / "elsewhere")


def test_the_flag_beats_the_variable(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(make_dataset(bare / "elsewhere")))
    assert choose_source(PROFILES, None, bare / "given") == Source("full", bare / "given")


def test_a_relative_flag_becomes_an_absolute_path(bare: Path) -> None:
    assert choose_source(PROFILES, None, Path("given")).root == bare / "given"


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, "")
    assert choose_source(PROFILES, None, None) == Source("quick", None)


@pytest.mark.parametrize("profile", ["full", "quick"])
def test_a_profile_may_be_combined_with_any_data(bare: Path, profile: str) -> None:
    assert choose_source(PROFILES, profile, bare / "given") == Source(profile, bare / "given")


def test_quick_stays_on_the_streets_even_where_there_is_a_dataset(bare: Path) -> None:
    make_dataset(bare / "data" / "bdd100k")
    assert choose_source(PROFILES, "quick", None) == Source("quick", None)


def test_full_finds_the_dataset_by_itself(bare: Path) -> None:
    root = make_dataset(bare / "data" / "bdd100k")
    assert choose_source(PROFILES, "full", None) == Source("full", root)


def test_full_without_a_dataset_names_all_places_and_the_cure() -> None:
    with pytest.raises(DataError) as caught:
        choose_source(PROFILES, "full", None)
    text = str(caught.value)
    assert all(place in text for place in ("--data (not given)", "BDD100K_ROOT (not set)", "data/bdd100k (not there)"))
    assert "download" in text and "--profile quick" in text and "\n" not in text


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"profile 'quik' .*known: full, quick"):
        choose_source(PROFILES, "quik", None)


def test_the_sentence_says_that_streets_are_generated() -> None:
    assert "embedded streets" in Source("quick", None).sentence() and "generated" in Source("quick", None).sentence()


def test_the_sentence_names_the_folder(bare: Path) -> None:
    assert Source("full", bare).sentence() == f"profile full on {bare}"
