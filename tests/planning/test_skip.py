"""data.skip and found classes in a sweep's data: read once, recorded, and no axis."""

from pathlib import Path

import pytest
from descriptions import describe_pairs
from folders import write_folder, write_pairs
from tiny import make_config

from bddseg.config import TrainConfig
from sweeps.errors import ExperimentError
from sweeps.planning.axes import build_axes, build_axis
from sweeps.planning.dataset import Source, complete_source, load_catalog, load_dataset, recorded_source

NAMES = [f"run{drive}_{frame}" for drive in range(6) for frame in range(4)]
SKIP = {"run0_0": "no road"}
BARE = describe_pairs(classes={}, drive="(run[0-9])_")


def test_a_sweep_without_a_skip_list_has_the_digest_of_earlier_versions() -> None:
    plain = TrainConfig()
    assert plain.with_overrides({"data.skip": ""}).digest() == plain.digest()
    assert plain.with_overrides({"data.skip": "a.csv"}).digest() != plain.digest()


@pytest.mark.parametrize("section", [{"data.skip": ["a.csv", "b.csv"]}, {"data": {"skip": ["a.csv"]}}])
def test_skipped_images_are_no_axis(section: dict[str, object]) -> None:
    with pytest.raises(ExperimentError, match=r"here.data.skip cannot be an axis: figures of other images do not"):
        build_axes(section, "here")


def test_skipped_images_of_the_command_line_are_no_axis() -> None:
    with pytest.raises(ExperimentError, match=r"--set data.skip cannot be an axis"):
        build_axis("data.skip", ["a.csv", "b.csv"], "--set data.skip")


def test_the_names_and_reasons_are_recorded_with_the_data(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", NAMES)
    source = Source("full", root, describe_pairs(drive="(run[0-9])_"), SKIP)
    config = make_config().with_overrides({"data.drive_pattern": "(run[0-9])_"})
    material = load_dataset(source, config, tmp_path / "cache", on_bad_sample="fail", progress=False)
    record = material.to_dict()
    assert (record["images"], record["skip"]) == (23, SKIP)
    assert "1 image left out by data.skip: run0_0 (no road)" in record["summary"]
    assert recorded_source("full", record, None).skip == SKIP


def test_a_resumed_sweep_skips_the_same_images_without_the_file(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", dict.fromkeys("abc", "highway"))
    source = recorded_source("full", {"root": str(root), "embedded": False, "skip": {"a": ""}}, None)
    assert [sample.name for sample in load_catalog(source, tmp_path).samples] == ["b", "c"]


def test_classes_are_found_where_the_description_has_none(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", NAMES, [0, 4])
    source = complete_source(Source("full", root, BARE), tmp_path / "cache")
    assert source.description.task().classes == ("class 0", "class 4")


def test_described_classes_are_not_searched(tmp_path: Path) -> None:
    source = Source("full", tmp_path / "none", describe_pairs())
    assert complete_source(source, tmp_path) is source


def test_found_classes_are_recorded(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / "data", NAMES, [0, 4])
    source = complete_source(Source("full", root, BARE), tmp_path / "cache")
    config = make_config().with_overrides({"data.drive_pattern": "(run[0-9])_"})
    record = load_dataset(source, config, tmp_path / "cache", on_bad_sample="fail", progress=False).to_dict()
    assert recorded_source("full", record, None).description.classes == source.description.classes
