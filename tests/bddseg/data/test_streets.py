"""The embedded street scenes: the real layout, the same bytes every time, and hard."""

import hashlib
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bddseg.confusion import count_pixels, miou, pool
from bddseg.data.bdd100k_labels import MASK_COLOURS
from bddseg.data.catalog import Catalog, read_catalog
from bddseg.data.frames import Frames, build_frames
from bddseg.data.split import split_samples
from bddseg.data.streets.dataset import VERSION, streets_folder, write_streets
from bddseg.data.streets.render import draw
from bddseg.data.streets.scene import make_drive
from bddseg.errors import DataError
from bddseg.task import FIVE_CLASSES, IGNORE

IMAGES = 120
PICTURES = {1: "e756761df818e172"}
"""Digest of what each version draws."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streets") / "root"
    write_streets(folder, images=IMAGES, width=160, height=90)
    return folder


@pytest.fixture(scope="module")
def catalog(root: Path) -> Catalog:
    return read_catalog(root)


@pytest.fixture(scope="module")
def frames(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Frames:
    return build_frames(catalog.samples, 64, tmp_path_factory.mktemp("cache"))


def test_as_many_images_are_usable_as_were_asked_for(catalog: Catalog) -> None:
    assert len(catalog.samples) == IMAGES


def test_some_images_and_entries_lack_something_as_in_the_real_data(catalog: Catalog) -> None:
    assert catalog.names("without_attributes") and catalog.names("without_image")


def test_there_are_city_residential_and_highway_scenes(catalog: Catalog) -> None:
    assert {sample.attributes["scene"] for sample in catalog.samples} == {"city street", "residential", "highway"}


def test_names_carry_drives_of_several_frames(frames: Frames) -> None:
    split = split_samples(frames.names, frames.strata())
    assert split.by_drive and len({name[:8] for name in frames.names}) < IMAGES / 3


def test_thin_and_rare_classes_and_unlabelled_regions_occur(catalog: Catalog) -> None:
    values = np.unique(np.concatenate([np.unique(np.asarray(Image.open(sample.mask))) for sample in catalog.samples]))
    rare = {"pole", "traffic light", "traffic sign", "person", "rider", "bicycle", "truck", "bus", "fence", "wall"}
    assert {list(MASK_COLOURS).index(name) for name in rare} | {IGNORE} <= set(values.tolist())


def test_a_small_share_of_masks_has_no_road_and_is_listed(root: Path) -> None:
    wrong = json.loads((root / "wrong_masks.json").read_text())
    masks = [np.asarray(Image.open(root / f"labels/sem_seg/masks/train/{name}.png")) for name in wrong]
    assert 0 < len(wrong) < IMAGES / 10 and not any((mask == 0).any() for mask in masks)


def test_every_class_of_the_task_covers_some_ground(frames: Frames) -> None:
    shares = np.bincount(frames.masks.ravel(), minlength=256)[: len(FIVE_CLASSES.classes)] / frames.masks.size
    assert shares.min() > 0.03


def test_the_most_frequent_class_of_each_position_scores_little(frames: Frames) -> None:
    split = split_samples(frames.names, frames.strata())
    train, held = frames.masks[list(split.train)], frames.masks[[*split.val, *split.test]]
    table = np.stack([(train == index).sum(0) for index in range(len(FIVE_CLASSES.classes))]).argmax(0)
    counts = count_pixels(held, np.broadcast_to(table, held.shape), len(FIVE_CLASSES.classes))
    assert miou(pool(counts)) < 0.45


def test_city_looks_another_way_than_the_rest(frames: Frames) -> None:
    is_city = np.array(frames.scenes) == "city street"
    building = [(frames.masks[part] == FIVE_CLASSES.classes.index("building")).mean() for part in (is_city, ~is_city)]
    assert building[0] > 1.5 * building[1]


def test_the_same_frame_is_drawn_twice_the_same() -> None:
    rngs = (np.random.Generator(np.random.PCG64(5)) for _ in range(2))
    (first, mask), (second, again) = (draw(make_drive(7, 3), 1, (64, 36), rng) for rng in rngs)
    assert first.tobytes() == second.tobytes() and (mask == again).all()


def test_a_version_draws_the_same_pictures_for_ever() -> None:
    digest = hashlib.sha256()
    for index in range(12):
        picture, mask = draw(make_drive(7, index), index % 4, (160, 91), np.random.Generator(np.random.PCG64(index)))
        digest.update(picture.tobytes() + mask.tobytes())
    assert digest.hexdigest()[:16] == PICTURES[VERSION]


def test_another_seed_gives_other_drives() -> None:
    assert make_drive(1, 0).name != make_drive(2, 0).name


def test_settings_have_folders_of_their_own(tmp_path: Path) -> None:
    assert streets_folder(tmp_path, images=10) != streets_folder(tmp_path, images=11)


def test_a_second_call_leaves_the_folder_alone(root: Path) -> None:
    before = root.stat().st_ino
    write_streets(root, images=IMAGES, width=160, height=90)
    assert root.stat().st_ino == before


def test_a_damaged_folder_is_made_anew(tmp_path: Path) -> None:
    write_streets(tmp_path / "s", images=8, width=32, height=18)
    (tmp_path / "s/streets.json").write_text("{torn")
    write_streets(tmp_path / "s", images=8, width=32, height=18)
    assert json.loads((tmp_path / "s/streets.json").read_text())["images"] == 8


def test_a_folder_that_lost_a_file_is_made_anew(tmp_path: Path) -> None:
    write_streets(tmp_path / "s", images=8, width=32, height=18)
    lost = next((tmp_path / "s/images/10k/train").iterdir())
    lost.unlink()
    write_streets(tmp_path / "s", images=8, width=32, height=18)
    assert lost.exists()


def test_a_folder_with_something_else_in_it_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="holds something else"):
        write_streets(tmp_path, images=8, width=32, height=18)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_parent_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        write_streets(tmp_path / "file" / "s", images=8, width=32, height=18)


def test_two_writers_at_once_make_one_folder(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=write_streets, args=(tmp_path / "s",), kwargs={"images": 8, "width": 32, "height": 18})
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {"s"}
