"""Checkpoints of a training run, written atomically.

A run's folder holds two files, so that the weights can be kept when the rest is deleted: `last.pt` has the state that a
resumed training needs, `best.pt` the best weights with what inference needs: configuration, task, normalisation.
"""

import errno
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bddseg.errors import AccessError, DataError
from bddseg.files import replacing

FORMAT = 1
LAST, BEST = "last.pt", "best.pt"
STATE_FILES = (LAST, BEST)
"""What `load_training` reads."""

UNREADABLE = (RuntimeError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError)
"""Raised by torch for a file that is damaged or no checkpoint."""

DAMAGE = (None, errno.ENOENT, errno.EINVAL)
"""System errors that mean a missing or truncated file: torch seeks before its start."""


def save_training(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a training state, as `EpochResult.state` gives it, to a folder."""
    last = {key: value for key, value in state.items() if key != "best"}
    save_checkpoint(folder / BEST, {"digest": state["digest"], **state["best"]})
    save_checkpoint(folder / LAST, last)


def load_training(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read the training state that `save_training` wrote.

    Raises:
        DataError: when one of its files is missing or truncated.
    """
    last, best = load_checkpoint(folder / LAST, device), load_checkpoint(folder / BEST, device)
    digest = best.pop("digest")
    if digest != last["digest"]:
        raise DataError(f"{folder} holds the best weights of trial {digest}, but must hold those of {last['digest']}")
    return {**last, "best": best}


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values to one file: to a temporary name first, then by rename."""
    with replacing(path, durable=True) as file:
        torch.save({"format": FORMAT, **content}, file)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, tensors placed on the device. Never unpickles code.

    Raises:
        AccessError: when the system refuses to read the file.
        DataError: when it is missing, truncated or of another format.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except OSError as error:
        if error.errno in DAMAGE:
            raise DataError(f"{path} is not a readable checkpoint: {error.strerror or error}") from error
        raise AccessError(f"{path} cannot be read: {error.strerror}") from error
    except UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} is not a readable checkpoint: {reason}") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise DataError(f"{path} is a checkpoint of another format, but must have format {FORMAT}")
    return content
