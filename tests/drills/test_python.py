"""Drill: the examples of docs/python.md, a sweep in a real notebook, one that is interrupted, and one in a thread."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from drills import ROOT
from nbclient import NotebookClient
from PIL import Image
from recording import until

pytestmark = pytest.mark.drill

PATIENCE_S = 600
LONG = 'sweeps.run("smoke", profile="quick", set={"train.epochs": 200}, scheduler="none", storage="runs")'


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import sweeps\n{code}"
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_the_examples_of_the_page_run_as_printed(tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    Image.new("RGB", (64, 36), "grey").save(tmp_path / "photo.jpg")
    printed, _ = start("\n".join(examples), tmp_path).communicate(timeout=PATIENCE_S)
    assert "\nfinished\n" in printed and "reports/smoke-" in printed and "\n(36, 64) " in printed, printed
    assert (tmp_path / "painted.jpg").is_file()


def test_a_notebook_runs_a_sweep_and_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cells = [
        'import sweeps\nsweep = sweeps.run("smoke", profile="quick", storage="runs")',
        "sweep",
        "sweep.trials.frame()[['name', 'optim.lr']]",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=PATIENCE_S, resources={"metadata": {"path": str(tmp_path)}}).execute()
    first, second, third = (cell.outputs for cell in notebook.cells)
    printed = "".join(output.get("text", "") for output in first)
    pictures = [output.data["text/html"] for output in first if output.output_type != "stream"]
    assert not any(pictures)  # Tune displays an empty one
    assert "\x1b" not in printed and "\r" not in printed and printed.count(": max_epochs after 3 epochs") >= 2
    assert "<b>smoke-" in second[0].data["text/html"] and "optim.lr" in third[0].data["text/html"]


def test_a_signal_ends_a_sweep_gracefully_and_it_is_returned(tmp_path: Path) -> None:
    process = start(f"sweep = {LONG}\nprint(sweep.status, sum(t.epochs > 0 for t in sweep.trials) > 0)", tmp_path)
    until(lambda: any(b'"epoch"' in path.read_bytes() for path in tmp_path.glob("runs/*/outbox/outbox.jsonl")), 300)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and printed.endswith("interrupted True\n"), printed


def test_a_sweep_runs_outside_the_main_thread(tmp_path: Path) -> None:
    code = """
from threading import Thread
sweeps_run = []
run = lambda: sweeps_run.append(sweeps.run("smoke", profile="quick", storage="runs", quiet=True))
thread = Thread(target=run); thread.start(); thread.join()
print(sweeps_run[0].status)
"""
    printed, _ = start(code, tmp_path).communicate(timeout=PATIENCE_S)
    assert printed.endswith("finished\n"), printed
