"""Scenes, weathers and times of day that BDD100K does not know: misspelt ones are refused or noted."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from bddseg.data.bdd100k_labels import CITY, SCENES, TIMES_OF_DAY, WEATHERS
from bddseg.data.sample import Remark, Sample, images
from bddseg.errors import DataError

CITY_WORDS = frozenset(("city", "cities", "street", "streets"))
"""A scene with one of these words may mean BDD100K's city street; only the user can tell."""

LIKENESS = 0.85
"""Similarity to a known scene, from 0 to 1, above which another one counts as a misspelling."""

OTHER_ATTRIBUTES = {"weather": ("weather", WEATHERS), "timeofday": ("time of day", TIMES_OF_DAY)}


def check_scenes(samples: Sequence[Sample], where: str) -> None:
    """Refuse scenes that resemble those of BDD100K: as they are, they would count for the other group.

    Raises:
        DataError: with these scenes, the number of their images, and the likely meaning.
    """
    unknown = Counter(scene for sample in samples if (scene := sample.attributes["scene"]) not in SCENES)
    meant = {scene: near for scene in unknown if (near := _meant_scenes(scene))}
    if meant:
        asked = [
            f"{scene!r} ({images(unknown[scene])}): did you mean {' or '.join(map(repr, near))}?"
            for scene, near in meant.items()
        ]
        raise DataError(
            f"scenes in {where} are like BDD100K's; as they are, each is a scene of its own and counts as not {CITY}: "
            f"{' '.join(asked)} Write them as BDD100K does, or give what is none of these another name: "
            f"{', '.join(SCENES)}"
        )


def unknown_values(samples: Sequence[Sample]) -> Iterator[Remark]:
    """Yield a remark for each scene that is unknown, and each weather or time of day that is likely misspelt."""
    for scene, number in Counter(sample.attributes["scene"] for sample in samples).most_common():
        if scene not in SCENES:
            text = f"{images(number)} with the scene {scene!r}, unknown to BDD100K: counted as not {CITY}"
            yield Remark("unknown_scene", text)
    for attribute, (noun, known) in OTHER_ATTRIBUTES.items():
        for value, number in Counter(sample.attributes[attribute] for sample in samples).most_common():
            if value not in known and (near := _meant(value, known, LIKENESS)):
                text = f"{images(number)} with the {noun} {value!r}, unknown to BDD100K: did you mean {near!r}?"
                yield Remark(f"unknown_{attribute}", text)


def _meant_scenes(scene: str) -> tuple[str, ...]:
    """Return the scenes of BDD100K that a name may mean: those it contains or resembles."""
    folded = _plain(scene).replace(" ", "")
    if contained := tuple(name for name in SCENES if name.replace(" ", "") in folded):
        return contained
    if CITY_WORDS & set(_plain(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", scene)).split()):
        return (CITY,)
    near = _meant(scene, SCENES, LIKENESS)
    return (near,) if near else ()


def _meant(word: str, names: Sequence[str], likeness: float) -> str:
    """Return the known name that a word misspells; "" if it resembles none."""
    plain = {_plain(name): name for name in names}
    near = get_close_matches(_plain(word), plain, n=1, cutoff=likeness)
    return plain[near[0]] if near else ""


def _plain(word: str) -> str:
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", word).casefold()).strip()
