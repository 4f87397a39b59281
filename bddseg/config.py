"""TrainConfig: every setting of one trial, frozen, checked, hashed by what has an effect. Needs no torch."""

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from bddseg.errors import ConfigError, nearest
from bddseg.plugins import digest_source, is_own
from bddseg.setting_rules import (
    FLOAT32,
    NOT_NEGATIVE,
    PATTERN,
    POSITIVE,
    PROBABILITY,
    SHARE,
    Value,
    at_most,
    at_most_chars,
    check_value,
    convert_value,
    one_of,
    one_of_or_own,
    setting,
)

RECIPE = 3
"""Raised by one whenever a change to the core alters the figures of an unchanged configuration."""

ORIGINAL = "original"
"""The initialisation that every trial had up to recipe 2; a configuration with it is still of that recipe."""

DIGEST_CHARS = 12

LATER = (
    "data.folds",
    "data.fold",
    "data.cut",
    "data.drive_pattern",
    "data.classes",
    "data.skip",
    "train.keep",
    "train.average",
    "optim.momentum",
    "optim.schedule",
    "optim.warmup",
)
"""Settings added after the first digests were recorded. They are not hashed at their defaults, which change nothing, so
that a trial recorded before them keeps its digest."""

EARLIER = {"model.init": ORIGINAL}
"""Values that trials had before a setting existed, where they differ from its default."""

CONDITIONAL = (
    "model.dropout",
    "model.init",
    "loss.gamma",
    "loss.weighting",
    "data.fold",
    "data.cut",
    "optim.momentum",
    "train.patience",
)
"""Settings that have an effect only in combination with others."""

DOUBLINGS = {"unet": 3, "vanilla_unet": 4, "attention_unet": 4}
"""Network -> how many times it halves the side of an image and doubles the channels."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Data: image size, split and augmentation."""

    size: int = setting(128, POSITIVE, at_most(65_536))
    """Side of the square, in pixels, to which every image and mask is resized."""
    max_images: int = setting(0, NOT_NEGATIVE)
    """Largest number of images, balanced over groups; 0 uses all."""
    split_seed: int = setting(1337, NOT_NEGATIVE)
    """Seed of the split, which depends on it and on the file names alone."""
    augment: str = setting("none", one_of("none", "flip", "standard"))
    """Augmentation of training images; standard flips, crops and changes colours."""
    val_fraction: float = setting(0.2, SHARE)
    test_fraction: float = setting(0.1, SHARE)
    folds: int = setting(0, NOT_NEGATIVE)
    """Number of folds that train and validation images together are cut into; 0 keeps the two parts. With 1 all images
    are trained on and none validates: for a final training."""
    fold: int = setting(0, NOT_NEGATIVE)
    """The validation fold, from 0; the other folds are trained on."""
    cut: int = setting(0, NOT_NEGATIVE)
    """Index of the partition into folds; repeated cross-validation uses several."""
    drive_pattern: str = setting("", PATTERN)
    """Regular expression at the start of image names; its first group is the drive. Empty: that of the dataset. Whole
    drives are assigned to a part when images are split, and resampled when intervals are computed."""

    classes: str = setting("", at_most_chars(20_000))
    """Classes that are trained: empty for the usual ones of the dataset, all, top:N by training pixels, or names joined
    by commas, merged ones as vehicle=car+truck."""
    skip: str = setting("", at_most_chars(4_096))
    """File with the names of images that are left out, and why: CSV with a column name, or a name a line."""

    @property
    def has_validation(self) -> bool:
        """Return whether any images are held out for validation."""
        return self.folds != 1


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The network."""

    name: str = setting("vanilla_unet", one_of_or_own("Class", *DOUBLINGS))
    base_filters: int = setting(64, POSITIVE, at_most(1_000_000))
    """Channels of the first level; each deeper level has twice as many."""
    dropout: float = setting(0.0, PROBABILITY)
    """Channel dropout after each ReLU; of the built-in networks only attention_unet has one."""
    init: str = setting("kaiming_uniform", one_of("kaiming_uniform", ORIGINAL))
    """Initialisation of the weights, see `bddseg.blocks`; a network of your own initialises itself."""


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """The loss."""

    name: str = setting("cross_entropy", one_of_or_own("function", "cross_entropy", "focal", "dice", "ce_dice"))
    gamma: float = setting(2.0, NOT_NEGATIVE, FLOAT32)
    """Focusing exponent; only focal has one."""
    weighting: str = setting("balanced", one_of("balanced", "none"))
    """Class weights from the training part's pixel counts, or none; dice alone has none of its own."""


@dataclass(frozen=True, kw_only=True)
class OptimSettings:
    """The optimiser and its learning-rate schedule."""

    name: str = setting("adam", one_of("adam", "adamw", "sgd"))
    lr: float = setting(1e-4, POSITIVE, FLOAT32)
    """The learning rate; with a schedule, its highest value."""
    weight_decay: float = setting(1e-4, NOT_NEGATIVE, FLOAT32)
    momentum: float = setting(0.9, PROBABILITY)
    """Momentum of sgd; adam and adamw have moments of their own."""
    schedule: str = setting("constant", one_of("constant", "cosine", "poly"))
    """Decay of the learning rate, step by step, to nearly 0 at the end of `train.epochs`; or constant."""
    warmup: float = setting(0.0, PROBABILITY)
    """Share of all steps in which the learning rate first rises from 0."""

    @property
    def follows_budget(self) -> bool:
        """Return whether the learning rate of a step depends on how many epochs there are."""
        return self.schedule != "constant" or self.warmup > 0


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Training: length, seed and precision."""

    epochs: int = setting(50, POSITIVE, at_most(1_000_000))
    batch_size: int = setting(16, POSITIVE, at_most(1_000_000))
    patience: int = setting(7, NOT_NEGATIVE)
    """Epochs without a better val/miou after which training stops; 0 disables this."""
    keep: str = setting("best", one_of("best", "last"))
    """The epoch whose weights and evidence are kept: the best by val/miou, or the last."""
    average: float = setting(0.0, PROBABILITY)
    """Share of the last epochs whose weights are averaged; such an epoch is validated with the mean so far."""
    seed: int = setting(1337, NOT_NEGATIVE)
    """Seed of initial weights, batch order, augmentation and dropout."""
    precision: str = setting("auto", one_of("auto", "fp32", "bf16"))
    """auto is bf16 where the device has it in hardware, fp32 elsewhere."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Every setting of one trial.

    Raises:
        ConfigError: from every constructor, when a key is unknown or a value has the wrong type or is out of range.
    """

    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()
    train: TrainSettings = TrainSettings()

    def __post_init__(self) -> None:
        for key, value, spec in _settings(self):
            check_value(key, value, spec)
        _check_combination(self)

    @property
    def bottleneck_pixels(self) -> int:
        """Return how many pixels one image has at the deepest level of the network."""
        return int(math.ceil(self.data.size / 2 ** DOUBLINGS.get(self.model.name, 0)) ** 2)

    @classmethod
    def from_dict(cls, nested: Mapping[str, Mapping[str, Any]]) -> Self:
        """Return the configuration of a nested mapping, as `to_dict` gives it; missing settings keep their defaults."""
        return cls().with_overrides(flatten(nested))

    @classmethod
    def from_record(cls, recorded: Mapping[str, Any]) -> Self:
        """Return the configuration of a record, nested or with dotted keys, of this version or an earlier one.

        A setting missing from the record did not exist at that time; it gets the value that trials had then.
        """
        return cls().with_overrides(EARLIER | flatten(recorded))

    def with_overrides(self, overrides: Mapping[str, Any]) -> Self:
        """Return a copy with dotted keys set, for example `{"optim.lr": 1e-3}`."""
        changes: dict[str, dict[str, Any]] = {}
        for key, value in overrides.items():
            section, _, name = key.partition(".")
            changes.setdefault(section, {})[name] = check_setting(key, value)
        sections = {name: dataclasses.replace(getattr(self, name), **values) for name, values in changes.items()}
        return dataclasses.replace(self, **sections)

    def flat(self) -> dict[str, Value]:
        """Return every setting under its dotted key."""
        return {key: value for key, value, _ in _settings(self)}

    def to_dict(self) -> dict[str, dict[str, Value]]:
        """Return the settings as plain nested dicts, for JSON."""
        return dataclasses.asdict(self)

    @property
    def follows_budget(self) -> bool:
        """Return whether the figures of an epoch depend on how many epochs there are."""
        return self.optim.follows_budget or self.train.average > 0

    def averages(self, epoch: int) -> bool:
        """Return whether the weights of an epoch, from 1, are among those that are averaged."""
        return epoch > round((1 - self.train.average) * self.train.epochs)

    def own_names(self) -> dict[str, str]:
        """Return the settings that name a plug-in, a class or function of the user, with their values."""
        names = {"model.name": self.model.name, "loss.name": self.loss.name}
        return {key: name for key, name in names.items() if is_own(name)}

    def folded(self) -> Self:
        """Return the configuration with settings that have no effect here set to their defaults, or switched off."""
        changes = {key: value for key, value in _inert_settings(self).items() if self._value(key) != value}
        return self.with_overrides(changes) if changes else self

    def _value(self, key: str) -> Value:
        section, _, name = key.partition(".")
        return getattr(getattr(self, section), name)

    def has_effect(self, key: str) -> bool:
        """Return whether a setting has an effect in this configuration; gamma has none without the focal loss."""
        return key not in _inert_settings(self)

    @staticmethod
    def is_conditional(key: str) -> bool:
        """Return whether the effect of a setting depends on other settings."""
        return key in CONDITIONAL

    def digest(self) -> str:
        """Return 12 hex digits that name the configuration: equal for equal effect.

        Plug-ins are hashed by their source. The epoch budget is left out unless a schedule depends on it, since a
        longer training starts exactly as a shorter one. `train.precision` should be resolved before (see
        `bddseg.device.resolve_precision`): "auto" hashes as itself.

        Raises:
            ConfigError: when the source of a plug-in cannot be found.
        """
        return _hash(self._effective(() if self.follows_budget else ("train.epochs",)))

    def setting_digest(self) -> str:
        """Return 12 hex digits that are equal for all seeds of a setting under one epoch budget, and for them only.

        Raises:
            ConfigError: when the source of a plug-in cannot be found.
        """
        return _hash(self._effective(("train.seed",)))

    def _effective(self, left_out: tuple[str, ...]) -> dict[str, Any]:
        """Return everything that determines the figures: recipe, settings with an effect, sources of plug-ins."""
        unused = {key: _specs()[key].default for key in LATER}
        recipe = RECIPE
        if self.model.init == ORIGINAL:
            recipe, unused["model.init"] = 2, ORIGINAL
        settings = {key: value for key, value in self.folded().flat().items() if key not in left_out}
        effective = {key: value for key, value in settings.items() if key not in unused or value != unused[key]}
        own = {f"{key} source": digest_source(key, name) for key, name in self.own_names().items()}
        return {"recipe": recipe, **effective, **own}


def _check_combination(config: TrainConfig) -> None:
    """Refuse settings that do not fit together."""
    if config.data.val_fraction + config.data.test_fraction >= 1:
        raise ConfigError(
            f"data.val_fraction + data.test_fraction is {config.data.val_fraction + config.data.test_fraction:g}, "
            "but must be < 1 to leave images for training"
        )
    if config.data.folds and config.data.fold >= config.data.folds:
        raise ConfigError(f"data.fold is {config.data.fold}, but must be < data.folds, which is {config.data.folds}")
    if not config.data.has_validation and config.train.keep != "last":
        raise ConfigError("train.keep is 'best', but must be 'last' when data.folds is 1: nothing is validated on")
    if config.model.name == "attention_unet" and config.model.base_filters % 2:
        raise ConfigError(
            f"model.base_filters is {config.model.base_filters}, but must be even for attention_unet: gates halve it"
        )
    _check_bottleneck(config)


def _check_bottleneck(config: TrainConfig) -> None:
    """Refuse images of which the network's deepest level would have no whole pixel, or one for BatchNorm alone."""
    name, size = config.model.name, config.data.size
    multiple = 2 ** DOUBLINGS.get(name, 0)
    if size < multiple:
        raise ConfigError(
            f"data.size is {size}, but must be >= {multiple} for {name}, which halves it {DOUBLINGS[name]} times"
        )
    if size == multiple > 1 and config.train.batch_size == 1:
        raise ConfigError(
            f"train.batch_size is 1, but must be >= 2 where data.size is {size}: at the deepest level of {name} an "
            "image is one pixel, and BatchNorm needs two"
        )


def _inert_settings(config: TrainConfig) -> dict[str, Value]:
    """Return the settings without effect and their neutral values; CONDITIONAL lists all that may be among them."""
    inert: dict[str, Value] = {}
    if config.model.name != "attention_unet" and not is_own(config.model.name):
        inert["model.dropout"] = 0.0
    if is_own(config.model.name):
        inert["model.init"] = ModelSettings().init
    if config.loss.name != "focal":
        inert["loss.gamma"] = LossSettings().gamma
    if config.loss.name == "dice":
        inert["loss.weighting"] = LossSettings().weighting
    if config.optim.name != "sgd":
        inert["optim.momentum"] = OptimSettings().momentum
    if not config.data.folds:
        inert["data.fold"] = inert["data.cut"] = 0
    if config.train.keep == "last":
        inert["train.patience"] = 0  # the latest epoch always replaces the one before, so patience never runs out
    return inert


def _hash(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARS]


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{"optim": {"lr": 1}}` as `{"optim.lr": 1}`; dotted keys stay."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}.{inner}": deep for inner, deep in flatten(value).items()})
        else:
            flat[str(key)] = value
    return flat


def setting_names() -> tuple[str, ...]:
    """Return every dotted key that a configuration has."""
    return tuple(key for _, _, key, _ in _layout())


def known_setting(key: str) -> dataclasses.Field[Any]:
    """Return the field behind a dotted key.

    Raises:
        ConfigError: naming the nearest and all known keys, when there is none.
    """
    specs = _specs()
    if key not in specs:
        ends = [name for name in specs if name.endswith(f".{key}")]
        hint = f"did you mean {' or '.join(ends)}? " if ends else nearest(key, specs)
        raise ConfigError(f"{key} is not a setting; {hint}known: {', '.join(specs)}")
    return specs[key]


def check_setting(key: str, value: Any) -> Value:
    """Return the value as the setting holds it (an int widened to float where that is meant).

    Raises:
        ConfigError: with value, rule and key.
    """
    spec = known_setting(key)
    setting_value = convert_value(value, spec)
    check_value(key, setting_value, spec)
    return setting_value


@functools.cache
def _specs() -> dict[str, dataclasses.Field[Any]]:
    return {key: spec for _, _, key, spec in _layout()}


def _settings(config: TrainConfig) -> Iterator[tuple[str, Any, dataclasses.Field[Any]]]:
    for section, name, key, spec in _layout():
        yield key, getattr(getattr(config, section), name), spec


@functools.cache
def _layout() -> tuple[tuple[str, str, str, dataclasses.Field[Any]], ...]:
    """Return section, name, dotted key and field of every setting; cached, since a plan has up to 10,000 trials."""
    return tuple(
        (section.name, spec.name, f"{section.name}.{spec.name}", spec)
        for section in dataclasses.fields(TrainConfig)
        for spec in dataclasses.fields(section.type)  # type: ignore[arg-type]
    )
