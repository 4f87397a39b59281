"""experiments.yaml: what ships loads, what is wrong is refused, and who overrides whom."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bddseg.result import OBJECTIVE
from sweeps.errors import ExperimentError
from sweeps.planning.experiment import Experiment, load_experiment
from sweeps.planning.experiments_file import read_book
from sweeps.schedulers.rungs import Schedule

PROFILES = tuple(read_book().profiles)
Load = Callable[..., Experiment]

BOOK: dict[str, Any] = {
    "defaults": {"settings": {"optim.lr": 1e-4, "train.epochs": 50}},
    "profiles": {
        "full": {"data": "bdd100k"},
        "small": {"data": "streets", "settings": {"train.epochs": 5}, "grid": {"model.base_filters": [4, 8]}},
    },
    "spaces": {
        "width": {
            "question": "How wide?",
            "grid": {"model.base_filters": [32, 64]},
            "reference": {"model.base_filters": 64},
        },
        "rate": {"question": "How fast?", "grid": {"optim.lr": [1e-4, 1e-3]}},
    },
}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that loads a space of BOOK with parts of it replaced: `load("rate", grid=...)`."""

    def load_changed(
        name: str = "rate", profile: str = "full", words: dict[str, Any] | None = None, **changes: Any
    ) -> Experiment:
        sections: dict[str, Any] = {key: changes.pop(key) for key in ("defaults", "profiles") if key in changes}
        spaces = BOOK["spaces"] | {name: BOOK["spaces"][name] | changes}
        path = tmp_path / "book.yaml"
        path.write_text(yaml.safe_dump({**BOOK, "spaces": spaces, **sections}))
        return load_experiment(name, profile=profile, path=path, **(words or {}))

    return load_changed


def axes(experiment: Experiment) -> dict[str, tuple[Any, ...]]:
    return dict(experiment.axes)


# What ships


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("space", read_book().spaces)
def test_every_shipped_space_loads_under_every_profile(space: str, profile: str) -> None:
    experiment = load_experiment(space, profile=profile)
    assert experiment.question.endswith("?")
    assert all(experiment.reference[key] in values for key, values in experiment.axes)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("space", read_book().spaces)
def test_no_profile_collapses_a_grid(space: str, profile: str) -> None:
    shipped = {key: len(values) for key, values in read_book().space(space).get("grid", {}).items()}
    axes = dict(load_experiment(space, profile=profile).axes)
    assert {key: len(axes[key]) for key in shipped} == shipped  # type: ignore[arg-type]


@pytest.mark.parametrize("space", [name for name in read_book().spaces if read_book().space(name).get("grid")])
def test_every_shipped_grid_says_its_whole_reference(space: str) -> None:
    section = read_book().space(space)
    assert section["reference"].keys() == section["grid"].keys()
    assert all(value in section["grid"][key] for key, value in section["reference"].items())


def test_overfit_has_three_widths_under_the_quick_profile() -> None:
    assert axes(load_experiment("overfit", profile="quick")) == {"model.base_filters": (4, 8, 16)}


# Who overrides whom


def test_defaults_fill_what_a_space_does_not_say(load: Load) -> None:
    assert load("width").base.optim.lr == 1e-4


def test_a_space_overrides_the_defaults(load: Load) -> None:
    assert load(settings={"train.epochs": 20}).base.train.epochs == 20


def test_a_profile_overrides_a_space(load: Load) -> None:
    assert load(profile="small", settings={"train.epochs": 20}).base.train.epochs == 5


def test_what_a_space_pins_overrides_a_profile(load: Load) -> None:
    assert load(profile="small", pin={"train.epochs": 30}).base.train.epochs == 30


def test_the_command_line_overrides_what_a_space_pins(load: Load) -> None:
    words = {"overrides": ["train.epochs=3"]}
    assert load(profile="small", pin={"train.epochs": 30}, words=words).base.train.epochs == 3


def test_a_profile_replaces_an_axis_that_it_names(load: Load) -> None:
    assert axes(load("width", "small")) == {"model.base_filters": (4, 8)}


def test_a_profile_adds_no_axis(load: Load) -> None:
    assert axes(load("rate", "small")) == {"optim.lr": (1e-4, 1e-3)}


def test_a_space_has_other_values_for_an_axis_under_a_profile(load: Load) -> None:
    under = {"small": {"optim.lr": [1e-2, 1e-3]}}
    assert axes(load("rate", "small", under=under)) == {"optim.lr": (1e-2, 1e-3)}
    assert axes(load("rate", under=under)) == {"optim.lr": (1e-4, 1e-3)}


def test_a_reference_that_a_profile_took_off_the_grid_becomes_the_first_point(load: Load) -> None:
    assert (load("width").reference, load("width", "small").reference) == (
        {"model.base_filters": 64},
        {"model.base_filters": 4},
    )


def test_a_list_on_the_command_line_makes_an_axis(load: Load) -> None:
    experiment = load(words={"overrides": ["model.dropout=[0.0, 0.5]"]})
    assert axes(experiment) == {"optim.lr": (1e-4, 1e-3), "model.dropout": (0.0, 0.5)}
    assert experiment.reference["model.dropout"] == 0.0


def test_a_list_on_the_command_line_replaces_an_axis(load: Load) -> None:
    assert axes(load(words={"overrides": ["optim.lr=[1e-5,5e-4]"]})) == {"optim.lr": (1e-5, 5e-4)}


def test_a_value_on_the_command_line_removes_an_axis(load: Load) -> None:
    experiment = load(words={"overrides": ["optim.lr=0.01"]})
    assert (axes(experiment), experiment.reference, experiment.base.optim.lr) == ({}, {}, 0.01)


def test_1e4_is_a_number_on_the_command_line(load: Load) -> None:
    assert load("width", words={"overrides": ["optim.lr=1e-4"]}).base.optim.lr == 1e-4


def test_the_last_of_two_settings_on_the_command_line_holds(load: Load) -> None:
    assert load(words={"overrides": ["train.epochs=3", "train.epochs=4"]}).base.train.epochs == 4


def test_a_seed_reaches_the_trials(load: Load) -> None:
    assert load(words={"seed": 5}).base.train.seed == 5


def test_a_seed_that_was_set_by_its_full_name_holds(load: Load) -> None:
    assert load(words={"seed": 5, "overrides": ["train.seed=6"]}).base.train.seed == 6


def test_nested_settings_mean_the_same_as_dotted_ones(load: Load) -> None:
    assert load(settings={"train": {"epochs": 9}}).base == load(settings={"train.epochs": 9}).base


def test_a_whole_number_on_an_axis_of_fractions_is_widened(load: Load) -> None:
    assert repr(axes(load(grid={"optim.weight_decay": [0, 0.5]}))["optim.weight_decay"]) == "(0.0, 0.5)"


# Refusals


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grids": {}}, "book.yaml:22: spaces.rate has the unknown key 'grids'; known: question, search, settings"),
        ({"settings": {"optim.rate": 1}}, "spaces.rate.settings.optim.rate: optim.rate is not a setting; did you mean"),
        ({"settings": {"optim.lr": "1e-4"}}, "optim.lr is '1e-4', but must be a number; write 1.0e-4"),
        ({"settings": ["optim.lr"]}, "book.yaml:23: spaces.rate.settings is ['optim.lr'], but must be a mapping"),
        ({"settings": {"train.epochs": 0}}, "train.epochs is 0, but must be > 0"),
        ({"pin": {"data.size": "big"}}, "spaces.rate.pin.data.size: data.size is 'big', but must be a whole number"),
        ({"grid": {"optim.lr": []}}, "spaces.rate.grid.optim.lr is [], but must be a list of at least one value"),
        ({"grid": {"optim.lr": 1e-3}}, "book.yaml:19: spaces.rate.grid.optim.lr is 0.001, but must be a list"),
        ({"grid": {"optim.lr": [1e-3, "1e-4"]}}, "spaces.rate.grid.optim.lr[1]: optim.lr is '1e-4', but must be"),
        ({"grid": {"optim.lr": [True]}}, "optim.lr is True, but must be a number"),
        ({"grid": {"optim.lr": [1e-3, 1e-3]}}, "but must not hold a value twice"),
        ({"grid": {"optim.weight_decay": [0, 0.0]}}, "but must not hold a value twice"),
        ({"grid": {"model.name": ["resnet"]}}, "model.name is 'resnet', but must be one of unet, vanilla_unet"),
        ({"reference": {"model.name": "unet"}}, "reference.model.name is no axis of the space; known: optim.lr"),
        ({"reference": {"optim.lr": 0.5}}, "spaces.rate.reference.optim.lr is 0.5, but must be one of 0.0001, 0.001"),
        ({"under": {"smal": {}}}, "spaces.rate.under.smal is no profile; known: "),
        (
            {"under": {"small": {"model.dropout": [0.1, 0.2]}}},
            "under.small.model.dropout is no axis of the space; known",
        ),
        ({"pin": {"optim.lr": 0.5}}, "spaces.rate.pin.optim.lr"),  # an axis cannot be pinned
        (
            {"scheduler": {"name": "fifo"}},
            "scheduler.name is 'fifo', but must be one of asha, asha_promote, hyperband, median, none",
        ),
        ({"scheduler": {"grace": 0.01}}, "scheduler.grace is 0.01, but must be a number from 0.1 to 1.0"),
        ({"scheduler": {"reduction": 1}}, "scheduler.reduction is 1, but must be a whole number >= 2"),
        ({"scheduler": {"brackets": 3}}, "scheduler has the unknown key 'brackets'; known: name, grace, reduction"),
        ({"scheduler": "none"}, "spaces.rate.scheduler is 'none', but must be a mapping"),
    ],
)
def test_a_mistake_in_a_space_is_refused_with_its_place(load: Load, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        load("rate", **changes)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"defaults": {"metrics": OBJECTIVE}}, "defaults has the unknown key 'metrics'; known: settings, scheduler"),
        ({"defaults": {"scheduler": "asha"}}, "defaults.scheduler is 'asha', but must be a mapping"),
        (
            {"defaults": {"settings": {"optim.lr": "1e-4"}}},
            "book.yaml:3: defaults.settings.optim.lr: optim.lr is '1e-4'",
        ),
        ({"profiles": {"full": {"data": "kitti"}}}, "full.data is 'kitti', but must be one of bdd100k, streets"),
        ({"profiles": {"full": None}}, "profiles.full is None, but must be a mapping"),
        ({"profiles": {"full": {"data": "streets", "spaces": {}}}}, "profiles.full has the unknown key 'spaces'"),
        ({"profiles": {"full": {"data": "streets", "grid": {"optim.lr": []}}}}, "profiles.full.grid.optim.lr is []"),
    ],
)
def test_a_mistake_outside_the_spaces_is_refused(load: Load, sections: dict[str, Any], expected: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        load("rate", **sections)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optim.lr", "--set 'optim.lr' has no '=', but must be key=value"),
        ("optim.rate=1", "--set 'optim.rate=1': optim.rate is not a setting"),
        ("optim.lr=fast", "--set optim.lr: optim.lr is 'fast', but must be a number"),
        ("optim.lr=", "optim.lr is None, but must be a number"),
        ("optim.lr=nan", "optim.lr is nan, but must be finite"),
        ("optim.lr=[]", "--set optim.lr is [], but must be a list of at least one value"),
        ("optim.lr=[1e-3,0.001]", "but must not hold a value twice"),
        ("optim.lr=[1e-3,x]", "--set optim.lr[1]: optim.lr is 'x'"),
        ("optim.lr=[1", "has a value that is not YAML"),
        (f"optim.lr={'9' * 5000}", "has a value that is not YAML"),
        (f"optim.lr={'[' * 5000}", "has a value that is not YAML"),
        ("optim.lr=2026-99-99", "has a value that is not YAML"),
        ("train.epochs=0", "train.epochs is 0, but must be > 0"),
        ("train.epochs=1.5", "train.epochs is 1.5, but must be a whole number"),
        ("data.val_fraction=0.95", "must be < 1 to leave images for training"),
    ],
)
def test_a_mistake_on_the_command_line_is_refused(load: Load, text: str, expected: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        load(words={"overrides": [text]})
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_a_mistake_on_the_command_line_is_not_blamed_on_the_file(load: Load) -> None:
    with pytest.raises(ExperimentError) as caught:
        load(words={"overrides": ["data.val_fraction=0.95"]})
    assert "book.yaml" not in str(caught.value)


def test_an_unknown_space_lists_the_known_ones() -> None:
    with pytest.raises(
        ExperimentError, match=r"space 'smok' is not in experiments\.yaml; did you mean smoke\? known: smoke, baseline"
    ):
        load_experiment("smok", profile="quick")


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(
        ExperimentError, match=r"profile 'quik' is not in experiments\.yaml; did you mean quick\? known: full, quick"
    ):
        load_experiment("smoke", profile="quik")


def test_an_unknown_metric_lists_the_known_ones(load: Load) -> None:
    with pytest.raises(ExperimentError, match=r"defaults\.metric is 'val/iou', but must be val/miou"):
        load(defaults={"metric": "val/iou"})


def test_a_metric_that_does_not_decide_is_refused(load: Load) -> None:
    with pytest.raises(ExperimentError, match=r"defaults\.metric is 'val/loss', but must be val/miou"):
        load(defaults={"metric": "val/loss"})


# Rungs


@pytest.mark.parametrize(
    ("epochs", "grace", "reduction", "expected"),
    [
        (50, 0.1, 3, (5, 15, 45)),
        (16, 0.1, 3, (2, 6)),
        (100, 0.1, 3, (10, 30, 90)),
        (9, 0.1, 3, (1, 3)),
        (27, 0.1, 3, (3, 9)),
        (2, 0.1, 3, (1,)),
        (1, 0.1, 3, ()),
        (50, 0.5, 2, (25,)),
        (50, 1.0, 3, ()),
    ],
)
def test_rungs_start_after_the_grace_and_end_before_the_budget(
    epochs: int, grace: float, reduction: int, expected: tuple[int, ...]
) -> None:
    assert Schedule("asha", grace, reduction).rungs(epochs) == expected


def test_without_early_stopping_there_are_no_rungs() -> None:
    assert Schedule("none", 0.1, 3).rungs(50) == ()


def test_a_tenth_of_every_round_budget_is_exact() -> None:
    assert all(Schedule("asha", 0.1, 3).rungs(10 * tenth)[0] == tenth for tenth in range(1, 101))


def test_the_scheduler_of_the_command_line_holds(load: Load) -> None:
    assert load(words={"scheduler": "none"}).schedule.name == "none"


def test_a_space_overrides_part_of_the_default_schedule(load: Load) -> None:
    schedule = load(defaults={"scheduler": {"grace": 0.2, "reduction": 4}}, scheduler={"reduction": 2}).schedule
    assert schedule == Schedule("asha", 0.2, 2)
