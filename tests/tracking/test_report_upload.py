"""What a report leaves in MLflow, in a real store: tags beside each other, files in place of older ones."""

from pathlib import Path

import pytest
from recording import SWEEP, delivered, runs, start

from sweeps.errors import TrackingError
from sweeps.storage.outbox import Outbox
from sweeps.tracking.reader import Store
from sweeps.tracking.report_upload import ReportUpload
from sweeps.tracking.store import prepare_store
from sweeps.tracking.uri import default_tracking_uri


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("runs")
    address = default_tracking_uri(folder)
    prepare_store(address, folder / "artifacts")
    delivered(Outbox(folder / "outbox"), address, start(""), start("a"))
    return address


def parent(uri: str) -> str:
    return str(runs(uri)[""].info.run_id)


def test_tags_stand_beside_each_other(uri: str) -> None:
    for number in (1, 2):
        ReportUpload(uri).write_tag(parent(uri), f"test.opened.{number}", "{}")
    assert {"test.opened.1", "test.opened.2"} <= Store(uri).read_sweep(SWEEP).tags.keys()


def test_a_report_takes_the_place_of_an_older_one(uri: str, tmp_path: Path) -> None:
    for text in ("old", "new"):
        (tmp_path / "report.json").write_text(f'{{"text": "{text}"}}')
        ReportUpload(uri).upload_report(parent(uri), tmp_path)
    assert Store(uri).json_artifact(parent(uri), "report/report.json") == {"text": "new"}


def test_a_store_that_is_not_there_is_said_in_one_line() -> None:
    with pytest.raises(TrackingError, match=r"cannot be written"):
        ReportUpload("http://127.0.0.1:9").write_tag("run", "key", "value")
