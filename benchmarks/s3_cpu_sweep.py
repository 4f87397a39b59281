"""S3 CPU sweep: eight trials of three epochs, from command to leaderboard. `python -m benchmarks.s3_cpu_sweep`

Ours is `tune_main.py` with an empty cache and a new store, against P0 run eight times, one after the other, and
against P3, stock Ray Tune. Vanilla U-Net, 8 filters, 128 px, 96 training and 32 validation images of 1280x720.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks import commands
from benchmarks.cli import close, machine, parser, positive, show
from benchmarks.contender_inputs import fractions, settings
from benchmarks.datasets import load
from benchmarks.measuring import Figure, Spread, Timing, interleave, ratios, time_of
from benchmarks.scenes import scenes_folder

RATES = (1e-3, 1e-4, 2e-4, 3e-4, 5e-4, 7e-4, 2e-3, 3e-3)
"""Learning rates of the trials; the first is the reference of ours."""


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = parser(str(__doc__))
    options.add_argument("--images", type=positive, default=96, metavar="N", help="training images; a third validates")
    options.add_argument("--trials", type=int, choices=range(1, len(RATES) + 1), default=len(RATES), help="trials")
    options.add_argument("--epochs", type=positive, default=3, help="epochs of a trial")
    options.add_argument("--p0-runs", type=positive, default=2, metavar="N", help="P0 runs a round, scaled to all")
    arguments = options.parse_args(argv)
    val, test = max(1, arguments.images // 3), max(1, arguments.images // 24)
    parts = fractions(arguments.images, val, test)
    config = settings(**parts, model_base_filters=8, train_epochs=arguments.epochs)
    data = scenes_folder(arguments.cache, arguments.images + val + test)
    rates, measured = RATES[: arguments.trials], min(arguments.p0_runs, arguments.trials)
    with tempfile.TemporaryDirectory(prefix="s3-") as name:
        folder = Path(name)
        inputs = load(data, config, folder / "statistics").inputs.save(folder / "given.json")
        times = interleave(
            {
                "ours": lambda: time_of(lambda: commands.ours(config, data, rates, folder)),
                "P0": lambda: time_of(lambda: commands.plain(data, inputs, rates[:measured])),
                "P3": lambda: time_of(lambda: commands.stock(data, inputs, rates)),
            },
            arguments.rounds,
        )
    return _report(times, arguments.trials, measured, arguments.epochs)


def _report(times: dict[str, list[Timing]], trials: int, measured: int, epochs: int) -> int:
    scale = {"ours": 1.0, "P0": trials / measured, "P3": 1.0}
    wall = {name: [scale[name] * timing.wall for timing in timings] for name, timings in times.items()}
    faster = {name: ratios(wall[name], wall["ours"]) for name in ("P0", "P3")}
    scaled = f", {measured} measured, times {trials / measured:g}" if measured < trials else ""
    titles = {
        "ours": "ours, tune_main.py, cold cache, new store",
        "P0": f"P0, {trials} processes one after the other{scaled}",
        "P3": "P3, stock Ray Tune over P2",
    }
    rows = [
        (titles[name], Spread.of(wall[name]).text(), faster[name].text("x") if name in faster else "-")
        for name in titles
    ]
    rounds, note = len(wall["ours"]), "threads: one a trial for ours and P3, as torch chooses for P0"
    show(f"S3 CPU sweep, {trials} trials x {epochs} epochs", ("", "wall s", "ours faster"), rows, (machine(), note))
    return close(
        [
            Figure("S3 sweep vs P0", faster["P0"].median, 3.5, rounds),
            Figure("S3 sweep vs P3", faster["P3"].median, 2.0, rounds),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
