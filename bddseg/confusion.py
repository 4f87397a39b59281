"""Per-image confusion counts -> IoU per class, scene and group: count first, divide once. numpy only."""

from collections.abc import Sequence

import numpy as np

from bddseg.task import IGNORE, Contrast


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


def miou_by_value(counts: np.ndarray, values: Sequence[str]) -> dict[str, float]:
    """Return the pooled mIoU of each value of an attribute that occurs, such as each scene.

    Shape:
        counts: (N, C, C); values: the value of each of the N images.
    """
    names = np.asarray(values)
    return {str(name): float(miou(pool(counts, names == name))) for name in np.unique(names)}


def miou_by_group(counts: np.ndarray, groups: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Return the pooled mIoU of each named group; NaN for one without images.

    Shape:
        counts: (N, C, C); groups: the group of each of the N images.
    """
    labels = np.asarray(groups)
    return {name: float(miou(pool(counts, labels == name))) for name in names}


def miou_gap(counts: np.ndarray, groups: Sequence[str], contrast: Contrast) -> float:
    """Return the pooled mIoU of the first side less that of the second; NaN where a side has no images.

    Shape:
        counts: (N, C, C); groups: the group of each of the N images.
    """
    first, second = contrast.masks(np.asarray(groups))
    return float(miou(pool(counts, first)) - miou(pool(counts, second)))
