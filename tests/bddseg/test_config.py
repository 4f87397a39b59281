"""TrainConfig: refusals, overrides, folding and the digest."""

import hashlib
import json
import math
import subprocess
import sys
from typing import Any

import pytest

from bddseg.config import DOUBLINGS, LATER, RECIPE, DataSettings, TrainConfig, check_setting, flatten, setting_names
from bddseg.errors import ConfigError
from bddseg.models import MODELS, build_model


def refusal(**overrides: Any) -> str:
    """Return the message with which the overrides are refused; keys as `optim_lr`."""
    with pytest.raises(ConfigError) as caught:
        TrainConfig().with_overrides({key.replace("_", ".", 1): value for key, value in overrides.items()})
    return str(caught.value)


def changed(**overrides: Any) -> TrainConfig:
    return TrainConfig().with_overrides({key.replace("_", ".", 1): value for key, value in overrides.items()})


def test_an_unknown_key_suggests_the_nearest() -> None:
    assert "optim.learning_rate is not a setting" in refusal(optim_learning_rate=1.0)
    assert "did you mean optim.weight_decay?" in refusal(optim_weightdecay=1.0)


def test_an_unknown_key_lists_all_known_ones() -> None:
    text = refusal(optim_rate=1.0)
    assert all(name in text for name in setting_names())


def test_an_unknown_section_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.lr is not a setting; did you mean optim\.lr"):
        TrainConfig.from_dict({"optimizer": {"lr": 1e-3}})


def test_a_number_that_yaml_took_for_text_is_refused_with_the_right_spelling() -> None:
    assert refusal(optim_lr="1e-4") == "optim.lr is '1e-4', but must be a number; write 1.0e-4"


@pytest.mark.parametrize(("text", "spelling"), [("5e-4", "5.0e-4"), ("2.5e-3", "2.5e-3"), ("1E3", "1.0e3")])
def test_the_suggested_spelling_is_the_same_number(text: str, spelling: str) -> None:
    assert refusal(optim_lr=text).endswith(f"write {spelling}")
    assert float(spelling) == float(text)


def test_a_quoted_number_is_to_lose_its_quotes() -> None:
    assert refusal(optim_lr="0.5").endswith("write 0.5 without quotes")


def test_words_where_a_number_is_meant_get_no_hint() -> None:
    assert refusal(optim_lr="fast") == "optim.lr is 'fast', but must be a number"


def test_the_suggestion_for_a_whole_number_is_a_whole_number() -> None:
    assert refusal(train_epochs="5e1") == "train.epochs is '5e1', but must be a whole number; write 50"


@pytest.mark.parametrize("text", ["nan", "inf"])
def test_what_is_not_finite_is_never_suggested(text: str) -> None:
    assert "write" not in refusal(optim_lr=text)


@pytest.mark.parametrize("key", ["train_epochs", "optim_lr"])
def test_a_boolean_is_no_number(key: str) -> None:
    assert "True, but must be a" in refusal(**{key: True})


def test_a_fraction_is_no_whole_number() -> None:
    assert refusal(data_size=64.0) == "data.size is 64.0, but must be a whole number"


def test_a_whole_number_is_widened_where_any_number_is_meant() -> None:
    value = changed(optim_weight_decay=0).optim.weight_decay
    assert value == 0.0 and type(value) is float


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    assert refusal(optim_lr=value) == f"optim.lr is {value!r}, but must be finite"


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("train_epochs", 0, "must be > 0"),
        ("data_size", 0, "must be > 0"),
        ("data_size", -64, "must be > 0"),
        ("train_batch_size", 0, "must be > 0"),
        ("optim_lr", 0.0, "must be > 0"),
        ("model_dropout", 1.0, "must be >= 0 and < 1"),
        ("data_val_fraction", 0.0, "must be > 0 and < 1"),
        ("train_patience", -1, "must be >= 0"),
        ("train_seed", -1, "must be >= 0"),
        ("data_size", 65_537, "must be <= 65536"),
        ("model_base_filters", 10**9, "must be <= 1000000"),
        ("train_batch_size", 10**12, "must be <= 1000000"),
        ("train_epochs", 10**12, "must be <= 1000000"),
        ("optim_lr", 1e39, "must be < 3.4e38, the largest number of 32 bits"),
        ("loss_gamma", 1e300, "must be < 3.4e38, the largest number of 32 bits"),
        ("model_name", "resnet", "must be one of unet, vanilla_unet, attention_unet, or package.module:Class"),
        ("loss_name", "jaccard", "must be one of cross_entropy, focal, dice, ce_dice, or package.module:function"),
        ("model_init", "xavier", "must be one of kaiming_uniform, original"),
        ("optim_schedule", "step", "must be one of constant, cosine, poly"),
        ("optim_warmup", 1.0, "must be >= 0 and < 1"),
        ("train_precision", "fp16", "must be one of auto, fp32, bf16"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_rule(key: str, value: Any, rule: str) -> None:
    assert refusal(**{key: value}) == f"{key.replace('_', '.', 1)} is {value!r}, but {rule}"


def test_fractions_that_leave_nothing_to_train_on_are_refused() -> None:
    text = refusal(data_val_fraction=0.5, data_test_fraction=0.5)
    assert "is 1, but must be < 1 to leave images for training" in text


def test_a_width_that_gates_cannot_halve_is_refused() -> None:
    assert "model.base_filters is 5, but must be even" in refusal(model_name="attention_unet", model_base_filters=5)


@pytest.mark.parametrize("key", ["train_seed", "data_split_seed", "train_patience", "data_max_images"])
def test_a_whole_number_of_more_than_64_bits_is_refused(key: str) -> None:
    expected = f"{key.replace('_', '.', 1)} is a number of 5001 bits, but must be <= 9223372036854775807"
    assert refusal(**{key: 2**5000}) == expected


@pytest.mark.parametrize(("name", "least"), [("unet", 8), ("vanilla_unet", 16), ("attention_unet", 16)])
def test_an_image_is_at_least_one_pixel_at_the_deepest_level(name: str, least: int) -> None:
    expected = f"data.size is {least - 1}, but must be >= {least} for {name}, which halves it"
    assert refusal(model_name=name, data_size=least - 1).startswith(expected)
    assert changed(model_name=name, data_size=least).bottleneck_pixels == 1


def test_one_pixel_at_the_deepest_level_is_refused_for_batches_of_one() -> None:
    text = refusal(data_size=16, train_batch_size=1)
    assert text.startswith("train.batch_size is 1, but must be >= 2 where data.size is 16: at the deepest level of")
    assert changed(data_size=17, train_batch_size=1).bottleneck_pixels == 4


def test_networks_halve_an_image_as_often_as_settings_assume() -> None:
    networks = {name: build_model(name, classes=5, base_filters=2) for name in DOUBLINGS}
    assert {name: network.multiple for name, network in networks.items()} == {
        name: 2**times for name, times in DOUBLINGS.items()
    }
    assert set(DOUBLINGS) == set(MODELS)


def test_a_bad_value_is_refused_however_the_configuration_is_made() -> None:
    with pytest.raises(ConfigError, match=r"data\.size is 0, but must be > 0"):
        TrainConfig(data=DataSettings(size=0))


def test_overrides_leave_the_original_alone() -> None:
    config = TrainConfig()
    config.with_overrides({"train.epochs": 7})
    assert config == TrainConfig()


def test_a_configuration_survives_the_way_through_a_dict() -> None:
    config = changed(optim_lr=3e-4, model_name="attention_unet", model_dropout=0.3, train_seed=5)
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_a_dict_that_says_little_keeps_the_defaults() -> None:
    assert TrainConfig.from_dict({"train": {"epochs": 3}}) == changed(train_epochs=3)


def test_flatten_joins_nested_keys_and_keeps_dotted_ones() -> None:
    assert flatten({"optim": {"lr": 1}, "train.seed": 2}) == {"optim.lr": 1, "train.seed": 2}


def test_the_flat_form_has_every_setting() -> None:
    assert tuple(TrainConfig().flat()) == setting_names()


def test_check_setting_returns_the_value_as_it_is_held() -> None:
    assert repr(check_setting("optim.lr", 1)) == "1.0"


def test_a_digest_is_twelve_hex_digits() -> None:
    assert len(TrainConfig().digest()) == 12 and int(TrainConfig().digest(), 16) >= 0


@pytest.mark.parametrize(
    "inert",
    [
        {"model_dropout": 0.2},
        {"loss_gamma": 5.0},
        {"train_epochs": 3},
        {"model_dropout": 0.2, "loss_gamma": 1.0},
        {"data_fold": 2},
        {"optim_momentum": 0.5},
    ],
)
def test_settings_without_effect_leave_the_digest_alone(inert: dict[str, Any]) -> None:
    assert changed(**inert).digest() == TrainConfig().digest()


@pytest.mark.parametrize(
    "effective",
    [
        {"train_seed": 1},
        {"optim_lr": 2e-4},
        {"train_precision": "fp32"},
        {"train_patience": 3},
        {"data_size": 64},
        {"data_split_seed": 1},
        {"loss_name": "focal"},
        {"model_name": "attention_unet"},
        {"data_folds": 5},
        {"train_keep": "last"},
        {"model_init": "original"},
        {"optim_schedule": "cosine"},
        {"optim_warmup": 0.1},
        {"train_average": 0.25},
    ],
)
def test_settings_with_an_effect_change_the_digest(effective: dict[str, Any]) -> None:
    assert changed(**effective).digest() != TrainConfig().digest()


def test_all_seeds_of_a_setting_have_its_digest_and_other_settings_another() -> None:
    setting = TrainConfig().setting_digest()
    assert [changed(train_seed=seed).setting_digest() for seed in (1, 2)] == [setting] * 2
    assert changed(model_dropout=0.2).setting_digest() == setting  # without effect on this network
    assert changed(optim_lr=2e-4).setting_digest() != setting


def test_another_budget_of_epochs_is_another_setting_though_the_same_trial() -> None:
    longer = changed(train_epochs=99)
    assert longer.digest() == TrainConfig().digest()
    assert longer.setting_digest() != TrainConfig().setting_digest()


def test_dropout_counts_on_the_net_that_has_it() -> None:
    dropped = changed(model_name="attention_unet", model_dropout=0.2)
    assert dropped.digest() != changed(model_name="attention_unet").digest()


def test_gamma_counts_under_the_loss_that_has_it() -> None:
    assert changed(loss_name="focal", loss_gamma=1.0).digest() != changed(loss_name="focal").digest()


def test_settings_that_came_later_leave_earlier_digests_as_they_were() -> None:
    settings = {key: value for key, value in TrainConfig().flat().items() if key not in (*LATER, "train.epochs")}
    text = json.dumps({"recipe": RECIPE, **settings}, sort_keys=True)
    assert TrainConfig().digest() == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_a_record_without_an_initialisation_is_the_trial_that_it_was() -> None:
    recorded = TrainConfig.from_record(
        {"model.name": "attention_unet", "model": {"dropout": 0.2}, "loss.name": "focal"}
    )
    assert recorded.model.init == "original"
    assert recorded.with_overrides({"train.precision": "fp32"}).digest() == "5237825f3ae2"  # as version 2 hashed it


def test_a_record_of_this_version_keeps_its_initialisation() -> None:
    assert TrainConfig.from_record(TrainConfig().flat()) == TrainConfig()


@pytest.mark.parametrize("schedule", [{"optim_schedule": "cosine"}, {"optim_warmup": 0.1}, {"train_average": 0.25}])
def test_the_epoch_budget_counts_where_something_follows_it(schedule: dict[str, Any]) -> None:
    assert changed(**schedule, train_epochs=3).digest() != changed(**schedule, train_epochs=4).digest()


def test_class_weights_have_no_effect_on_dice() -> None:
    assert changed(loss_name="dice", loss_weighting="none").digest() == changed(loss_name="dice").digest()


def test_momentum_counts_under_sgd() -> None:
    assert changed(optim_name="sgd", optim_momentum=0.5).digest() != changed(optim_name="sgd").digest()


def test_an_empty_value_of_a_choice_is_refused_with_the_known_names() -> None:
    with pytest.raises(ConfigError, match=r"optim.schedule is '', but must be one of constant, cosine, poly"):
        TrainConfig().with_overrides({"optim.schedule": None})  # as YAML reads an empty value


def test_an_empty_value_takes_a_pattern_away() -> None:
    config = changed(data_drive_pattern="(a+)")
    assert config.with_overrides({"data.drive_pattern": None}) == TrainConfig()


def test_every_fold_is_a_trial_of_its_own() -> None:
    assert len({changed(data_folds=folds, data_fold=fold).digest() for folds in (4, 5) for fold in range(4)}) == 8


def test_patience_has_no_effect_where_the_last_epoch_counts() -> None:
    assert changed(train_keep="last", train_patience=3).digest() == changed(train_keep="last").digest()


def test_a_fold_beyond_the_folds_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.fold is 5, but must be < data.folds, which is 5"):
        changed(data_folds=5, data_fold=5)


def test_one_fold_leaves_nothing_to_choose_an_epoch_by() -> None:
    with pytest.raises(ConfigError, match=r"train.keep is 'best', but must be 'last' when data.folds is 1"):
        changed(data_folds=1)


def test_only_one_fold_leaves_nothing_to_validate_on() -> None:
    has_validation = {folds: changed(data_folds=folds, train_keep="last").data.has_validation for folds in (0, 1, 2)}
    assert has_validation == {0: True, 1: False, 2: True}


def test_a_new_recipe_changes_every_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = TrainConfig().digest()
    monkeypatch.setattr("bddseg.config.RECIPE", 10**6)
    assert TrainConfig().digest() != before


def test_folding_twice_is_folding_once() -> None:
    config = changed(model_dropout=0.2, loss_gamma=5.0)
    assert config.folded() == config.folded().folded() == TrainConfig()


def test_rooms_that_only_count_need_no_torch() -> None:
    rooms = "bddseg.config, bddseg.result, bddseg.confusion, bddseg.evidence"
    check = f"import sys, {rooms}; print(sorted({{'torch', 'ray', 'mlflow'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
