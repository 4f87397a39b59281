"""A row for each usable image, for those who want to look further: `tables/images.csv`."""

from collections import defaultdict
from collections.abc import Sequence

from sweeps.exploration.content import Column, Table
from sweeps.exploration.faults import Fault
from sweeps.exploration.source import title_of
from sweeps.exploration.survey import PART_NAMES, Survey


def build_image_table(survey: Survey, faults: Sequence[Fault]) -> Table:
    """Return name, part, drive, group, attributes, size, colours, regions, faults and share of each class by image."""
    part_of = {int(position): PART_NAMES[part] for part, positions in survey.parts.items() for position in positions}
    kinds: dict[str, list[str]] = defaultdict(list)
    for fault in faults:
        kinds[fault.name].append(fault.kind)
    pixels = survey.arrays["pixels"]
    shares = pixels / pixels.sum(1, keepdims=True)
    regions = survey.arrays["regions"].sum(1)
    rows = tuple(
        (row.name, part_of.get(position, ""), survey.drives[position], survey.groups[position],
         *(values[position] for values in survey.attributes.values()), *row.size, row.brightness, row.contrast,
         regions[position], "; ".join(kinds[row.name]), *shares[position])
        for position, row in enumerate(survey.rows)
    )  # fmt: skip
    titles = ("name", "part", "drive", "group", *map(title_of, survey.attributes), "width", "height", "brightness",
              "contrast", "regions", "faults", *survey.classes, "ignored")  # fmt: skip
    return Table("images", "Images", tuple(map(Column, titles)), rows)
