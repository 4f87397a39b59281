"""How well are missing-road masks found? Ours beside cleanlab, on generated streets whose wrong masks are listed.

    python -m benchmarks.suspects --work DIR
    python -m benchmarks.suspects --work DIR --cleanlab FOLDER     # where `pip install --target FOLDER cleanlab` put it

For each data seed 260 streets are generated and a small network is trained on each of three folds; its out-of-fold
probabilities are kept in the work folder. The figure is the average precision of the ranking for the masks without
their road. cleanlab knows no ignored pixels, so it is tried in two ways: with the predicted class as their label, and
with a class of their own that is never predicted. The share of ignored pixels alone is the baseline.
"""

import argparse
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bddseg.config import TrainConfig
from bddseg.files import read_json, replacing
from bddseg.task import FIVE_CLASSES, IGNORE
from sweeps.statistics.label_faults import missing_shares, rank_suspects

SEEDS = (7, 11, 13, 17, 19)
"""Of the data. The arithmetic was chosen on the first two, one constant with sight of all; see RESULTS.md."""

SETTINGS: dict[str, Any] = {
    "data.size": 64,
    "data.folds": 3,
    "model.base_filters": 8,
    "optim.lr": 3e-3,
    "train.epochs": 8,
    "train.patience": 0,
    "train.keep": "last",
    "train.average": 0.25,
}


@dataclass(frozen=True, eq=False)
class Reviewed:
    """Images with their masks, out-of-fold probabilities, and whether each mask is wrong.

    Shape:
        probabilities: (N, C, H, W).  masks: (N, H, W).  is_wrong: (N,).
    """

    names: tuple[str, ...]
    probabilities: np.ndarray
    masks: np.ndarray
    is_wrong: np.ndarray


def main(argv: Sequence[str] | None = None) -> int:
    """Train what is missing, and print a row for each data seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="where streets and probabilities are kept")
    parser.add_argument("--cleanlab", type=Path, metavar="FOLDER", help="folder that cleanlab can be imported from")
    arguments = parser.parse_args(argv)
    judges: dict[str, Callable[[Reviewed], np.ndarray]] = {
        "ours": score_ours,
        "missing classes alone": score_missing,
        "ignored pixels alone": lambda reviewed: (reviewed.masks == IGNORE).mean((1, 2)),
    }
    if arguments.cleanlab:
        sys.path.append(str(arguments.cleanlab))  # after our own: it brings libraries of other versions
        judges |= cleanlab_judges()
    print("| data seed | images, wrong | " + " | ".join(judges) + " |")
    print("|---|---|" + "---:|" * len(judges))
    for seed in SEEDS:
        reviewed = load_reviewed(seed, arguments.work)
        figures = [f"{precision(reviewed.is_wrong, judge(reviewed)):.3f}" for judge in judges.values()]
        counts = f"{len(reviewed.names)}, {reviewed.is_wrong.sum()}"
        print(f"| {seed} | {counts} | {' | '.join(figures)} |", flush=True)
    return 0


def precision(is_wrong: np.ndarray, scores: np.ndarray) -> float:
    """Return the average precision of a ranking."""
    import torch
    from torchmetrics.functional.classification import binary_average_precision

    ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable") / len(scores)  # it takes probabilities
    return float(binary_average_precision(torch.from_numpy(ranks), torch.from_numpy(is_wrong.astype(np.int64))))


def load_reviewed(seed: int, work: Path) -> Reviewed:
    """Return the images of train and validation with out-of-fold probabilities, trained where they are not kept."""
    path, root = work / f"probabilities-{seed}.npz", work / f"streets-{seed}"
    if not path.is_file():
        _train(seed, root, path)
    with np.load(path) as file:
        names, probabilities, masks = file["names"], file["probabilities"].astype(np.float32), file["masks"]
    wrong = set(read_json(root / "wrong_masks.json"))
    is_wrong = np.asarray([name in wrong for name in names])
    return Reviewed(tuple(map(str, names)), probabilities, masks, is_wrong)


def _train(seed: int, root: Path, path: Path) -> None:
    import torch

    from bddseg.data.catalog import read_catalog
    from bddseg.data.frames import build_frames
    from bddseg.data.split import split_of, usual_split
    from bddseg.data.streets.dataset import write_streets
    from bddseg.device import use_threads
    from bddseg.predictor import load_trained
    from bddseg.probabilities import predict_probabilities
    from bddseg.train import fit

    use_threads(1)
    write_streets(root, seed=seed)
    base = TrainConfig().with_overrides(SETTINGS)
    frames = build_frames(read_catalog(root).samples, base.data.size, root.parent / "cache")
    split = usual_split(base.data, frames.names, frames.strata())
    probabilities = np.zeros((len(frames), len(FIVE_CLASSES.classes), base.data.size, base.data.size), dtype=np.float16)
    for fold in range(base.data.folds):
        config = base.with_overrides({"data.fold": fold, "train.seed": 1000 + fold})
        own = split_of(config.data, split, frames.names, frames.strata())
        (last,) = deque(fit(config, frames, own, torch.device("cpu")), maxlen=1)
        network = load_trained(last.state()["best"])
        for batch, predicted in predict_probabilities(network, frames.images, own.val):
            probabilities[list(own.val[batch])] = predicted
        print(f"data seed {seed}, fold {fold}: val/miou {last.metrics['val/miou']:.3f}", file=sys.stderr, flush=True)
    images = sorted((*split.train, *split.val))
    names = np.asarray([frames.names[image] for image in images])
    with replacing(path) as file:
        np.savez_compressed(file, names=names, probabilities=probabilities[images], masks=frames.masks[images])


def score_ours(reviewed: Reviewed) -> np.ndarray:
    """Return the score of `sweeps.suspects`."""
    scores = {suspect.name: suspect.score for suspect in rank_suspects(_counts(reviewed))}
    return np.asarray([scores[name] for name in reviewed.names])


def score_missing(reviewed: Reviewed) -> np.ndarray:
    """Return the part of the score that is about ignored pixels."""
    return missing_shares(_counts(reviewed)).sum(1)


def _counts(reviewed: Reviewed) -> Any:
    from bddseg.data.drives import unit_of
    from sweeps.review.label_counts import count_images

    units = tuple(unit_of(name) for name in reviewed.names)
    counts, _ = count_images(reviewed.probabilities, reviewed.masks, reviewed.names, units, FIVE_CLASSES.classes)
    return counts


def cleanlab_judges() -> dict[str, Callable[[Reviewed], np.ndarray]]:
    """Return cleanlab's scores: issues counted by pixel, and softmin; each with two ways to treat ignored pixels."""
    find_label_issues = import_module("cleanlab.segmentation.filter").find_label_issues  # not installed with us
    get_label_quality_scores = import_module("cleanlab.segmentation.rank").get_label_quality_scores

    def issues(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return np.asarray(find_label_issues(labels, probabilities, n_jobs=1, verbose=False)).mean((1, 2))

    def softmin(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return -np.asarray(get_label_quality_scores(labels, probabilities, n_jobs=1, verbose=False)[0])

    return {
        "cleanlab issues, ignored as predicted": lambda reviewed: issues(*_as_predicted(reviewed)),
        "cleanlab softmin, ignored as predicted": lambda reviewed: softmin(*_as_predicted(reviewed)),
        "cleanlab issues, ignored a class": lambda reviewed: issues(*_as_class(reviewed)),
        "cleanlab softmin, ignored a class": lambda reviewed: softmin(*_as_class(reviewed)),
    }


def _as_predicted(reviewed: Reviewed) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities in which ignored pixels have the class that is predicted."""
    labels = np.where(reviewed.masks == IGNORE, reviewed.probabilities.argmax(1), reviewed.masks)
    return labels.astype(np.int64), reviewed.probabilities


def _as_class(reviewed: Reviewed) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities in which ignored pixels are a class of their own, which is never predicted."""
    labels = np.where(reviewed.masks == IGNORE, len(FIVE_CLASSES.classes), reviewed.masks).astype(np.int64)
    return labels, np.concatenate([reviewed.probabilities, np.zeros_like(reviewed.probabilities[:, :1])], axis=1)


if __name__ == "__main__":
    raise SystemExit(main())
