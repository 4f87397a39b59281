"""The measurements on a GPU: slices, what is done and what runs again; the profile of a step."""

import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, gpu_profile
from benchmarks.gpu import Outcome, Step, read_outcomes, run_step

PRINTS = (sys.executable, "-c", "print('one'); print('two')")
WAITS = (sys.executable, "-c", "import time; time.sleep(60)")


def step(*words: str, name: str = "a step", seconds: int = 1) -> Step:
    return Step("tests", name, words, seconds)


def options(folder: Path, seconds: float = 60, *, rehearse: bool = False) -> Namespace:
    return Namespace(out=folder, seconds=seconds, again=False, rehearse=rehearse)


def test_a_step_keeps_what_it_printed(tmp_path: Path) -> None:
    run_step(step(*PRINTS), tmp_path, 60, is_rehearsal=False)
    assert (tmp_path / "a-step.txt").read_text() == "one\ntwo\n"


def test_the_outcome_of_a_step_has_its_last_line_and_exit_code(tmp_path: Path) -> None:
    outcome = run_step(step(*PRINTS), tmp_path, 60, is_rehearsal=False)
    assert outcome is not None
    assert (outcome.exit_code, outcome.last_line) == (0, "two")


def test_a_step_that_is_cut_off_has_no_outcome(tmp_path: Path) -> None:
    assert run_step(step(*WAITS), tmp_path, 1, is_rehearsal=False) is None


def test_a_step_that_is_done_does_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpu._run_slice([step(*PRINTS)], options(tmp_path))
    capsys.readouterr()
    gpu._run_slice([step(*PRINTS)], options(tmp_path))
    assert capsys.readouterr().out == ""


def test_a_step_that_would_not_fit_is_left_for_the_next_slice(tmp_path: Path) -> None:
    steps = [step(*PRINTS, name="long", seconds=600), step(*PRINTS, name="short")]
    assert set(gpu._run_slice(steps, options(tmp_path))) == {"short"}


def test_the_outcome_of_a_rehearsal_is_no_outcome_on_a_gpu(tmp_path: Path) -> None:
    gpu._run_slice([step(*PRINTS)], options(tmp_path, rehearse=True))
    assert read_outcomes(tmp_path / "progress.json", is_rehearsal=False) == {}


def test_an_outcome_is_read_as_written(tmp_path: Path) -> None:
    gpu._run_slice([step(*PRINTS)], options(tmp_path))
    (outcome,) = read_outcomes(tmp_path / "progress.json", is_rehearsal=False).values()
    assert outcome == Outcome("a step", 0, outcome.seconds, "two", is_rehearsal=False)


def test_every_part_has_a_step(tmp_path: Path) -> None:
    assert {each.part for each in gpu.steps(tmp_path, rehearse=True)} == set(gpu.PARTS)


def test_steps_have_names_of_their_own(tmp_path: Path) -> None:
    names = [each.name for each in gpu.steps(tmp_path, rehearse=False)]
    assert len(set(names)) == len(names)


def test_the_gradients_of_a_convolution_are_told_apart_by_their_kernels() -> None:
    kinds = [gpu_profile.kind_of("aten::convolution_backward", kernel) for kernel in ("x_dgrad_y", "x_wgrad_y", "z")]
    assert kinds == ["convolution, input gradient", "convolution, weight gradient", "convolution, gradients"]


def test_work_of_one_kind_on_the_same_tensors_is_added_up_per_step() -> None:
    work = [gpu_profile.Work("ReLU", ((2, 3),), milliseconds, 1) for milliseconds in (1.0, 3.0)]
    assert gpu_profile.merged(work, steps=2) == [gpu_profile.Work("ReLU", ((2, 3),), 2.0, 1.0)]


def test_the_floor_of_a_convolution_is_that_of_its_flops() -> None:
    work = gpu_profile.Work("convolution, forward", ((1, 8, 10, 10), (4, 8, 3, 3)), 1.0, 1)
    assert gpu_profile.floor_ms(work, 1e6, 1e12) == pytest.approx(1e3 * 2 * 100 * 4 * 8 * 9 / 1e6)


def test_the_floor_of_other_work_is_that_of_its_bytes() -> None:
    work = gpu_profile.Work("ReLU", ((10, 100),), 1.0, 1)
    assert gpu_profile.floor_ms(work, 1e12, 1e6) == pytest.approx(1e3 * 2 * 1000 * 2 / 1e6)


def test_a_device_whose_limits_are_not_known_has_no_floor() -> None:
    assert gpu_profile.floor_ms(gpu_profile.Work("ReLU", ((2,),), 1.0, 1), None, None) is None


def test_a_step_is_profiled_down_to_its_convolutions() -> None:
    rows = gpu_profile.profile_step("vanilla_unet", 2, 16, torch.device("cpu"))
    assert {"convolution, forward", "convolution, gradients", "BatchNorm", "pooling"} <= {row.kind for row in rows}
