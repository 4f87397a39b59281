"""Review the labels of a recorded sweep with its own models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sweeps.planning.dataset import Dataset
from sweeps.registry.refit import load_recorded
from sweeps.review.files import record_review
from sweeps.review.label_counts import count_review, open_probabilities
from sweeps.review.pictures import draw_suspects
from sweeps.review.unseen import Reviewers, assign_images, choose_rows, read_config
from sweeps.statistics.label_faults import rank_suspects
from sweeps.storage.records import SweepRecord
from sweeps.storage.suspects import RecordedSuspects
from sweeps.storage.tiles import TileStrip
from sweeps.tracking.reader import Store

PICTURES = 24
"""Images that are shown on the page."""


@dataclass(frozen=True, eq=False)
class Review:
    """The labels of a sweep, reviewed."""

    reviewed: RecordedSuspects
    reviewers: Reviewers
    strips: Sequence[TileStrip]
    """Pictures of the most suspect images."""


def prepare_review(record: SweepRecord, store: Store, top: int, data: Path | None) -> tuple[Reviewers, Dataset]:
    """Return the models and the frames of a review; nothing is predicted yet.

    Args:
        record: the sweep.
        store: has its weights.
        top: how many settings or finalists review at most.
        data: the present folder of the data; None where they have not moved.

    Raises:
        ModelError: when no weights are kept.
        ExperimentError: when data or settings are not those of the sweep any more.
    """
    rows = choose_rows(record, store, top)
    config = read_config(record, rows[0])
    material = load_recorded(record, config, data)
    return assign_images(record, rows, material), material


def review_labels(
    record: SweepRecord, reviewers: Reviewers, material: Dataset, store: Store, device: torch.device, *, is_quiet: bool
) -> Review:
    """Return the ranking of all reviewed images, with pictures of the first."""
    with open_probabilities(reviewers, material, store, device, is_quiet=is_quiet) as probabilities:
        counts, bars = count_review(probabilities, reviewers, material)
        suspects = rank_suspects(counts)
        recorded = record_review(record.sweep_id, material.frames.fingerprint, reviewers, counts, bars, suspects)
        first = [suspect for suspect in suspects[:PICTURES] if suspect.faults]
        strips = draw_suspects(first, probabilities, reviewers.images, material.frames, bars)
    return Review(recorded, reviewers, strips)
