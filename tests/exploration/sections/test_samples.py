"""Samples: the same by name every time, rare things among them."""

from pathlib import Path

from explorations import CAR, scene, survey_folder, survey_masks, write_pairs

from sweeps.exploration.sections.samples import FIXED, build_section, rank


def test_the_order_depends_on_the_names_alone(tmp_path: Path) -> None:
    few, many = (survey_masks(tmp_path / str(number), [scene()] * number) for number in (6, 12))
    shared = set(few.names)
    assert [few.names[position] for position in rank(few)] == [
        many.names[position] for position in rank(many) if many.names[position] in shared
    ]


def test_an_image_with_a_rare_class_is_shown(tmp_path: Path) -> None:
    survey = survey_masks(tmp_path, [scene()] * 30)
    last = survey.names[rank(survey)[-1]]
    mask = scene()
    mask[3:9, 3:9] = CAR
    rare = build_section(survey_folder(write_pairs(tmp_path, {**dict.fromkeys(survey.names, scene()), last: mask})))
    assert rare.data.numbers["rare"] == {last: "with car"}
    assert len(rare.data.numbers["by_name"]) == FIXED
