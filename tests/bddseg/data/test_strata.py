"""What a split balances: groups, and further attributes."""

import pytest

from bddseg.config import DataSettings
from bddseg.data.split import usual_split
from bddseg.data.strata import find_strata
from bddseg.errors import DataError
from bddseg.task import FIVE_CLASSES

SCENES = ("city street", "highway") * 40
RARE = ("night",) * 8 + ("day",) * 72


def test_a_stratum_is_the_group_and_the_balanced_values() -> None:
    strata = find_strata(FIVE_CLASSES, {"scene": SCENES, "time": RARE}, 80, ["time"])
    assert strata[0] == ("city", "night") and strata[79] == ("non_city", "day")


def test_an_attribute_that_no_image_has_is_refused() -> None:
    with pytest.raises(DataError, match="is to balance 'weather', which no image has; known: scene"):
        find_strata(FIVE_CLASSES, {"scene": SCENES}, 80, ["weather"])


def test_frames_of_a_balanced_value_have_their_share_in_every_part() -> None:
    names = [f"frame{number}" for number in range(80)]
    strata = find_strata(FIVE_CLASSES, {"scene": SCENES, "time": RARE}, 80, ["time"])
    split = usual_split(DataSettings(val_fraction=0.25, test_fraction=0.25), names, strata, ["time"])
    nights = [sum(RARE[index] == "night" for index in part) for part in (split.train, split.val, split.test)]
    assert nights == [4, 2, 2] and split.balance == ("time",)


def test_drives_stay_whole_when_more_is_balanced() -> None:
    names = [f"{number // 4:08x}-{number:08x}" for number in range(80)]
    strata = find_strata(FIVE_CLASSES, {"scene": SCENES, "time": RARE}, 80, ["time"])
    split = usual_split(DataSettings(), names, strata, ["time"])
    drives = [{names[index][:8] for index in part} for part in (split.train, split.val, split.test)]
    assert not drives[0] & drives[1] and not drives[0] & drives[2] and not drives[1] & drives[2]
