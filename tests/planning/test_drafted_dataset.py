"""A drafted description as a user's own file of datasets."""

from pathlib import Path

from folders import save_image, save_mask

from sweeps.planning.datasets_file import draft_dataset, read_datasets, read_own


def test_a_draft_takes_the_classes_of_a_shipped_dataset_and_loads_as_a_file(tmp_path: Path) -> None:
    for name in ("0001TP_1", "0001TP_2"):
        save_image(tmp_path / f"camvid/train/{name}.png")
        save_mask(tmp_path / f"camvid/trainannot/{name}.png", [0, 3, 11])
    (tmp_path / "own.yaml").write_text(draft_dataset(tmp_path / "camvid"))
    description, root = read_own(tmp_path / "own.yaml", None)
    assert (root, description.classes) == (tmp_path / "camvid", read_datasets().describe("camvid").classes)
