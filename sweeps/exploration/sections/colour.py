"""Colours: what training normalises with, brightness and contrast, and images that are almost black or white."""

from collections.abc import Iterator

import numpy as np

from bddseg.words import count
from sweeps.exploration.content import Column, Gallery, Pick, Plot, Table, make_section
from sweeps.exploration.drawings import Spreads, draw_spreads, quantile_rows
from sweeps.exploration.source import title_of
from sweeps.exploration.survey import Survey
from sweeps.report.section import Drawing, Section

CHANNELS = ("red", "green", "blue")
BLACK, WHITE = 0.06, 0.94
"""Mean brightness, from 0 to 1, below and above which an image is almost black or white."""

MOST_VALUES = 12
"""Values of an attribute up to which brightness is shown by value."""

SHOWN = 6


def build_section(survey: Survey) -> Section:
    """Return the colours."""
    mean, deviation = channel_statistics(survey)
    brightness = np.array([row.brightness for row in survey.rows])
    contrast = np.array([row.contrast for row in survey.rows])
    dark, bright = np.flatnonzero(brightness < BLACK), np.flatnonzero(brightness > WHITE)
    groups = dict(_groups(survey))
    drawings, plots = _spreads(groups, brightness, contrast)
    part = "the training part" if survey.parts else "all images"
    return make_section(
        "colour",
        "Colour",
        _sentence(survey, brightness, dark, bright, groups),
        [
            _channels(mean, deviation, part, survey.size_px),
            *plots,
            _by_value(groups, brightness, contrast),
            _extreme("Almost black", dark, brightness),
            _extreme("Almost white", bright, brightness),
        ],
        numbers={"mean": mean.tolist(), "deviation": deviation.tolist(), "of": part, "size_px": survey.size_px,
                 "almost_black": [survey.names[position] for position in dark],
                 "almost_white": [survey.names[position] for position in bright]},
        drawings=drawings,
    )  # fmt: skip


def channel_statistics(survey: Survey) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel of the training part, as training normalises with them.

    Shape:
        returns: two of (3,), float32, of values from 0 to 1.
    """
    chosen = survey.parts.get("train", np.arange(len(survey)))
    pixels = len(chosen) * survey.size_px**2
    mean = survey.arrays["sums"][chosen].sum(0) / 255 / pixels
    variance = survey.arrays["squares"][chosen].sum(0) / 255**2 / pixels - mean**2
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 1e-12)).astype(np.float32)


def _groups(survey: Survey) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield each attribute with few values, and the images of each value, the most frequent first."""
    for attribute, values in survey.attributes.items():
        array = np.array(values)
        names, numbers = np.unique(array, return_counts=True)
        ordered = [str(names[index]) for index in np.argsort(-numbers, kind="stable") if names[index]]
        if 1 < len(ordered) <= MOST_VALUES:
            yield attribute, {name: np.flatnonzero(array == name) for name in ordered}


def _spreads(
    groups: dict[str, dict[str, np.ndarray]], brightness: np.ndarray, contrast: np.ndarray
) -> tuple[dict[str, Drawing], list[Plot]]:
    groups = groups or {"": {"all images": np.arange(len(brightness))}}
    labels = tuple(value for members in groups.values() for value in members)
    drawings, plots = {}, []
    for name, values in (("brightness", brightness), ("contrast", contrast)):
        rows = np.vstack([quantile_rows(values, members) for members in groups.values()])
        spreads = Spreads(labels, rows, f"{name}, from 0 to 1")
        drawings[name] = draw_spreads(spreads, f"Boxes: {name} of the images by attribute")
        plots.append(Plot(name, f"{name.capitalize()} of the images", is_half=True))
    return drawings, plots


def _sentence(
    survey: Survey, brightness: np.ndarray, dark: np.ndarray, bright: np.ndarray,
    groups: dict[str, dict[str, np.ndarray]],
) -> str:  # fmt: skip
    extremes = len(dark) + len(bright)
    verb = "is" if extremes == 1 else "are"
    said = (
        f"{count(extremes, 'image')} {verb} almost black or white" if extremes else "No image is almost black or white"
    )
    spread = ""
    if groups:
        medians = {
            (attribute, value): float(np.median(brightness[members]))
            for attribute, by_value in groups.items()
            for value, members in by_value.items()
            if len(members) >= 5
        }
        if len(medians) > 1:
            low, high = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
            spread = f"; median brightness runs from {medians[low]:.2f} ({low[1]}) to {medians[high]:.2f} ({high[1]})"
    return f"{said}; the mean brightness is {brightness.mean():.2f} of 1{spread}."


def _channels(mean: np.ndarray, deviation: np.ndarray, part: str, size_px: int) -> Table:
    rows = tuple(
        (name, float(average), float(spread)) for name, average, spread in zip(CHANNELS, mean, deviation, strict=True)
    )
    columns = (Column("channel"), Column("mean", "level"), Column("deviation", "level"))
    note = f"Of {part} at {size_px} px, values from 0 to 1: training normalises with exactly these."
    return Table("channels", "Channels", columns, rows, note)


def _by_value(groups: dict[str, dict[str, np.ndarray]], brightness: np.ndarray, contrast: np.ndarray) -> Table | None:
    rows = tuple(
        (title_of(attribute), value, len(members), brightness[members].mean(), contrast[members].mean())
        for attribute, by_value in groups.items()
        for value, members in by_value.items()
    )
    columns = (Column("attribute"), Column("value"), Column("images", "count"), Column("mean brightness", "number"),
               Column("mean contrast", "number"))  # fmt: skip
    return Table("brightness", "Brightness and contrast", columns, rows, is_folded=True) if rows else None


def _extreme(title: str, positions: np.ndarray, brightness: np.ndarray) -> Gallery | None:
    picks = tuple(Pick(int(position), f"brightness {brightness[position]:.2f}") for position in positions[:SHOWN])
    return Gallery(f"{title}: {count(len(positions), 'image')}", picks) if picks else None
