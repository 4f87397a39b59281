"""A trial whose node was lost has not failed: only failures of its own count against its retries."""

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayTaskError
from ray.tune.experiment import Trial
from ray.tune.trainable import Trainable

from sweeps.execution.ray_patches import PatientController, has_lost_node, is_node_loss

LOST = [
    RayActorError(error_msg="The actor died because its node has died. Node Id: 1"),
    RayActorError(error_msg="the actor's node was terminated unexpectedly"),
    ActorUnavailableError("RPC error: keepalive watchdog timeout", None),
]
OWN = [
    ActorDiedError(),
    RayActorError(error_msg="The actor died unexpectedly: worker process has died"),
    RayTaskError("train", "ValueError: no", ValueError("no")),
]


@pytest.mark.parametrize("error", LOST, ids=["died", "terminated", "unreachable"])
def test_the_loss_of_a_node_is_told_by_rays_words(error: Exception) -> None:
    assert is_node_loss(error)


@pytest.mark.parametrize("error", OWN, ids=["died", "killed", "raised"])
def test_the_end_of_a_process_and_an_exception_are_failures_of_the_trial(error: Exception) -> None:
    assert not is_node_loss(error)


@pytest.mark.parametrize(("errors", "failures"), [(LOST, 0), (OWN, 3), ([*LOST, OWN[2]], 1)])
def test_only_failures_of_its_own_are_counted(
    errors: list[Exception], failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trial, "local_path", None)  # where it would write its failures
    trial = Trial(Trainable, stub=True)
    monkeypatch.setattr(
        "ray.tune.execution.tune_controller.TuneController._process_trial_failure",
        lambda self, trial, exception: trial.handle_error(exception),
    )
    for error in errors:
        PatientController._process_trial_failure(object.__new__(PatientController), trial, error)
    assert trial.num_failures == failures


def test_a_failure_of_its_own_after_a_lost_node_is_no_lost_node(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(Trainable, stub=True)
    monkeypatch.setattr(Trial, "local_path", None)
    monkeypatch.setattr(
        "ray.tune.execution.tune_controller.TuneController._process_trial_failure", lambda self, trial, exception: None
    )
    seen = []
    for error in (LOST[0], OWN[0]):
        PatientController._process_trial_failure(object.__new__(PatientController), trial, error)
        seen.append(has_lost_node(trial))
    assert seen == [True, False]
