"""`import sweeps`: instant, and its names live beside the packages and modules of the same package."""

import subprocess
import sys

import pytest

import sweeps
from sweeps.api.options import option_words


def test_the_import_loads_no_library() -> None:
    code = "import sys, sweeps; print(*{'torch', 'ray', 'mlflow', 'numpy', 'pandas'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("name", sweeps.__all__)
def test_no_name_is_that_of_a_module(name: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        __import__(f"sweeps.{name}")
    assert getattr(sweeps, name).__module__.startswith("sweeps.")


def test_packages_and_modules_keep_their_names() -> None:
    import sweeps.predict
    import sweeps.report

    assert sweeps.predict.build_parser and sweeps.report.__path__


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="no attribute 'runn'; it has run, open, load"):
        sweeps.runn  # noqa: B018


def test_keywords_become_the_words_of_a_command_line() -> None:
    words = option_words({"max_concurrent": 2, "fresh": True, "offline": False, "data": None, "data_root": "-x"})
    assert list(words) == ["--max-concurrent", "2", "--fresh", "--data-root=-x"]
