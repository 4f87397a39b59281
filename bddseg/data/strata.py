"""Strata of samples, which a split balances: their group, and their values of further attributes."""

from collections.abc import Mapping, Sequence

from bddseg.errors import DataError
from bddseg.task import Task

Stratum = tuple[str, ...]
"""The group of a sample, and its values of the attributes that are balanced besides it."""


def find_strata(
    task: Task, attributes: Mapping[str, Sequence[str]], images: int, balance: Sequence[str] = ()
) -> tuple[Stratum, ...]:
    """Return the stratum of each sample.

    Args:
        task: its groups.
        attributes: attribute -> its value for each sample.
        images: number of samples.
        balance: attributes that are balanced besides the groups.

    Raises:
        DataError: for an attribute that no sample has.
    """
    for name in balance:
        if name not in attributes:
            raise DataError(
                f"the split is to balance {name!r}, which no image has; known: {', '.join(attributes) or 'none'}"
            )
    unknown = ("",) * images
    groups = task.groups_of(attributes.get(task.attribute) or unknown)
    return tuple(zip(groups, *(attributes[name] for name in balance), strict=True))
