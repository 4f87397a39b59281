"""Where each class lies, how frequent it is in pixels and images, training over validation and test."""

import numpy as np

from bddseg.words import count
from sweeps.exploration.content import Column, Plot, Table, make_section
from sweeps.exploration.drawings import Bars, Maps, draw_bars, draw_maps
from sweeps.exploration.survey import PART_NAMES, Survey
from sweeps.formatting import write_share
from sweeps.report.section import Section


def build_section(survey: Survey) -> Section:
    """Return frequencies and places of the classes."""
    pixels = survey.arrays["pixels"].sum(0)
    labelled = int(pixels[:-1].sum())
    order = np.argsort(-pixels[:-1], kind="stable")
    drawings = {
        "maps": draw_maps(_maps(survey, order), "Maps: share of images in which a class lies at a place"),
        "pixels": draw_bars(_bars(survey, order, by_part_pixels(survey)), "Bars: share of labelled pixels by part"),
        "images": draw_bars(_bars(survey, order, by_part_images(survey)), "Bars: share of images with a class by part"),
    }
    return make_section(
        "classes",
        "Classes",
        _sentence(survey, pixels, order),
        [
            Plot("maps", "Where each class lies", "From dark, never, to bright, where the class lies most often; below "
                 "each map its share of labelled pixels and the largest share of images at one place."),
            Plot("pixels", "Share of the labelled pixels", is_half=True),
            Plot("images", "Share of the images that have the class", is_half=True),
            _table(survey, pixels, order),
            _top(survey, pixels, order),
        ],
        numbers={"labelled_pixels": labelled, "ignored_pixels": int(pixels[-1]),
                 "ignored_share": float(pixels[-1] / pixels.sum())},
        drawings=drawings,
    )  # fmt: skip


def by_part_pixels(survey: Survey) -> dict[str, np.ndarray]:
    """Return the share of each class in the labelled pixels of each part; of all images without a split."""

    def share(positions: np.ndarray) -> np.ndarray:
        totals = survey.arrays["pixels"][positions, :-1].sum(0)
        return totals / max(1, totals.sum())

    return {name: share(positions) for name, positions in _parts(survey).items()}


def by_part_images(survey: Survey) -> dict[str, np.ndarray]:
    """Return the share of images with each class in each part; of all images without a split."""
    return {name: survey.has_class[positions].mean(0) for name, positions in _parts(survey).items()}


def _parts(survey: Survey) -> dict[str, np.ndarray]:
    parts = {PART_NAMES[part]: positions for part, positions in survey.parts.items() if len(positions)}
    return parts or {"all images": np.arange(len(survey))}


def top_shares(pixels: np.ndarray) -> np.ndarray:
    """Return the share of labelled pixels that the n classes with the most pixels have, for n from 1."""
    ordered = np.sort(pixels)[::-1]
    return np.cumsum(ordered) / max(1, ordered.sum())


def _sentence(survey: Survey, pixels: np.ndarray, order: np.ndarray) -> str:
    labelled = max(1, int(pixels[:-1].sum()))
    first, present = order[0], int((pixels[:-1] > 0).sum())
    absent = len(survey.classes) - present
    five = min(5, present)
    largest = "" if five == present else (
        f"; the {five} largest classes have {write_share(top_shares(pixels[:-1])[five - 1])} of them"
    )  # fmt: skip
    verb = "occurs" if absent == 1 else "occur"
    missing = f"; {count(absent, 'class', 'classes')} never {verb}" if absent else ""
    return (
        f"{survey.classes[first].capitalize()} is the most frequent of {present} classes, with "
        f"{write_share(pixels[first] / labelled)} of the labelled pixels{largest}; "
        f"{write_share(pixels[-1] / pixels.sum())} of all pixels are ignored{missing}."
    )


def _maps(survey: Survey, order: np.ndarray) -> Maps:
    grids, pixels = survey.arrays["grid"], survey.arrays["pixels"][:, :-1].sum(0)
    shown = [index for index in order if pixels[index]]
    values = np.stack([(grids == index).mean(0) for index in shown]) if shown else np.zeros((1, 1, 1))
    width, height = survey.rows[0].size
    notes = tuple(
        f"{write_share(pixels[index] / pixels.sum())} · {write_share(float(values[number].max()))}"
        for number, index in enumerate(shown)
    )
    return Maps(tuple(survey.classes[index] for index in shown) or ("nothing",), notes or ("",), values, height / width)


def _bars(survey: Survey, order: np.ndarray, shares: dict[str, np.ndarray]) -> Bars:
    shown = [index for index in order if survey.has_class[:, index].any()] or list(order[:1])
    values = np.stack(list(shares.values()), axis=1)[shown]
    texts = tuple(tuple(write_percent(value) for value in row) for row in values)
    return Bars(tuple(survey.classes[index] for index in shown), tuple(shares), values, texts, is_half=True)


def write_percent(share: float) -> str:
    """Return a share in percent with one digit, where whole percents would hide a rare class: 0.3 %."""
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"


def _table(survey: Survey, pixels: np.ndarray, order: np.ndarray) -> Table:
    labelled, by_pixels, by_images = max(1, int(pixels[:-1].sum())), by_part_pixels(survey), by_part_images(survey)
    rows = tuple(
        (survey.classes[index], "yes" if survey.trained[index] else "no", pixels[index], pixels[index] / labelled,
         int(survey.has_class[:, index].sum()), survey.has_class[:, index].mean(),
         *(share[index] for share in by_pixels.values()), *(share[index] for share in by_images.values()))
        for index in order
    )  # fmt: skip
    columns = (
        Column("class"), Column("trained by default"), Column("pixels", "count"), Column("share", "exact_share"),
        Column("images", "count"), Column("share of images", "exact_share"),
        *(Column(f"pixels, {name}", "exact_share") for name in by_pixels),
        *(Column(f"images, {name}", "exact_share") for name in by_images),
    )  # fmt: skip
    chips = tuple(survey.colours[index] for index in order)
    return Table("classes", "All figures", columns, rows, is_folded=True, chips=chips)


def _top(survey: Survey, pixels: np.ndarray, order: np.ndarray) -> Table:
    shares = top_shares(pixels[:-1])
    rows = tuple(
        (number, survey.classes[index], share, share * pixels[:-1].sum() / max(1, pixels.sum()))
        for number, (index, share) in enumerate(zip(order, shares, strict=True), 1)
    )
    columns = (Column("n", "count"), Column("adds"), Column("of labelled pixels", "exact_share"),
               Column("of all pixels", "exact_share"))  # fmt: skip
    chips = tuple(survey.colours[index] for index in order)
    note = "How many pixels are kept when only the n most frequent classes are trained."
    return Table("top", "The n largest classes", columns, rows, note, is_folded=True, chips=chips)
