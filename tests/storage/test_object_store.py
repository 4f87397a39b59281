"""Checkpoints in a real S3 server: listed, read, copied, tidied, and what is wrong with a store in one line."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import BUCKET, KEYS, ObjectStore, object_store

from sweeps.errors import StorageError
from sweeps.storage.checkpoints import FolderCheckpoints
from sweeps.storage.object_store import ObjectStoreCheckpoints, check_object_store, needless_names, open_object_store

NAME = "pass-1/trial/checkpoint_000001"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as running, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running


def store(sweep: str) -> ObjectStoreCheckpoints:
    return open_object_store(f"s3://{BUCKET}/x", sweep)


def put(server: ObjectStore, sweep: str, *paths: str) -> ObjectStoreCheckpoints:
    for path in paths:
        server.put(f"x/{sweep}/{path}")
    return store(sweep)


def test_checkpoints_are_listed_over_all_passes_the_newest_first(server: ObjectStore) -> None:
    names = ["pass-2/trial/checkpoint_000000", "pass-10/trial/checkpoint_000000", "pass-2/trial/checkpoint_000007"]
    checkpoints = put(server, "order", *(f"{name}/last.pt" for name in names), "pass-2/other/checkpoint_000009/last.pt")
    assert checkpoints.of_trial("trial") == [names[1], names[2], names[0]]
    assert checkpoints.last_pass() == 10


def test_the_newest_checkpoint_of_each_trial_is_one_that_has_the_file(server: ObjectStore) -> None:
    torn = "pass-1/trial/checkpoint_000002/last.pt"
    checkpoints = put(server, "torn", f"{NAME}/best.pt", torn, "pass-1/other/checkpoint_000000/last.pt")
    assert checkpoints.newest(["trial", "other", "third"], having="best.pt") == {"trial": NAME}
    assert checkpoints.newest(["trial"]) == {"trial": "pass-1/trial/checkpoint_000002"}


def test_a_sweep_without_checkpoints_has_none(server: ObjectStore) -> None:
    assert (store("none").of_trial("trial"), store("none").newest(["trial"]), store("none").last_pass()) == ([], {}, 0)


def test_an_opened_checkpoint_has_the_files_that_exist(server: ObjectStore) -> None:
    checkpoints = put(server, "opened", f"{NAME}/best.pt")
    with checkpoints.opened(NAME, ("last.pt", "best.pt")) as folder:
        assert {path.name: path.read_text() for path in folder.iterdir()} == {"best.pt": f"x/opened/{NAME}/best.pt"}


def test_a_file_is_copied_when_its_folder_is_first_asked_for(server: ObjectStore, tmp_path: Path) -> None:
    checkpoints = put(server, "copies", f"{NAME}/best.pt", "pass-1/other/checkpoint_000000/best.pt")
    names = checkpoints.newest(["trial", "other"])
    folders = checkpoints.folders(names, tmp_path, ("best.pt",))
    assert (folders["trial"] / "best.pt").is_file() and "other" in folders
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("source", ["store", "folder"])
def test_a_checkpoint_of_another_sweep_is_copied(server: ObjectStore, tmp_path: Path, source: str) -> None:
    (tmp_path / NAME).mkdir(parents=True)
    (tmp_path / NAME / "best.pt").write_text("weights")
    sources = {"store": put(server, "source", f"{NAME}/best.pt"), "folder": FolderCheckpoints(tmp_path)}
    store(f"from-{source}").add("pass-0/trial/checkpoint_000001", sources[source], NAME, ("last.pt", "best.pt"))
    assert server.keys(f"x/from-{source}/") == [f"x/from-{source}/pass-0/trial/checkpoint_000001/best.pt"]


def test_a_checkpoint_of_a_store_is_copied_into_a_folder(server: ObjectStore, tmp_path: Path) -> None:
    source = put(server, "down", f"{NAME}/best.pt")
    FolderCheckpoints(tmp_path).add(NAME, source, NAME, ("best.pt",))
    assert (tmp_path / NAME / "best.pt").read_text() == f"x/down/{NAME}/best.pt"


def test_what_no_kept_checkpoint_needs_is_deleted(server: ObjectStore) -> None:
    older, other = "pass-1/trial/checkpoint_000000", "pass-1/other/checkpoint_000000"
    files = [f"{name}/{file}" for name in (NAME, older, other) for file in ("last.pt", "best.pt")]
    checkpoints = put(server, "tidy", *files, "pass-1/tuner.pkl", "pass-0/other/checkpoint_000003/best.pt")
    checkpoints.tidy({NAME}, {NAME}, "last.pt")
    assert server.keys("x/tidy/") == [f"x/tidy/{NAME}/best.pt"]


def test_of_a_needless_folder_only_its_top_is_named() -> None:
    names = ["pass-0", "pass-0/a", "pass-0/a/checkpoint_1", "pass-1", "pass-1/a", f"{NAME}", f"{NAME}/best.pt"]
    assert needless_names([*names, "pass-1/trial", "pass-1/tuner.pkl"], {NAME}) == [
        "pass-0",
        "pass-1/a",
        "pass-1/tuner.pkl",
    ]


def test_a_store_travels_to_other_machines_with_its_endpoint_and_without_credentials(server: ObjectStore) -> None:
    content = pickle.dumps(store("travels"))
    assert server.url.encode() in content
    assert KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in content


def test_the_check_of_a_store_leaves_nothing_in_it(server: ObjectStore) -> None:
    check_object_store(f"s3://{BUCKET}/checked")
    assert server.keys("checked") == []


def test_a_missing_bucket_is_named(server: ObjectStore) -> None:
    with pytest.raises(StorageError, match=r"s3://absent/x cannot be used: there is no such bucket: create it"):
        check_object_store("s3://absent/x")


def test_a_store_that_does_not_answer_is_named(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="it does not answer: check the network and AWS_ENDPOINT_URL"):
        check_object_store(f"s3://{BUCKET}/x")


def test_refused_credentials_are_named(server: ObjectStore) -> None:
    server.require_known_keys()
    try:
        with pytest.raises(StorageError, match="access is denied: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
            check_object_store(f"s3://{BUCKET}/x")
    finally:
        server.require_known_keys(is_required=False)


def test_an_unknown_parameter_of_an_address_is_named(server: ObjectStore) -> None:
    with pytest.raises(StorageError, match=r"cannot be opened: .*colour"):
        check_object_store(f"s3://{BUCKET}/x?colour=red")


def test_a_store_that_fails_for_a_moment_is_asked_again(server: ObjectStore) -> None:
    answers = iter([OSError("curlCode: 7"), OSError("curlCode: 7")])

    def action() -> str:
        if (error := next(answers, None)) is not None:
            raise error
        return "answer"

    waiting = ObjectStoreCheckpoints(store("x").filesystem, "x", "s3://x", waits=(0, 0, 0))
    assert waiting.ask(action) == "answer"
