"""Drills: sweeps on Rays whose nodes are hosts with a network, processes, mounts and a name of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from drills import PATIENCE_S, SMALL, Site, site, survived
from hosts import Host, drive, network

from sweeps.paths import ROOT

pytestmark = pytest.mark.drill

CODE = (ROOT / "bddseg", ROOT / "sweeps")
TORCH = Path(torch.__file__).parent


def said_last(place: Site) -> str:
    return place.said().splitlines()[-1]


@dataclass
class Bed:
    """A head without cores, and hosts that are no nodes of its Ray yet."""

    head: Host
    bare: Host
    """Without the project's code."""
    apart: Host
    """Without the storage."""
    notorch: Host
    """Without one of the packages."""


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Start a head, and hosts without what trials need."""
    hidden = {"bare": [*CODE], "apart": [tmp_path_factory.getbasetemp()], "notorch": [TORCH]}
    with network("head", *hidden, hidden=hidden) as hosts:
        hosts[0].start_head()
        yield Bed(*hosts)


def test_without_a_node_for_trials_the_refusal_names_the_option_that_waits(
    tmp_path: Path, template: Path, bed: Bed
) -> None:
    with site(tmp_path, template) as place:
        assert drive(place, bed.head, *SMALL, "--address", bed.head.ray).wait(PATIENCE_S) == 2, place.said()
        assert "a trial needs CPU 1, but no node has that" in said_last(place)
        assert said_last(place).endswith("where nodes join on demand, give --wait-for-nodes SECONDS")
        assert not list(place.storage.glob("*-*/"))


def test_a_node_without_the_code_joins_late_and_trains(tmp_path: Path, template: Path, bed: Bed) -> None:
    with site(tmp_path, template) as place:
        driver = drive(place, bed.head, *SMALL, "--address", bed.head.ray, "--wait-for-nodes", "250")
        place.await_sentence("no node has CPU 1 yet (1 node with CPU 0, GPU 0): waiting, at most ")
        bed.bare.join(bed.head)
        assert driver.wait(PATIENCE_S) == 0, place.said()
        assert "1 node can run trials (CPU " in place.said() and "; code sent to each node: " in place.said()
        survived("node_without_code", place, 0)


def test_nodes_without_the_storage_or_a_package_are_named_before_any_trial(
    tmp_path: Path, template: Path, bed: Bed
) -> None:
    bed.apart.join(bed.head)
    bed.notorch.join(bed.head)
    with site(tmp_path, template) as place:
        assert drive(place, bed.head, *SMALL, "--address", bed.head.ray).wait(PATIENCE_S) == 2, place.said()
        line = said_last(place)
        assert f"1 node (apart {bed.apart.address}) does not see the storage folder {place.storage}" in line
        assert f"1 node (notorch {bed.notorch.address}) cannot import the project" in line and "No module named" in line
        assert not list(place.storage.glob("*-*/"))


def test_a_node_with_a_gpu_that_torch_cannot_use_is_refused(tmp_path: Path, template: Path, bed: Bed) -> None:
    with network("lone") as (lone,), site(tmp_path, template) as place:
        lone.start_head("--num-gpus=1", cpus=1)
        assert drive(place, lone, *SMALL, "--address", lone.ray).wait(PATIENCE_S) == 2, place.said()
        assert f"1 node (lone {lone.address}) has no usable CUDA, though Ray counts a GPU there" in said_last(place)
        driver = drive(place, lone, *SMALL, "--address", lone.ray, "--gpus-per-trial", "0", "--limit", "1")
        assert driver.wait(PATIENCE_S) == 0, place.said()
        assert "; a trial takes 1 core, no GPU" in place.said()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"RAY_AUTH_MODE": "token"}, "it asks for a token, and there is none in RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}, "the token in RAY_AUTH_TOKEN or"),
        ({"RAY_AUTH_TOKEN": "e" * 64}, "it asks for a token, but RAY_AUTH_MODE is disabled here"),
    ],
    ids=["none", "wrong", "disabled"],
)
def test_a_cluster_with_a_token_says_what_is_wrong_with_ours(
    tmp_path: Path, template: Path, locked: Host, variables: dict[str, str], sentence: str
) -> None:
    with site(tmp_path, template) as place:
        driver = drive(place, locked, *SMALL, "--address", locked.ray, **variables)
        assert driver.wait(PATIENCE_S) == 2, place.said()
        assert said_last(place).startswith(f"error: the Ray at {locked.ray} refuses: {sentence}"), place.said()


@pytest.fixture(scope="module")
def locked() -> Iterator[Host]:
    """The head of a Ray that asks for a token."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "e" * 64}
    with network("locked") as (host,):
        host.start_head(cpus=1, **token)
        yield host
