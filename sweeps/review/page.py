"""The page of suspect labels, in the look of a report: pictures first, then classes, then the ranking."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bddseg.task import Task
from bddseg.words import count
from sweeps.formatting import write_share
from sweeps.report.rendering import TEMPLATES, build_environment, task_context
from sweeps.report.section import Section
from sweeps.report.sections.predictions import VERDICT_NAMES, PictureRow, Tile, photograph, picture_source
from sweeps.storage.suspects import SHARE, RecordedSuspects
from sweeps.storage.tiles import TileStrip, meaningful_colours

LISTED = 100
"""Images in the ranking; the CSV file has all."""


@dataclass(frozen=True)
class Gallery:
    """The data of the pictures."""

    legend: tuple[tuple[str, str], ...]
    rows: tuple[PictureRow, ...]


@dataclass(frozen=True)
class ClassRow:
    """A class with its bar, the mean loss of its labels, and what the models see in its pixels."""

    name: str
    bar: float | None
    loss: float | None
    shares: tuple[float | None, ...]
    """Of its labelled pixels, by the class that the models see, as estimated."""


def render_review(
    reviewed: RecordedSuspects,
    strips: Sequence[TileStrip],
    task: Task,
    sentence: str,
    notes: Sequence[str],
    written: str,
) -> str:
    """Return the page: one file, nothing fetched.

    Args:
        reviewed: all images, ranked.
        strips: the tiles of the first of them.
        task: the classes and their colours.
        sentence: which models reviewed which images.
        notes: on what could not be reviewed.
        written: when; "" to omit it.
    """
    environment = build_environment()
    environment.globals |= task_context(task)
    sections = [_pictures(reviewed, strips, task), _classes(reviewed), _ranking(reviewed)]
    bodies: dict[str, Markup] = {}
    for section in sections:
        name = f"sections/{section.name}.html.j2"
        assert (TEMPLATES / name).exists()
        text = environment.get_template(name).render(section=section, reviewed=reviewed)
        bodies[section.name] = Markup(text)  # noqa: S704 - escaped by its template
    template = environment.get_template("review.html.j2")
    return template.render(
        reviewed=reviewed, sections=sections, bodies=bodies, basis=sentence, notes=notes, written=written
    )


def describe_suspects(reviewed: RecordedSuspects) -> str:
    """Return how many images count as most suspect, and how many of their masks lack a class, in one sentence."""
    most = reviewed.most_suspect()
    if not most:
        return f"No label of {count(reviewed.images, 'image')} is suspect."
    share = f"({write_share(SHARE)} of {reviewed.images})"
    if len(most) == 1:
        fault = most[0].faults[0]
        lack = f"probably lacks a whole class: {fault['predicted']}" if fault["is_missing"] else "lacks no whole class"
        return f"The most suspect image {share} {lack}."
    shown = f"Of the {len(most)} most suspect images {share}"
    missing = [suspect for suspect in most if suspect.faults[0]["is_missing"]]
    if not missing:
        return f"{shown}, none probably lacks a whole class."
    classes = ", ".join(dict.fromkeys(str(suspect.faults[0]["predicted"]) for suspect in missing))
    verb = "lacks" if len(missing) == 1 else "lack"
    return f"{shown}, {len(missing)} probably {verb} a whole class: {classes}."


def _pictures(reviewed: RecordedSuspects, strips: Sequence[TileStrip], task: Task) -> Section:
    names, colours = (*task.classes, *map(_word, VERDICT_NAMES)), meaningful_colours(task.palette)
    legend = tuple((word, f"rgb{colour}") for word, colour in zip(names, colours, strict=True))
    rows = tuple(
        _picture_row(place, suspect.name, suspect.reason, strip)
        for place, (suspect, strip) in enumerate(zip(reviewed.suspects, strips, strict=False), 1)
    )
    return Section("review_pictures", "Most suspect labels", describe_suspects(reviewed), data=Gallery(legend, rows))


def _word(word: str) -> str:
    """Return what a colour means here."""
    return {"not judged": "ignored", "right": "not in doubt", "wrong": "in doubt"}.get(word, word)


def _picture_row(place: int, name: str, reason: str, strip: TileStrip) -> PictureRow:
    labels = (("mask", "Mask"), ("prediction", "Mean prediction"), ("in doubt", "Pixels in doubt"))
    tiles = [photograph(strip, name)]
    for number, (label, title) in enumerate(labels, 1):
        source = picture_source(strip.picture(number))
        tiles.append(Tile(source, label, f"{title} of {name}: {reason}", is_exact=True))
    return PictureRow(name, f"{place}. {reason}", tuple(tiles), ())


def _classes(reviewed: RecordedSuspects) -> Section:
    names, totals = tuple(reviewed.bars), [sum(row) for row in reviewed.joint]
    rows = [
        ClassRow(
            name,
            reviewed.bars[name],
            _mean([suspect.losses.get(name) for suspect in reviewed.suspects]),
            tuple(share / total if total else None for share in row),
        )
        for name, row, total in zip(names, reviewed.joint, totals, strict=True)
    ]
    wrong = sum(sum(row) - row[index] for index, row in enumerate(reviewed.joint))
    sentence = f"On {_percent(wrong)} of the labelled pixels the models see another class than the label."
    return Section("review_classes", "Classes that are confused", sentence, data=rows)


def _ranking(reviewed: RecordedSuspects) -> Section:
    listed = reviewed.suspects[:LISTED]
    rest = len(reviewed.suspects) - len(listed)
    more = f"; suspects.csv has all {len(reviewed.suspects)}" if rest else ""
    sentence = f"The {count(len(listed), 'image')} with the largest share of doubtful pixels{more}."
    return Section("review_ranking", "Ranking", sentence, data=listed)


def _mean(values: Sequence[float | None]) -> float | None:
    usable = [value for value in values if value is not None]
    return sum(usable) / len(usable) if usable else None


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
