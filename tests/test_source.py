"""Where frames come from: what was given beats what is set, what is set beats what is there."""

from pathlib import Path

import pytest

from bddseg.errors import DataError, UserError
from sweeps import source
from sweeps.book import read_book
from sweeps.source import DEFAULT_ROOT, ROOT_VARIABLE, Source, cache_folder, choose_source, recorded_source

PROFILES = read_book().profile_sections()


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working folder on a machine without BDD100K."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    monkeypatch.setattr(source, "DEFAULT_ROOT", tmp_path / "data" / "bdd100k")
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


def test_the_default_place_is_in_the_project_whatever_the_working_directory() -> None:
    assert Path(__file__).resolve().parent.parent / "data" / "bdd100k" == DEFAULT_ROOT


def test_a_recorded_sweep_is_trained_where_its_data_lie_now(bare: Path) -> None:
    data = {"root": "/gone", "embedded": False}
    assert recorded_source("full", {**data, "root": str(bare)}, None) == Source("full", bare)
    assert recorded_source("full", data, bare) == Source("full", bare)
    with pytest.raises(DataError, match="/gone, where the data lay, is no folder any more: say with --data"):
        recorded_source("full", data, None)
    with pytest.raises(DataError, match="moved does not exist"):
        recorded_source("full", data, bare / "moved")


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


def test_our_own_cache_variable_beats_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BDDSEG_CACHE", "/ours")
    monkeypatch.setenv("XDG_CACHE_HOME", "/theirs")
    assert cache_folder() == Path("/ours")


def test_the_systems_cache_variable_beats_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BDDSEG_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/theirs")
    assert cache_folder() == Path("/theirs/bddseg")


def test_without_variables_the_cache_is_in_the_home_folder(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BDDSEG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(bare))
    assert cache_folder() == bare / ".cache" / "bddseg"
