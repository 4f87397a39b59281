"""Evidence files: round trips, and damage that is named."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny import kill_while_writing

from bddseg.errors import DataError
from bddseg.evidence import Evidence, load_evidence, save_evidence
from bddseg.task import FIVE_CLASSES, Group, Task


def make_evidence(images: int = 3, seed: int = 0) -> Evidence:
    rng = np.random.default_rng(seed)
    return Evidence(
        part="val",
        epoch=7,
        names=tuple(f"frame-{index}" for index in range(images)),
        attributes={
            "scene": ("city street",) * images,
            "weather": ("überfrierende Nässe",) * images,
            "timeofday": ("dawn/dusk",) * images,
        },
        counts=rng.integers(0, 10**6, (images, 5, 5)),
        ignored=rng.integers(0, 10**6, (images, 5)),
        fingerprint="0123456789abcdef",
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the file of some evidence."""
    path = tmp_path / "evidence-val.npz"
    save_evidence(path, make_evidence())
    return path


def words(evidence: Evidence) -> dict[str, object]:
    """Return all that is not an array."""
    fields = [spec.name for spec in dataclasses.fields(evidence) if spec.name not in ("counts", "ignored")]
    return {name: getattr(evidence, name) for name in fields}


def test_boundary_counts_survive_and_may_be_missing(tmp_path: Path) -> None:
    plain = make_evidence()
    counted = dataclasses.replace(plain, boundary=np.ones((len(plain.names), len(plain.classes), 2), dtype=np.int64))
    for name, evidence in (("plain.npz", plain), ("counted.npz", counted)):
        save_evidence(tmp_path / name, evidence)
    assert load_evidence(tmp_path / "plain.npz").boundary is None
    assert (load_evidence(tmp_path / "counted.npz").boundary == 1).all()


def test_the_classes_and_groups_come_back(tmp_path: Path) -> None:
    groups = (Group("day", ("clear",)), Group("other", ()))
    task = Task(("car", "traffic light"), ((1, 2, 3), (4, 5, 6)), "weather", groups, (13, 6))
    counts = np.ones((2, 2, 2), dtype=np.int64)
    evidence = Evidence("val", 1, ("a", "b"), {"weather": ("clear", "")}, counts, counts[:, 0], "f" * 16, task)
    save_evidence(tmp_path / "e.npz", evidence)
    loaded = load_evidence(tmp_path / "e.npz")
    assert loaded.task == task and loaded.groups == ("day", "other")


def test_without_groups_no_image_has_a_scene(tmp_path: Path) -> None:
    evidence = dataclasses.replace(make_evidence(), task=dataclasses.replace(FIVE_CLASSES, attribute="", groups=()))
    assert set(evidence.scenes) == set(evidence.groups) == {""}


def test_values_of_another_number_of_images_are_refused() -> None:
    with pytest.raises(DataError, match="has 1 values of scene"):
        dataclasses.replace(make_evidence(), attributes={"scene": ("x",)})


def test_the_words_come_back(saved: Path) -> None:
    assert words(load_evidence(saved)) == words(make_evidence())


def test_the_counts_come_back_in_64_bits(saved: Path) -> None:
    loaded, expected = load_evidence(saved), make_evidence()
    assert loaded.counts.dtype == loaded.ignored.dtype == np.int64
    assert (loaded.counts == expected.counts).all() and (loaded.ignored == expected.ignored).all()


def test_evidence_of_no_images_comes_back(tmp_path: Path) -> None:
    save_evidence(tmp_path / "e.npz", make_evidence(images=0))
    assert load_evidence(tmp_path / "e.npz").counts.shape == (0, 5, 5)


def test_evidence_can_be_compared() -> None:
    assert (make_evidence() == make_evidence(seed=1)) is False


def test_counts_that_do_not_fit_the_names_are_refused() -> None:
    with pytest.raises(DataError, match=r"evidence of 2 images and 5 classes has counts \(3, 5, 5\)"):
        dataclasses.replace(make_evidence(), names=("a", "b"))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.npz is not readable evidence"):
        load_evidence(tmp_path / "nothing.npz")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_torn_file_is_named(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"evidence-val\.npz is not readable evidence"):
        load_evidence(saved)


@pytest.mark.parametrize("position", range(20))
def test_a_flipped_byte_is_never_a_traceback(saved: Path, position: int) -> None:
    content = bytearray(saved.read_bytes())
    content[position * len(content) // 20] ^= 0xFF
    saved.write_bytes(bytes(content))
    try:
        loaded = load_evidence(saved)
    except DataError:
        return
    assert (loaded.counts == make_evidence().counts).all() and words(loaded) == words(make_evidence())


def test_a_single_array_is_no_evidence(tmp_path: Path) -> None:
    with (tmp_path / "e.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match="is not readable evidence"):
        load_evidence(tmp_path / "e.npz")


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "e.npz", words=np.array([{"format": 1}], dtype=object))
    with pytest.raises(DataError, match="is not readable evidence"):
        load_evidence(tmp_path / "e.npz")


def test_another_format_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bddseg.evidence.FORMAT", 3)
    with pytest.raises(DataError, match="must have format 3 or 1"):
        load_evidence(saved)


def test_saving_leaves_no_other_file(saved: Path) -> None:
    save_evidence(saved, make_evidence())
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_failed_save_leaves_the_old_file_and_no_other(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        save_evidence(saved, make_evidence(seed=1))
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert (load_evidence(saved).counts == make_evidence().counts).all()


def test_a_killed_writer_leaves_the_old_file(saved: Path) -> None:
    writer = f"""
import dataclasses, sys
from pathlib import Path
import numpy as np
from bddseg.evidence import load_evidence, save_evidence
path = Path({str(saved)!r})
old, images = load_evidence(path), 400_000
more = {{name: ("x",) * images for name in ("names",)}}
more["attributes"] = {{}}
counts = np.random.default_rng(0).integers(0, 2**40, (images, 5, 5))
print("ready", flush=True)
save_evidence(path, dataclasses.replace(old, counts=counts, ignored=counts[:, 0], **more))
"""
    kill_while_writing(writer, saved)
    assert (load_evidence(saved).counts == make_evidence().counts).all()
