"""Benchmarks: arithmetic of figures, equal counting by all contenders, nothing printed without a GPU."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from folders import write_folder
from tiny import make_config, make_frames, make_split

from bddseg.counting import count_pixels_on_device
from bddseg.data.frames import build_frames
from bddseg.data.split import usual_split
from bddseg.engine import Engine
from bddseg.task import IGNORE
from benchmarks import __main__ as everything
from benchmarks import s0_parity, s4_gpu_trial, s7_overhead, verdict_seeds
from benchmarks.baseline_careful import Careful, tensors
from benchmarks.baseline_plain import Files, Scores
from benchmarks.cli import show
from benchmarks.contender_inputs import ContenderInputs, fractions, measure, settings
from benchmarks.datasets import load
from benchmarks.flops import flops_per_image
from benchmarks.measuring import Figure, Spread, exit_code, interleave, ratios
from benchmarks.memory_frames import synthetic_frames
from benchmarks.record_seeds import BUDGETS, EPOCHS, FOLDS, SETTINGS, Seeds, _complete, load_seeds, save_seeds
from benchmarks.scenes import scenes_folder
from benchmarks.simulated_evidence import World

ROOT = Path(__file__).resolve().parent.parent.parent
CPU = torch.device("cpu")
SMALL = {"width": 64, "height": 48}


def test_a_spread_is_median_lowest_and_highest() -> None:
    assert Spread.of([3.0, 1.0, 2.5, 2.0]) == Spread(2.25, 1.0, 3.0)


def test_a_spread_with_what_is_no_number_is_none() -> None:
    assert math.isnan(Spread.of([1.0, math.nan, 2.0]).median)


def test_a_ratio_is_taken_within_each_round() -> None:
    assert ratios([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == Spread(3.0, 2.0, 4.0)


def test_rounds_are_interleaved() -> None:
    turns: list[str] = []
    interleave({"A": lambda: turns.append("A"), "B": lambda: turns.append("B")}, 3)
    assert turns == ["A", "B", "A", "B", "A", "B"]


def test_every_turn_is_kept_in_order() -> None:
    count = iter(range(4))
    assert interleave({"A": lambda: next(count), "B": lambda: next(count)}, 2) == {"A": [0, 2], "B": [1, 3]}


def test_a_figure_is_one_line() -> None:
    assert Figure("S2 train", 2.81, 2.5, 3).line() == "S2 train ratio=2.81 target=2.50 rounds=3"


def test_an_absolute_figure_says_value() -> None:
    assert Figure("S7 s", 1.25, 1.3, 3, kind="value", at_most=True).line() == "S7 s value=1.25 target=1.30 rounds=3"


@pytest.mark.parametrize(
    ("value", "at_most", "shown"), [(2.499, False, 2.49), (2.5, False, 2.5), (1.301, True, 1.31), (1.3, True, 1.3)]
)
def test_a_figure_is_rounded_against_us(value: float, at_most: bool, shown: float) -> None:
    assert Figure("x", value, 0, 1, at_most=at_most).shown == shown


def test_what_just_misses_its_target_is_not_printed_as_if_it_met_it() -> None:
    figure = Figure("x", 2.4999, 2.5, 3)
    assert (figure.passes, figure.line()) == (False, "x ratio=2.49 target=2.50 rounds=3")


@pytest.mark.parametrize(("value", "at_most", "code"), [(3, False, 0), (2, False, 1), (3, True, 1), (2, True, 0)])
def test_a_missed_target_is_exit_code_1(value: float, at_most: bool, code: int) -> None:
    assert exit_code([Figure("met", 9, 1, 1), Figure("x", value, 2.5, 1, at_most=at_most)]) == code


@pytest.mark.parametrize("at_most", [True, False])
def test_what_could_not_be_measured_misses_its_target(at_most: bool) -> None:
    assert exit_code([Figure("x", math.nan, 1, 1, at_most=at_most)]) == 1


def test_the_closing_table_reads_every_kind_of_line() -> None:
    lines = [Figure("S2 train b8 vs P0 clock=wall", 2.81, 2.5, 3).line(), Figure("S7 s", 1, 2, 3, kind="value").line()]
    assert [match and match["value"] for match in map(everything.FIGURE.match, lines)] == ["2.81", "1.00"]


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    show("title", ("", "s"), [("long name", "1"), ("b", "22")], ("note",))
    assert capsys.readouterr().out == "title\n           s\nlong name  1\nb          22\nnote\n\n"


def test_p0_p2_and_ours_count_the_same_pixels() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 5, 8, 8, generator=generator)
    masks = torch.randint(0, 5, (3, 8, 8), generator=generator)
    masks[:, :2] = IGNORE
    scores = Scores(CPU)
    scores.add(logits[:2], masks[:2])
    scores.add(logits[2:], masks[2:])
    ours = count_pixels_on_device(masks, logits.max(1)[1], 5)[:, :-1].sum(0).numpy()
    np.testing.assert_array_equal(scores.counts(), ours)


def test_p2_counts_as_the_engine_does_with_the_same_weights() -> None:
    config, frames, split = make_config(), make_frames(), make_split()
    inputs = measure(frames, split, config)
    engine = Engine(config, frames, split.train, CPU)
    careful = Careful(inputs, *tensors(frames.images, frames.masks, inputs), split.train, split.val, CPU)
    careful.model.load_state_dict(engine.network.model.state_dict())
    np.testing.assert_array_equal(careful.evaluate(), engine.evaluate(split.val).counts.sum(0))


def test_everybody_is_given_the_normalisation_that_the_engine_uses() -> None:
    config, frames, split = make_config(), make_frames(), make_split()
    inputs, engine = measure(frames, split, config), Engine(config, frames, split.train, CPU)
    np.testing.assert_allclose(inputs.mean, engine.network.normalisation["mean"].numpy(), rtol=1e-5)
    np.testing.assert_allclose(inputs.deviation, engine.network.normalisation["deviation"].numpy(), rtol=1e-5)


def test_what_is_given_survives_its_file(tmp_path: Path) -> None:
    inputs = ContenderInputs(settings(model_base_filters=8), (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), (1.0,) * 5)
    assert ContenderInputs.load(inputs.save(tmp_path / "given.json")) == inputs


def test_a_file_of_p0_is_what_the_engine_sees(tmp_path: Path) -> None:
    config = settings(data_size=16, **fractions(2, 1, 1))
    scenes = dict.fromkeys(("a", "b", "c", "d"), "city street")
    data = load(write_folder(tmp_path / "data", scenes), config, tmp_path / "cache")
    engine = data.ours(config, CPU)
    images, masks = engine.network.pixels.load(next(engine.network.pixels.placed([np.arange(1)])))
    image, mask = Files(data.samples, data.inputs)[0]
    assert torch.equal(mask, masks[0])
    torch.testing.assert_close(image, images[0], rtol=1e-5, atol=1e-5)


def test_plain_epochs_train_the_model(tmp_path: Path) -> None:
    config = settings(data_size=16, model_base_filters=4, train_batch_size=2, **fractions(4, 1, 1))
    data = load(write_folder(tmp_path / "data", dict.fromkeys("abcdef", "highway")), config, tmp_path / "cache")
    run = data.plain(config, CPU)
    before = [weights.clone() for weights in run.model.parameters()]
    run.train_epoch()
    assert not all(torch.equal(old, new) for old, new in zip(before, run.model.parameters(), strict=True))


def test_the_parts_are_those_that_were_asked_for(tmp_path: Path) -> None:
    names = [f"scene-{number:04d}" for number in range(132)]
    split = usual_split(settings(**fractions(96, 32, 4)).data, names, [("city",), ("non_city",)] * 66)
    assert (len(split.train), len(split.val), len(split.test)) == (96, 32, 4)


def test_scenes_are_the_same_wherever_they_are_drawn(tmp_path: Path) -> None:
    folders = [scenes_folder(tmp_path / name, 6, **SMALL) for name in ("a", "b")]
    contents = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    ]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 6 + 6 + 1


def test_scenes_that_are_there_are_not_drawn_again(tmp_path: Path) -> None:
    first = scenes_folder(tmp_path, 6, **SMALL).stat().st_mtime_ns
    assert scenes_folder(tmp_path, 6, **SMALL).stat().st_mtime_ns == first


def test_synthetic_frames_hold_what_frames_hold() -> None:
    frames = synthetic_frames(3, 20)
    assert (frames.images.shape, frames.masks.shape, frames.masks.max() < 5) == ((3, 20, 20, 3), (3, 20, 20), True)


def test_a_training_step_needs_three_forward_passes_but_for_the_first_layer() -> None:
    train, forward = flops_per_image(settings(model_base_filters=32))
    first_layer = 2 * 3 * 32 * 9 * 128 * 128
    assert train == 3 * forward - first_layer
    assert round(forward / 1e9, 2) == 6.04


def test_overhead_is_what_lies_between_first_start_and_last_end_beside_training() -> None:
    recorded = s7_overhead.Recorded(starts=[10.0, 14.0], ends=[13.0, 18.0], training=[2.0, 3.0])
    assert recorded.overhead == (18 - 10 - 5) / 2


def test_overhead_is_read_from_the_event_file_of_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir()
    events = [
        {"kind": "start", "trial": "", "time_ms": 1},
        {"kind": "start", "trial": "a", "time_ms": 2000},
        {"kind": "epoch", "trial": "a", "time_ms": 2500, "metrics": {"time/epoch_s": 0.25}},
        {"kind": "end", "trial": "a", "time_ms": 3000},
    ]
    (tmp_path / "outbox" / "outbox.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert s7_overhead.read_outbox(tmp_path) == s7_overhead.Recorded([2.0], [3.0], [0.25])


def test_the_gpu_scenario_runs_from_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, split = synthetic_frames(12, 16), make_split(12)
    course = s4_gpu_trial.Course(
        s4_gpu_trial.REHEARSAL, CPU, frames, split, measure(frames, split, settings(data_size=16)), ()
    )
    seconds = s4_gpu_trial._seconds(course, s4_gpu_trial.CASES[0], rounds=2)
    assert {name: len(values) for name, values in seconds.items()} == {"ours": 2, "P2": 2}


@pytest.fixture(scope="module")
def without_a_gpu() -> list[str]:
    """What the scenarios for a GPU say, and then which libraries they needed, in a process that sees no GPU."""
    program = (
        "import sys\nfrom benchmarks import s4_gpu_trial, s6_packing\n"
        "print(s4_gpu_trial.main([]), s6_packing.main([]))\n"
        "print(sorted({'ray', 'mlflow', 'sweeps', 'torchmetrics', 'rich'} & set(sys.modules)))"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_without_a_gpu_the_scenarios_for_one_say_so_and_give_no_figure(without_a_gpu: list[str]) -> None:
    assert without_a_gpu[:3] == ["no CUDA device: not measured", "no CUDA device: not measured", "0 0"]


def test_the_scenarios_for_a_gpu_need_bddseg_and_torch_alone(without_a_gpu: list[str]) -> None:
    assert without_a_gpu[3] == "[]"


def test_parity_gives_p0_the_order_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(make_config(train_seed=5), make_frames(), range(24), CPU)
    placed, seen = engine.network.pixels.placed, []
    monkeypatch.setattr(engine.network.pixels, "placed", lambda batches: seen.extend(batches) or placed(batches))
    engine.train_epoch(1)
    begun = seen.pop(0)  # the statistics of BatchNorm begin at the first batch
    engine.train_epoch(2)
    order = s0_parity.EngineOrder(5, 24)
    assert [*order, *order] == np.concatenate(seen).tolist() and begun.tolist() == seen[0].tolist()


def test_pixels_of_a_built_cache_are_pillows(tmp_path: Path) -> None:
    from benchmarks.s1_data import _same

    config = settings(data_size=16, **fractions(2, 1, 1))
    data = load(write_folder(tmp_path / "data", dict.fromkeys("abcd", "highway")), config, tmp_path / "cache")
    frames = build_frames(data.samples, 16, tmp_path / "cache")
    assert _same(frames, Files(data.samples, data.inputs), data.samples) == 1.0
    swapped = [data.samples[1], data.samples[0], *data.samples[2:]]
    assert _same(frames, Files(swapped, data.inputs), swapped) == 0.5


def seeds_of(skills: list[float], seeds: int, run_seeds: int) -> Seeds:
    """Return a table of simulated trainings, as many settings as there are skills."""
    drawn, settings = World(drives=10).draw(skills, 0), range(len(skills))
    screened = [[drawn.run(setting).counts for _ in range(seeds)] for setting in settings]
    runs = [[drawn.run(setting).counts for _ in range(run_seeds)] for setting in settings]
    labels = {"names": drawn.names.tolist()} | dict.fromkeys(("scenes", "weathers", "times_of_day"), [""] * 50)
    table_settings = {name: {} for name in list(SETTINGS)[: len(skills)]}
    facts = {"fingerprint": "f" * 16, "settings": table_settings, "screened": labels, "confirmed": labels}
    counts = np.repeat(np.asarray(screened)[:, :, None], len(BUDGETS), axis=2)
    curves = np.full((len(skills), seeds, EPOCHS), 0.5)
    return Seeds(facts, curves, counts, np.asarray(runs), np.repeat(np.arange(FOLDS), 50 // FOLDS))


def test_a_table_of_seeds_survives_its_file(tmp_path: Path) -> None:
    table = seeds_of([0.0, 0.1], 3, 2)
    save_seeds(tmp_path / "seeds.npz", table)
    loaded = load_seeds(tmp_path / "seeds.npz")
    assert (loaded.seeds, loaded.run_seeds, loaded.folds) == (3, 2, FOLDS)
    assert np.array_equal(loaded.evidence(1, 2, BUDGETS[0]).counts, table.evidence(1, 2, BUDGETS[0]).counts)
    assert loaded.run(0, 1, 3).names == table.run(0, 1, 3).names


def test_a_seed_counts_once_every_setting_has_it(tmp_path: Path) -> None:
    for name in ("0-00", "1-00", "2-00", "3-00", "0-01"):
        (tmp_path / f"screened-{name}.npz").touch()
    assert _complete(tmp_path, "screened-{0}-{1:02}", 12) == 1


def test_recorded_seeds_are_posed_as_those_sweeps_for_which_there_are_enough() -> None:
    shares = verdict_seeds.measure("real", seeds_of([0.0, 0.0], 7, 2), 2)
    kinds = [f"a/a real k=2 epochs={budget}" for budget in BUDGETS]
    assert [share.name for share in shares] == [*kinds, f"a/a real confirmation k=2 epochs={EPOCHS}"]


def test_a_setting_that_is_far_better_is_told_apart_on_recorded_seeds() -> None:
    table = seeds_of([0.0, 2.0, -1.0], 6, 2)
    *_, apart = verdict_seeds.figures("real", table, [], 3)
    assert apart.line() == "V7 apart real 40 points value=100.00 target=100.00 rounds=3"
