"""The pass over all files: the same with any number of processes."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from explorations import SIZE_PX, describe, scene, write_pairs

from bddseg.data.catalog import read_catalog
from bddseg.errors import AccessError
from sweeps.exploration.measurement import Damage, Measurement
from sweeps.exploration.reading import CHUNK, measure_samples

ROOT = Path(__file__).resolve().parents[2]


def test_two_processes_give_the_results_of_one_in_the_same_order(tmp_path: Path) -> None:
    root = write_pairs(tmp_path, {f"a_{number}": scene(car=number % 2 == 0) for number in range(2 * CHUNK + 3)})
    (root / "masks/a_5.png").write_bytes(b"")
    samples = read_catalog(root, describe()).samples
    alone, together = (measure_samples(samples, describe(), SIZE_PX, workers=workers) for workers in (1, 2))
    assert [row.name for row in together] == [sample.name for sample in samples]
    assert sum(isinstance(row, Damage) for row in together) == 1
    for first, second in zip(alone, together, strict=True):
        if isinstance(first, Measurement) and isinstance(second, Measurement):
            assert np.array_equal(first.pixels, second.pixels) and first.hash == second.hash


def test_a_bar_shows_how_many_images_were_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = read_catalog(write_pairs(tmp_path, {"a": scene(), "b": scene()}), describe()).samples
    measure_samples(samples, describe(), SIZE_PX, progress=True)
    assert "2/2" in capsys.readouterr().err


def test_a_process_that_is_killed_ends_the_pass_with_one_line(tmp_path: Path) -> None:
    (sample,) = read_catalog(write_pairs(tmp_path, {"a": scene(side=256)}), describe()).samples
    samples = [replace(sample, name=f"a_{number}") for number in range(4000)]
    with ThreadPoolExecutor(1) as pool:
        before = workers()
        reading = pool.submit(measure_samples, samples, describe(), SIZE_PX, workers=2)
        while not (started := workers() - before) and not reading.done():
            time.sleep(0.01)
        next(iter(started)).kill()
        with pytest.raises(AccessError, match="a process that reads images was killed"):
            reading.result()


def test_a_killed_process_ends_the_pass_even_where_sigterm_is_ignored(tmp_path: Path) -> None:
    script = tmp_path / "ignores.py"
    script.write_text(f"""
import signal, sys
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.path[:0] = {[str(path) for path in (Path(__file__).parent, Path(__file__).parents[1] / "helpers")]!r}
if __name__ == "__main__":
    import test_reading
    test_reading.test_a_process_that_is_killed_ends_the_pass_with_one_line(Path({str(tmp_path)!r}))
""")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(script)], cwd=ROOT, env=environment, timeout=120, check=True)


def workers() -> set[psutil.Process]:
    """Return the processes that the fork server has forked."""
    own = psutil.Process()
    return set(own.children(recursive=True)) - set(own.children())
