"""The project as a whole: imports, sizes, variable names, requirements, pins and make targets."""

import ast
import configparser
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OWN = {"bddseg", "sweeps", "benchmarks", "tune_main", "report"}
HEAVY = {"torch", "ray", "mlflow"}
REGISTRIES = ("py" + "pi.", "python" + "hosted", "download.py" + "torch", "index" + "-url", "conda" + ".anaconda")
SHARED = "shared" + "/"
LONGEST_CLASS, LONGEST_FUNCTION = 150, 60
GENERIC_NAMES = {
    "found", "it", "place", "places", "words", "left", "at", "one", "ones", "kept", "known", "taken", "told", "its",
    "said", "what", "who", "others", "things", "rest", "given", "made", "both",
}  # fmt: skip
"""Names that do not say what a variable holds."""


def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def normal(requirement: str) -> str:
    """Return the bare name of a requirement as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


def required(*extras: str) -> set[str]:
    """Return the names that setup.cfg asks for, with those of the extras."""
    lines = config()["options"]["install_requires"].split()
    lines += [line for extra in extras for line in config()["options.extras_require"][extra].split()]
    return {normal(line) for line in lines}


def pins() -> list[str]:
    return (ROOT / "constraints.txt").read_text().splitlines()


def imports(node: ast.AST) -> Iterator[str]:
    """Yield the top-level names of the modules that one import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.split(".")[0]


def at_module_level(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every node that runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_module_level(child)


def unrequired(paths: list[Path], allowed: set[str]) -> set[str]:
    """Return the modules that files import, wherever in them, and that no allowed distribution brings."""
    names = {name for path in paths for node in ast.walk(ast.parse(path.read_text())) for name in imports(node)}
    foreign = names - OWN - {path.stem for path in paths} - set(sys.stdlib_module_names)
    distributions = packages_distributions()
    return {name for name in foreign if allowed.isdisjoint(map(normal, distributions.get(name, [])))}


def sources(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """Yield every Python file below folders of the project, with its syntax tree."""
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text())


def lines_of(kinds: type[ast.AST] | tuple[type[ast.AST], ...]) -> dict[str, int]:
    """Return the length of every class or function of the packages, by file and name."""
    return {
        f"{path}:{node.name}": node.end_lineno - node.lineno + 1  # type: ignore[attr-defined]
        for path, tree in sources("bddseg", "sweeps")
        for node in ast.walk(tree)
        if isinstance(node, kinds)
    }


def bindings(tree: ast.AST) -> Iterator[str]:
    """Yield the name of every variable and parameter, once for each time that it is bound."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def make(*arguments: str) -> str:
    """Return the output of make as a user sees it."""
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def tracked() -> list[Path]:
    """Return the files of the project that git tracks or would track."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode(errors="replace")


@pytest.mark.parametrize("name", ["sweeps/cli/tune_options.py", "sweeps/cli/report_options.py"])
def test_a_command_line_imports_nothing_heavy_at_module_level(name: str) -> None:
    nodes = at_module_level(ast.parse((ROOT / name).read_text()))
    assert HEAVY.isdisjoint(module for node in nodes for module in imports(node))


def test_an_import_within_a_condition_is_at_module_level_and_one_in_a_function_is_not() -> None:
    tree = ast.parse("if True:\n    import ray\ndef f():\n    import torch\n")
    assert [name for node in at_module_level(tree) for name in imports(node)] == ["ray"]


def test_no_class_is_over_150_lines() -> None:
    assert {name: lines for name, lines in lines_of(ast.ClassDef).items() if lines > LONGEST_CLASS} == {}


def test_no_function_is_over_60_lines() -> None:
    functions = lines_of((ast.FunctionDef, ast.AsyncFunctionDef))
    assert {name: lines for name, lines in functions.items() if lines > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("folder", ["bddseg", "sweeps", "benchmarks"])
def test_fewer_than_one_variable_in_a_hundred_has_a_generic_name(folder: str) -> None:
    names = Counter(name for _, tree in sources(folder) for name in bindings(tree))
    generic = {name: number for name, number in names.items() if name in GENERIC_NAMES}
    assert sum(generic.values()) < 0.01 * names.total(), generic


def test_what_the_project_imports_it_requires() -> None:
    code = [path for folder in ("bddseg", "sweeps", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    code += set(ROOT.glob("*.py")) - {ROOT / "setup.py"}  # what builds is required by pyproject.toml
    assert unrequired(code, required()) == set()


def test_what_the_tests_import_is_required() -> None:
    assert unrequired([*(ROOT / "tests").rglob("*.py")], required("dev")) == set()


def test_every_direct_requirement_is_pinned() -> None:
    assert required("dev") - {normal(line) for line in pins()} == set()


def test_a_pin_is_a_name_and_a_version_and_nothing_else() -> None:
    assert [line for line in pins() if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_no_package_is_pinned_twice() -> None:
    names = [normal(line) for line in pins()]
    assert sorted(set(names)) == sorted(names)


def test_no_file_names_a_package_registry() -> None:
    assert [(path.name, word) for path in tracked() for word in REGISTRIES if word in text_of(path)] == []


def test_no_file_but_the_one_of_ci_names_a_folder_beside_the_project() -> None:
    paths = [path.relative_to(ROOT) for path in tracked() if SHARED in text_of(path)]
    assert set(paths) <= {Path(".ci/run")}


@pytest.mark.parametrize("target", ["demo", "test", "drill", "bench", "check"])
def test_a_target_sets_up_by_itself(target: str) -> None:
    assert "setup_venv.py" in make("-n", target).splitlines()[0]


def test_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony and set(re.findall(r"^  make (\w+)", make(), re.MULTILINE)) == set(phony[1].split())


def test_ci_runs_tests_checks_and_drills() -> None:
    assert "for stage in test check drill;" in (ROOT / ".ci" / "run").read_text()
