"""What a JSON file must hold: a value is compared with a shape, and the first difference comes back in words.

str, int, bool        a value of that type; true and false are no numbers
float                 a finite number, whole or not
object                anything
[shape]               a list, each item of that shape
{"key": shape}        an object with that key, which may be left out where it ends in "?"; other keys are ignored
{"*": shape}          an object, each value of that shape
(shape, None)         one of several
"""

import math
from collections.abc import Mapping
from typing import Any

WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
OPTIONAL, ANY_KEY = "?", "*"


def difference(value: Any, shape: Any, place: str = "") -> str:
    """Return where and how a value differs from a shape; "" where it does not.

    Args:
        value: as `json.loads` returns it.
        shape: see above.
        place: what the value is called in the answer, such as `trials[3]`.
    """
    if isinstance(shape, tuple):
        return "" if any(not difference(value, choice) for choice in shape) else _wrong(value, shape, place)
    if not _is_of(value, shape):
        return _wrong(value, (shape,), place)
    if isinstance(shape, list):
        inner = ((item, shape[0], f"{place}[{index}]") for index, item in enumerate(value))
        return next(filter(None, (difference(*each) for each in inner)), "")
    if isinstance(shape, dict):
        return next(filter(None, (_in_object(value, key, shape[key], place) for key in shape)), "")
    return ""


def _in_object(value: Mapping[str, Any], key: str, shape: Any, place: str) -> str:
    dot = "." if place else ""
    if key == ANY_KEY:
        inner = (difference(item, shape, f"{place}{dot}{name}") for name, item in value.items())
        return next(filter(None, inner), "")
    name = key.removesuffix(OPTIONAL)
    if name not in value:
        return "" if key.endswith(OPTIONAL) else f"{place}{dot}{name} is missing"
    return difference(value[name], shape, f"{place}{dot}{name}")


def _is_of(value: Any, shape: Any) -> bool:
    kind = type(shape) if isinstance(shape, list | dict) else shape
    if kind is object or kind is None:
        return kind is object or value is None
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def _wrong(value: Any, shapes: tuple[Any, ...], place: str) -> str:
    kinds = [type(shape) if isinstance(shape, list | dict) else shape for shape in shapes]
    wanted = " or ".join("null" if kind is None else WORDS[kind] for kind in kinds)
    return f"{place or 'its content'} is {_words(value)}, but must be {wanted}"


def _words(value: Any) -> str:
    if isinstance(value, list | dict):
        return WORDS[type(value)]
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)[:80]
