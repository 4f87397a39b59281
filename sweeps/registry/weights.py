"""A model's name -> its file of weights: on this machine, from a run, or from the registry."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bddseg.checkpoint import BEST
from bddseg.data.folders import is_there
from sweeps.errors import ModelError
from sweeps.registry.registry import DEFAULT_NAME, Registry, check_name
from sweeps.tracking.reader import Store

REGISTERED = re.compile(r"(?:models:/)?(?P<name>[\w.-]*)(?:@(?P<alias>[\w.-]+)|/(?P<number>\d+))", re.ASCII)
RUN = re.compile(r"(?:runs:/)?(?P<run>[0-9a-f]{32})")
WEIGHTS = f"weights/{BEST}"
"""Artifact of a finalist's run."""

FORMS = "@champion, NAME@ALIAS, NAME@SWEEP, models:/NAME/VERSION, the id of a run, or a file or folder"


@contextmanager
def open_weights(word: str, store: Store) -> Iterator[Path]:
    """Give the file of the weights with a name, for as long as the context lasts.

    A file or folder of this machine takes precedence over the store.

    Raises:
        ModelError: when nothing has that name; lists the forms that a name may have.
    """
    path = Path(word)
    with tempfile.TemporaryDirectory(prefix="bddseg-model-") as folder:
        if is_there(path):
            yield _on_disk(path)
        elif run := RUN.fullmatch(word):
            yield _of_run(run["run"], store, Path(folder))
        elif match := REGISTERED.fullmatch(word):
            name = check_name(match["name"] or DEFAULT_NAME)
            yield Registry(store).fetch(name, match["alias"] or match["number"], Path(folder))
        else:
            raise ModelError(f"there is no model {word[:80]!r}; give {FORMS}")


def _on_disk(path: Path) -> Path:
    if path.is_file():
        return path
    for inside in (path / BEST, path / WEIGHTS):
        if is_there(inside):
            return inside
    raise ModelError(f"{path} has no {BEST} in it; give {FORMS}")


def _of_run(run_id: str, store: Store, folder: Path) -> Path:
    path = store.download(run_id, WEIGHTS, folder)
    if path is None:
        raise ModelError(
            f"run {run_id} has no {WEIGHTS}: the weights of finalists are kept, with --keep-weights all those of every "
            "trial"
        )
    return path
