"""Per-image confusion counts -> IoU per class, scene and group: count first, divide once. numpy only."""

from collections.abc import Sequence

import numpy as np

from bddseg.labels import GROUPS, IGNORE, group_of


def count_pixels(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Count, per image, the pixels of each (true class, predicted class) pair.

    Shape:
        truth, prediction: (N, H, W), integers; truth may hold IGNORE.
        returns: (N, C, C), int64; rows are the truth, columns the prediction.
    """
    images = np.broadcast_to(np.arange(len(truth))[:, None, None], truth.shape)
    valid = truth != IGNORE
    cells = (images[valid] * classes + truth[valid]) * classes + prediction[valid]
    return np.bincount(cells, minlength=len(truth) * classes**2).reshape(len(truth), classes, classes)


def iou(counts: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each class.

    A class without a true pixel is NaN, neither zero nor one, whatever was predicted: so the mean over classes covers
    the same classes for every trial. (Were it defined by the union of truth and prediction, one stray pixel of such a
    class would add a class with IoU 0.)

    Shape:
        counts: (..., C, C).  returns: (..., C), float64.

    Source: Everingham et al. 2010, The PASCAL Visual Object Classes Challenge, section 4.3 (segmentation accuracy).
    """
    counts = np.asarray(counts, dtype=np.float64)
    intersection, truth = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1)
    union = truth + counts.sum(-2) - intersection
    return np.divide(intersection, union, out=np.full_like(union, np.nan), where=truth > 0)


def miou(counts: np.ndarray) -> np.ndarray:
    """Return the mean IoU over the classes that the truth has; NaN where it has none.

    Shape:
        counts: (..., C, C).  returns: (...), float64.
    """
    values = iou(counts)
    present = ~np.isnan(values)
    total = np.where(present, values, 0.0).sum(-1)
    number = present.sum(-1)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def boundary_iou(counts: np.ndarray) -> np.ndarray:
    """Return the boundary IoU of each class; NaN for one that has no outline in truth or prediction.

    Shape:
        counts: (..., C, 2).  returns: (..., C), float64.
    """
    intersection, union = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    return np.divide(intersection, union, out=np.full_like(union, np.nan), where=union > 0)


def pool(counts: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
    """Return the counts summed over all images, or over those to keep.

    Shape:
        counts: (N, C, C).  keep: (N,), bool.  returns: (C, C).
    """
    return (counts if keep is None else counts[keep]).sum(axis=0)


def miou_by_scene(counts: np.ndarray, scenes: Sequence[str]) -> dict[str, float]:
    """Return the pooled mIoU of each scene that occurs.

    Shape:
        counts: (N, C, C); scenes: N names.
    """
    names = np.asarray(scenes)
    return {str(scene): float(miou(pool(counts, names == scene))) for scene in np.unique(names)}


def miou_by_group(counts: np.ndarray, scenes: Sequence[str]) -> dict[str, float]:
    """Return the pooled mIoU of city and non-city images; NaN for a group without images.

    Shape:
        counts: (N, C, C); scenes: N names.
    """
    groups = np.asarray([group_of(scene) for scene in scenes])
    return {group: float(miou(pool(counts, groups == group))) for group in GROUPS}
