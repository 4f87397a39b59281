"""What trials need of the sweep's folder, where they see it and beside the driver."""

import logging
from pathlib import Path

import pytest

from sweeps.execution.driver_desk import FolderDesk, FolderKeeper
from sweeps.storage.folder import SweepFolder


def test_a_node_that_does_not_see_the_folder_is_named(tmp_path: Path) -> None:
    FolderDesk(SweepFolder(tmp_path)).check()
    with pytest.raises(
        FileNotFoundError, match=r"node .* does not see the sweep's folder .*/absent: mount the storage"
    ):
        FolderDesk(SweepFolder(tmp_path / "absent")).check()


@pytest.mark.parametrize("kind", ["desk", "keeper"])
def test_both_answer_what_the_folder_says(tmp_path: Path, kind: str) -> None:
    folder = SweepFolder(tmp_path)
    desk = FolderDesk(folder) if kind == "desk" else FolderKeeper(tmp_path)
    assert (desk.is_cancelled("trial"), desk.is_asked_to_save()) == (False, False)
    folder.cancel("trial")
    folder.ask_to_save()
    assert (desk.is_cancelled("trial"), desk.is_asked_to_save(), desk.is_cancelled("other")) == (True, True, False)


def test_the_lines_of_both_are_in_one_log(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    FolderKeeper(tmp_path).append("trial", "far\n")
    handler = FolderDesk(folder).open_log("trial")
    handler.handle(logging.makeLogRecord({"msg": "near"}))
    handler.close()
    assert folder.log("trial").read_text() == "far\nnear\n"
