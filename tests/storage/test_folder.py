"""The storage folder is refused before anything is lost in it."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sweeps.errors import StorageError
from sweeps.storage.folder import SweepFolder, check_storage


@contextmanager
def no_room() -> Iterator[None]:
    """Make the kernel refuse files of more than a kilobyte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_could_be_made_is_not_made_yet(tmp_path: Path) -> None:
    assert check_storage(tmp_path / "new" / "runs") == tmp_path / "new" / "runs"
    assert not list(tmp_path.iterdir())


def test_a_folder_without_room_is_refused_in_one_line(tmp_path: Path) -> None:
    with (
        no_room(),
        pytest.raises(StorageError, match=r"--storage .* cannot be written: File too large; choose another"),
    ):
        check_storage(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "stra\udcdfe"])
def test_a_folder_whose_name_cannot_be_recorded_is_refused_in_printable_words(name: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="has control characters, or is no UTF-8") as refusal:
        check_storage(tmp_path / name)
    assert str(refusal.value).isprintable()


def test_a_wish_to_save_lasts_until_the_sweep_goes_on(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    folder.ask_to_save()
    assert folder.is_asked_to_save()
    folder.go_on()
    assert not folder.is_asked_to_save()
