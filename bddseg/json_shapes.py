"""Shapes of JSON values: a value is compared with a shape, and the first difference is described.

str, int, bool        a value of that type; true and false are no numbers
float                 a finite number, whole or not
object                any value
[shape]               a list, each item of that shape
{"key": shape}        an object with that key, which may be left out where it ends in "?"; other keys are ignored
{"*": shape}          an object, each value of that shape
(shape, None)         one of several
"""

import sys
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
LARGEST = sys.float_info.max


def difference(value: Any, shape: Any, path: str = "") -> str:
    """Return where and how a value differs from a shape; "" if it does not.

    Args:
        value: as `json.loads` returns it.
        shape: see above.
        path: name of the value in the answer, such as `trials[3]`.
    """
    if fits(value, shape):  # the usual case; describing a difference takes longer
        return ""
    if isinstance(shape, list) and isinstance(value, list):
        inner = (difference(item, shape[0], f"{path}[{index}]") for index, item in enumerate(value))
        return next(filter(None, inner), "")
    if isinstance(shape, dict) and isinstance(value, dict):
        return next(filter(None, (_in_object(value, key, shape[key], path) for key in shape)), "")
    return _wrong(value, shape if isinstance(shape, tuple) else (shape,), path)


def fits(value: Any, shape: Any) -> bool:
    """Return whether a value has a shape."""
    if isinstance(shape, tuple):
        return any(fits(value, choice) for choice in shape)
    if isinstance(shape, list):
        return type(value) is list and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, dict):
        return type(value) is dict and all(_has(value, key, inner) for key, inner in shape.items())
    if shape is float:
        return type(value) in (int, float) and -LARGEST < value < LARGEST
    return shape is object or (value is None if shape is None else type(value) is shape)


def _has(value: Mapping[str, Any], key: str, shape: Any) -> bool:
    if key == ANY_KEY:
        return all(fits(item, shape) for item in value.values())
    name = key.removesuffix(OPTIONAL)
    return fits(value[name], shape) if name in value else name != key


def _in_object(value: Mapping[str, Any], key: str, shape: Any, path: str) -> str:
    dot = "." if path else ""
    if key == ANY_KEY:
        inner = (difference(item, shape, f"{path}{dot}{name}") for name, item in value.items())
        return next(filter(None, inner), "")
    name = key.removesuffix(OPTIONAL)
    if name not in value:
        return "" if key.endswith(OPTIONAL) else f"{path}{dot}{name} is missing"
    return difference(value[name], shape, f"{path}{dot}{name}")


def _wrong(value: Any, shapes: tuple[Any, ...], path: str) -> str:
    kinds = [type(shape) if isinstance(shape, list | dict) else shape for shape in shapes]
    wanted = " or ".join("null" if kind is None else WORDS[kind] for kind in kinds)
    return f"{path or 'its content'} is {_words(value)}, but must be {wanted}"


def _words(value: Any) -> str:
    if isinstance(value, list | dict):
        return WORDS[type(value)]
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)[:80]
