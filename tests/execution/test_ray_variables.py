"""Settings of Ray and Tune in the environment: taken out and named, but for a few."""

import os

import pytest

from sweeps.execution.ray_variables import SETTINGS, environment, set_ray_variables


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of Ray's in the environment but what a sweep sets."""
    for name in [name for name in os.environ if name.startswith(("RAY_", "TUNE_"))]:
        monkeypatch.delenv(name)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "name", ["TUNE_RESULT_DIR", "RAY_AIR_LOCAL_CACHE_DIR", "RAY_CHDIR_TO_TRIAL_DIR", "RAY_TUNE_CALLBACKS"]
)
@pytest.mark.parametrize("is_joining", [True, False])
def test_settings_of_tune_are_ignored_by_name(name: str, is_joining: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/x")
    assert set_ray_variables(is_joining=is_joining).endswith(f": {name}") and name not in os.environ


@pytest.mark.parametrize(
    "name", ["RAY_USE_TLS", "RAY_AUTH_TOKEN_PATH", "RAY_REDIS_ADDRESS", "RAY_worker_register_timeout_seconds"]
)
def test_settings_of_ray_are_ignored_by_a_ray_of_our_own_and_reach_one_that_is_joined(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "/x")
    assert (set_ray_variables(is_joining=True), os.environ[name]) == ("", "/x")
    assert set_ray_variables(is_joining=False).endswith(f": {name}") and name not in os.environ


def test_what_a_sweep_sets_itself_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("TUNE_WARN_THRESHOLD_S")
    assert (set_ray_variables(is_joining=False), os.environ["TUNE_WARN_THRESHOLD_S"]) == ("", "5")


def test_the_address_of_a_ray_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "host:1")
    assert (set_ray_variables(is_joining=False), os.environ["RAY_ADDRESS"]) == ("", "host:1")


@pytest.mark.parametrize(("value", "is_kept"), [("0.9", True), ("5", False), ("most", False)])
def test_the_limit_of_rays_memory_monitor_is_kept_where_it_is_one(
    value: str, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_memory_usage_threshold", value)
    assert (set_ray_variables(is_joining=False) == "") is is_kept is ("RAY_memory_usage_threshold" in os.environ)


def test_an_environment_is_put_back_with_what_ray_added(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    with environment({"PYTHONPATH": "/x", "RAY_AUTH_TOKEN_PATH": "/y"}):
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        assert os.environ["PYTHONPATH"] == "/x"
    assert dict(os.environ) == before
