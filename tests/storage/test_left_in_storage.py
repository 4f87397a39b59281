"""Everything that is left in a storage folder: JSON that every reader takes, and modes by the umask."""

import json
import stat
import sys
from pathlib import Path

import pytest
from storages import make_storage, run_command

SCRIPT = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[1], 8))
sys.path.insert(0, "tests/helpers")
from storages import make_storage
make_storage(Path(sys.argv[2]))
"""


def strict_json(text: str) -> object:
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_every_json_file_is_strict(tmp_path: Path) -> None:
    paths = [path for path in make_storage(tmp_path).rglob("*") if path.suffix in (".json", ".jsonl")]
    for path in paths:
        for text in path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]:
            strict_json(text)
    assert {"outbox.jsonl", "outbox.files.json", "runs.json", "sweep.json"} <= {path.name for path in paths}


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_the_umask_alone_decides_who_may_read_and_write(tmp_path: Path, umask: int) -> None:
    done = run_command([sys.executable, "-c", SCRIPT, f"{umask:o}", str(tmp_path / "new")])
    assert done.returncode == 0, done.stderr
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").rglob("*")}
    wrong = {path for path, mode in modes.items() if mode != (0o777 if path.is_dir() else 0o666) & ~umask}
    assert (wrong, len(modes) > 20) == (set(), True)
