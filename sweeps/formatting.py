"""Names of trials and texts of numbers, on the command line, in MLflow and in reports."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from bddseg.config import TrainConfig

NONE = "–"

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters of text that a spreadsheet would run; `bddseg.data.skip_list` reads quoted names back."""

SHORT = {"vanilla_unet": "vanilla", "attention_unet": "attention", "unet": "unet"}
ALWAYS_NAMED = ("model.name", "model.base_filters", "loss.name", "optim.lr", "optim.weight_decay")
DIGITS = 6
"""Significant digits of a number in a name or a table."""
MOST_DIGITS = 17
"""Digits that distinguish any two numbers."""
ABBREVIATIONS = {
    "optim.lr": "lr",
    "optim.weight_decay": "wd",
    "model.dropout": "dropout",
    "loss.gamma": "gamma",
    "optim.name": "optim",
}


def trial_name(
    config: TrainConfig, axes: Sequence[str] = (), longer: Mapping[str, Mapping[Any, str]] = MappingProxyType({})
) -> str:
    """Return a short name that distinguishes a trial in its sweep: `vanilla-f128 cross_entropy lr=1e-3 wd=1e-4`.

    Args:
        config: the trial's settings.
        axes: settings that vary in its sweep; those that are not always in the name are added.
        longer: setting -> texts of those values that `compact` would write like others of the sweep.
    """
    settings, folded = config.flat(), config.folded().flat()

    def term(key: str) -> str:
        value = settings[key]
        text = longer.get(key, {}).get(value) or compact(value)
        return f"{ABBREVIATIONS.get(key, key.split('.')[-1])}={text}"

    inert = {key for key, value in settings.items() if folded[key] != value}
    shown = set(ALWAYS_NAMED) | inert | _meaningless(config)
    model, loss = (SHORT.get(name, name.rpartition(":")[2]) for name in (config.model.name, config.loss.name))
    always = [f"{model}-f{config.model.base_filters}", loss]
    varying = (key for key in axes if key not in shown)
    return " ".join([*always, *map(term, ("optim.lr", "optim.weight_decay")), *map(term, varying)])


def compact(value: Any, digits: int = DIGITS) -> str:
    """Return a number in its usual notation with at most `digits` digits; other values as they are.

    0.0001 as 1e-4, 0.5 as 0.5.
    """
    if not isinstance(value, float):
        return str(value)
    exact = Decimal(repr(value)) if digits > DIGITS else value  # from its shortest digits: 0.3, not 0.29999999999999999
    if value and (abs(value) < 0.01 or 1e5 <= abs(value) < math.inf):
        mantissa, exponent = f"{exact:.{max(digits, DIGITS + 1) - 1}e}".split("e")
        return f"{_short(mantissa, digits)}e{int(exponent)}"
    return f"{value:g}" if digits == DIGITS else _plain(f"{exact:.{digits}g}")


def _short(mantissa: str, digits: int) -> str:
    return f"{float(mantissa):g}" if digits == DIGITS else _plain(mantissa)


def _plain(number: str) -> str:
    """Return a decimal number without zeros at its end."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def longer_words(values: Iterable[Any]) -> dict[Any, str]:
    """Return the texts of those values that `compact` would write alike, with the fewest digits that differ."""
    texts = {value: compact(value) for value in dict.fromkeys(values)}
    longer: dict[Any, str] = {}
    for digits in range(DIGITS + 1, MOST_DIGITS + 1):
        frequencies = Counter(texts.values())
        alike = [value for value, text in texts.items() if frequencies[text] > 1]
        if not alike:
            break
        longer |= {value: compact(value, digits) for value in alike}
        texts |= longer
    return longer


def _meaningless(config: TrainConfig) -> set[str]:
    hidden = set() if config.model.name == "attention_unet" else {"model.dropout"}
    return hidden if config.loss.name == "focal" else hidden | {"loss.gamma"}


def quote_formula(value: Any) -> Any:
    """Return the value of a CSV cell; text that a spreadsheet would run as a formula gets a quote before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def group_title(name: str) -> str:
    """Return the name of a group or attribute as text: `non_city` as `non-city`."""
    return name.replace("_", "-")


def duration(seconds: float) -> str:
    """Return an estimated time span: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def write_iou(value: float | None) -> str:
    """Return an IoU with three decimals."""
    return NONE if value is None else f"{value:.3f}"


def write_points(value: float | None) -> str:
    """Return a difference of IoUs in points: 0.0129 as `+1.29`, and 0 without a sign."""
    if value is None:
        return NONE
    points = f"{100 * value:+.2f}"
    return "0.00" if points in ("+0.00", "-0.00") else points.replace("-", "−")


def write_size(value: float | None) -> str:
    """Return a difference of IoUs in points without a plus: 0.0129 as `1.29`."""
    return write_points(value).lstrip("+")


def write_chance(p: float | None) -> str:
    """Return a p-value; a very small one as <0.001."""
    if p is None or math.isnan(p):
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def write_share(value: float | None) -> str:
    """Return a share in percent; 0 % and 100 % are exact, other values near them are <1 % and >99 %."""
    if value is None:
        return NONE
    if 0 < value < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= value < 1 else f"{value * 100:.0f} %"


def write_time(seconds: float | None) -> str:
    """Return a measured time span: 45 s, 12 min 05 s, 3 h 30 min."""
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, remainder = divmod(round(seconds), 60)
    return f"{minutes} min {remainder:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def write_value(value: Any, longer: Mapping[Any, str] = MappingProxyType({})) -> str:
    """Return a setting's value; `longer` has those that need more digits than usual."""
    return NONE if value is None else longer.get(value) or compact(value)


def write_exact(value: Any) -> str:
    """Return a value as `compact` writes it, or in full where that would lose digits: YAML reads the same value."""
    short = compact(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


def write_when(text: str) -> str:
    """Return an ISO time as `1 May 2026, 14:05 UTC`; any other text as it is."""
    try:
        time = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def folder_name(sweep_id: str) -> str:
    """Return a folder name for a sweep's id; a changed id gets a part of its hash."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", sweep_id).strip("._-")[:100]
    if name and name == sweep_id:
        return name
    return f"{name or 'sweep'}-{hashlib.sha256(sweep_id.encode(errors='replace')).hexdigest()[:8]}"
