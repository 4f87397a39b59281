"""Descriptions of tiny datasets."""

from typing import Any

import yaml

from bddseg.data.description import Description
from bddseg.data.description_parser import parse_description
from sweeps.paths import ROOT

CLASSES = {"road": {"values": 0, "colour": [128, 64, 128]}, "sky": {"values": 1, "colour": [70, 130, 180]}}
COLOURS = {"road": {"mask_colours": [128, 64, 128]}, "sky": {"mask_colours": [70, 130, 180]}}


def describe_pairs(**keys: Any) -> Description:
    """Return two folders, images and masks, with the classes road and sky, and other keys of an entry."""
    entry = {"images": "images/{name}.*", "masks": "masks/{name}.*", "classes": CLASSES, **keys}
    return parse_description("tiny", entry, "tiny.yaml: tiny")


def shipped(name: str) -> Description:
    """Return a description of datasets.yaml."""
    entries = yaml.safe_load((ROOT / "datasets.yaml").read_text())
    return parse_description(name, entries[name], f"datasets.yaml: {name}")
