"""The private parts of Ray are in one module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SWEEPS = Path(__file__).resolve().parents[2] / "sweeps"
PATCHES = SWEEPS / "execution" / "ray_patches.py"


def private_names(source: str) -> set[str]:
    """Return the private names of Ray in a module: imported, read as an attribute of Ray, or passed to `ray.init`."""
    return {name for node in ast.walk(ast.parse(source)) for name in named(node) if has_private_part(name)}


def named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ray":
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "ray")
    elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("ray."):
        yield ast.unparse(node)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "ray.init":
        yield from (keyword.arg for keyword in node.keywords if keyword.arg)


def has_private_part(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("."))


@pytest.mark.parametrize(
    "source", ["from ray._private import worker", "import ray._raylet", "ray._private.x", "ray.init(_temp_dir='')"]
)
def test_private_names_are_seen(source: str) -> None:
    assert private_names(source)


def test_only_one_module_touches_private_parts_of_ray() -> None:
    modules = [path for path in SWEEPS.rglob("*.py") if private_names(path.read_text())]
    assert modules == [PATCHES]
