"""Folders and files that another user keeps to himself: one line, whatever is asked; and the rest goes on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded_trials import planned, record
from recording import start
from users import NOBODY, folder_of, needs_another_user, run_as

from sweeps.storage.events import PARENT
from sweeps.storage.outbox import Outbox

pytestmark = needs_another_user

SWEEP = "smoke-20261123-034501-3f2a"
LONG = "a" * 300

ASK = f"""
import sys, tune_main
storage = sys.argv[1]
named = [[verb, "{SWEEP}"] for verb in ("--status", "--sync", "--resume")]
verbs = (["--status"], ["--sync"], ["--resume"], *named, ["--cancel", "{SWEEP}", "x"])
print("codes", {{tune_main.main([*verb, "--storage", storage]) for verb in verbs}})
"""
FIND = """
import sys
from pathlib import Path
from sweeps.storage.finished_trials import find_finished
print("found", [entry.sweep.name for entry in find_finished(Path(sys.argv[1]))])
"""
CANCEL = """
import sys
from pathlib import Path
from sweeps.errors import StorageError
from sweeps.storage.folder import SweepFolder
try:
    SweepFolder(Path(sys.argv[1])).cancel("a")
except StorageError as error:
    print(error)
"""
READ = """
import sys
from pathlib import Path
from bddseg.errors import UserError
from bddseg.data.det_files import read_entries
try:
    read_entries(Path(sys.argv[1]))
except UserError as error:
    print(error)
"""


@pytest.fixture
def storage() -> Iterator[Path]:
    """A storage folder of this user with two finished sweeps."""
    with folder_of(0) as folder:
        for name in (SWEEP, "smoke-20261123-034502-0001"):
            record(folder, name, planned())
            Outbox(folder / name / "outbox").append(start(PARENT))
        yield folder


@pytest.mark.parametrize("closed", ["", SWEEP])
def test_whatever_is_asked_of_a_closed_folder_is_refused_in_one_line(storage: Path, closed: str) -> None:
    shutil.rmtree(storage / "smoke-20261123-034502-0001")
    (storage / closed).chmod(0o700)
    code, printed = run_as(NOBODY, "-c", ASK, str(storage))
    assert (code, printed.splitlines()[-1]) == (0, "codes {2}")
    assert "Traceback" not in printed and printed.count("Permission denied") == 7


@pytest.mark.parametrize("closed", ["outbox/outbox.jsonl", "sweep.json", "outbox", ""])
def test_a_sweep_that_may_not_be_read_is_named_and_the_others_are_reused(storage: Path, closed: str) -> None:
    (storage / SWEEP / closed).chmod(0o600)
    code, printed = run_as(NOBODY, "-c", FIND, str(storage))
    assert (code, printed.splitlines()[-1]) == (0, "found ['smoke-20261123-034502-0001']")
    assert f"the trials of {SWEEP} are not reused: " in printed and "Permission denied" in printed


def test_a_sweep_that_may_be_read_again_is_reused_again(storage: Path) -> None:
    storage.chmod(0o777)
    (storage / SWEEP / "sweep.json").chmod(0o600)
    run_as(NOBODY, "-c", FIND, str(storage))
    (storage / SWEEP / "sweep.json").chmod(0o644)
    _, printed = run_as(NOBODY, "-c", FIND, str(storage))
    assert printed.count("smoke-") == 2


def test_a_cancellation_that_may_not_be_written_is_refused(storage: Path) -> None:
    code, printed = run_as(NOBODY, "-c", CANCEL, str(storage / SWEEP))
    assert code == 0 and printed.splitlines()[-1].endswith("cancelled cannot be written: Permission denied")


@pytest.mark.parametrize("verb", [["--status"], ["--sync"], ["--resume"], ["--cancel", "x"]])
def test_a_name_that_no_file_can_have_is_an_unknown_sweep(
    storage: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    import tune_main

    code = tune_main.main([verb[0], LONG, *verb[1:], "--storage", str(storage)])
    assert code == 2 and "Traceback" not in capsys.readouterr().err


def test_det_files_in_a_closed_folder_are_refused(tmp_path: Path) -> None:
    with folder_of(0) as folder:
        (folder / "labels" / "det_20").mkdir(parents=True)
        (folder / "labels" / "det_20").chmod(0o600)
        code, printed = run_as(NOBODY, "-c", READ, str(folder))
    assert code == 0 and "det_train.json cannot be read: Permission denied" in printed


def test_a_model_in_a_closed_folder_is_there(tmp_path: Path) -> None:
    with folder_of(0) as folder, folder_of(NOBODY) as theirs:
        (folder / "image.png").write_bytes(b"")
        (folder / "closed").mkdir(mode=0o700)
        options = (str(folder / "closed" / "x.pt"), str(folder / "image.png"), "--out", str(theirs / "out"))
        code, printed = run_as(NOBODY, "-m", "sweeps.predict", *options)
    assert code == 2 and "x.pt cannot be read: Permission denied" in printed
