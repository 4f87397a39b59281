"""Addresses of clusters: what something listens at, and what is refused with a better way."""

import pytest

from sweeps.errors import ClusterError
from sweeps.execution.cluster_address import check_address


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ClusterError, match="no Ray answers at garbage: an address is HOST:PORT, auto or local"):
        check_address("garbage")


def test_what_auto_finds_is_knocked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray._private.services.canonicalize_bootstrap_address", lambda address: "127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"no Ray answers at auto: Connection refused.*--address local"):
        check_address("auto")


def test_where_auto_finds_nothing_it_is_said_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray._private.services.canonicalize_bootstrap_address", lambda address: None)
    with pytest.raises(ClusterError, match=r"no Ray runs on this machine: .* --address local"):
        check_address("auto")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ray://head:10001", "is the address of Ray's client server, which cannot run a sweep: use `ray job submit"),
        ("http://head:8265/", "is the address of Ray's dashboard: use `ray job submit --address http://head:8265 "),
        ("https://head", "is the address of Ray's dashboard: use `ray job submit --address https://head "),
    ],
)
def test_addresses_of_other_servers_of_a_cluster_are_refused_with_the_way_in(address: str, sentence: str) -> None:
    with pytest.raises(ClusterError) as refusal:
        check_address(address)
    assert str(refusal.value).startswith(f"{address} {sentence}")
    assert str(refusal.value).endswith("or on a machine of the cluster --address head:6379")


def test_an_address_from_the_environment_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    with pytest.raises(ClusterError, match=r"^http://head:8265 \(RAY_ADDRESS\) is the address of Ray's dashboard"):
        check_address("http://head:8265")
