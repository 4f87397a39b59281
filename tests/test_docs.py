"""The pages: links lead somewhere, modules and options that they name exist."""

import re
from pathlib import Path

import pytest

import report
import tune_main
from sweeps import explore, export, predict, suspects

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = sorted(path.name for path in (ROOT / "sweeps").iterdir() if (path / "__init__.py").exists())
OTHERS = {"--backend-store-uri", "--only", "--rounds", "--seconds", "--rehearse"} | {"--config", "--web", "--head"}
"""Options of MLflow, of the benchmarks, and of servers: Prometheus, Ray."""
OTHERS |= {"--runtime-env", "--working-dir", "--node-ip-address", "--num-cpus", "--temp-dir"}  # of Ray
OTHERS |= {"--signal", "--batch", "--nodes", "--gpus"}  # of Slurm


def anchors(page: Path) -> set[str]:
    """Return the names under which a page's headings are linked."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, link: str) -> bool:
    """Return whether a link leads to no file, or to no heading of it."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return not target.exists() or (bool(anchor) and anchor not in anchors(target))


def section(name: str) -> set[str]:
    """Return the modules that the page of the architecture names for a package of sweeps."""
    table = re.search(rf"^\| `{name}/` \|(?:.*\n\|)*.*$", ARCHITECTURE, re.MULTILINE)
    cells = re.findall(r"^\| (.*?) \|", table[0], re.MULTILINE) if table else []
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def options(text: str) -> set[str]:
    """Return the long options that a text names."""
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))


def modules(folder: Path) -> set[str]:
    """Return the names of the modules in a folder."""
    return {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert [link for link in links if broken(page, link)] == []


def test_a_link_to_a_heading_that_is_missing_is_broken() -> None:
    assert broken(PAGES[0], "docs/data.md#no-such-heading")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_architecture_names_the_modules_of_a_package_and_no_others(package: str) -> None:
    assert section(package) == modules(ROOT / "sweeps" / package)


def test_the_architecture_names_every_module_of_bddseg() -> None:
    named = set(re.findall(r"`(?:\w+/)*(\w+)`", ARCHITECTURE))
    assert {path.stem for path in (ROOT / "bddseg").rglob("*.py")} - {"__init__"} - named == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_that_a_page_names_exists(page: Path) -> None:
    commands = (tune_main, report, predict, export, explore, suspects)
    helps = " ".join(command.build_parser().format_help() for command in commands)
    assert options(page.read_text()) - options(helps) - OTHERS == set()


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_file_in_the_table_of_changes_exists() -> None:
    rows = re.findall(r"^\| (?:add|use|change|move|make|handle|reuse|rename) .*\|$", PAGES[1].read_text(), re.MULTILINE)
    paths = {path for row in rows for path in re.findall(r"`([\w/.]+)`", row.split("|", 2)[2])}
    assert len(paths) > 16
    assert [path for path in sorted(paths) if not any((root / path).exists() for root in (ROOT, ROOT / "sweeps"))] == []
