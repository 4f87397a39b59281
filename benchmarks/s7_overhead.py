"""S7 overhead: time of a trial besides its training. `python -m benchmarks.s7_overhead`

One slot, thirty trials of one tiny epoch: (last end - first start - seconds in training) / trials, from what each sweep
recorded. Ours is `tune_main.py --max-concurrent 1`; P3 is stock Ray Tune with P2 as a plain function.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import commands
from benchmarks.cli import close, machine, parser, positive, show
from benchmarks.contender_inputs import settings
from benchmarks.datasets import load
from benchmarks.measuring import Figure, Spread, interleave, ratios
from benchmarks.scenes import scenes_folder

IMAGES, WIDTH_PX, HEIGHT_PX = 60, 320, 180
TARGET_S, TARGET_RATIO = 1.3, 3.0


@dataclass(frozen=True)
class Recorded:
    """When the trials of a sweep started and ended, and how long they trained, all in seconds."""

    starts: list[float]
    ends: list[float]
    training: list[float]

    @property
    def overhead(self) -> float:
        """Seconds beside training, per trial."""
        return (max(self.ends) - min(self.starts) - sum(self.training)) / len(self.ends)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = parser(str(__doc__))
    options.add_argument("--trials", type=positive, default=30, metavar="N", help="trials of a sweep")
    arguments = options.parse_args(argv)
    config = settings(data_size=32, model_base_filters=4, train_epochs=1)
    data = scenes_folder(arguments.cache, IMAGES, width=WIDTH_PX, height=HEIGHT_PX)
    rates = [round(1e-3 + 1e-5 * number, 6) for number in range(arguments.trials)]
    with tempfile.TemporaryDirectory(prefix="s7-") as name:
        folder = Path(name)
        inputs, times = load(data, config, folder / "statistics").inputs.save(folder / "given.json"), folder / "times"

        def ours() -> Recorded:
            return read_outbox(commands.ours(config, data, rates, folder, ("--max-concurrent", "1")))

        def stock() -> Recorded:
            commands.stock(data, inputs, rates, ("--concurrent", "1", "--times", str(times)))
            return Recorded(**json.loads(times.read_text()))

        sweeps = interleave({"ours": ours, "P3": stock}, arguments.rounds)
    return _report(sweeps, arguments.trials)


def read_outbox(sweep: Path) -> Recorded:
    """Return the times of a sweep's trials from its event file."""
    lines = (sweep / "outbox" / "outbox.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["trial"]]  # "" is the sweep itself
    times = {kind: [event["time_ms"] / 1000 for event in events if event["kind"] == kind] for kind in ("start", "end")}
    training = [event["metrics"]["time/epoch_s"] for event in events if event["kind"] == "epoch"]
    return Recorded(times["start"], times["end"], training)


def _report(sweeps_by_name: dict[str, list[Recorded]], trials: int) -> int:
    incomplete = [name for name, sweeps in sweeps_by_name.items() for sweep in sweeps if len(sweep.training) != trials]
    if incomplete:
        raise SystemExit(f"{', '.join(incomplete)}: not every one of {trials} trials trained one epoch")
    overheads = {name: [sweep.overhead for sweep in sweeps] for name, sweeps in sweeps_by_name.items()}
    faster = ratios(overheads["P3"], overheads["ours"])
    rows = [
        (
            title,
            Spread.of(overheads[name]).text(),
            Spread.of([sum(sweep.training) / trials for sweep in sweeps_by_name[name]]).text(),
            faster.text("x") if name == "P3" else "-",
        )
        for name, title in (("ours", "ours, tune_main.py"), ("P3", "P3, stock Ray Tune over P2"))
    ]
    show(
        f"S7 overhead, {trials} trials x 1 epoch, one slot",
        ("", "s a trial beside training", "s a trial in training", "ours less"),
        rows,
        (machine(), "from the first trial's start, so that the start of Ray itself and of its first process is out"),
    )
    rounds = len(overheads["ours"])
    median = Spread.of(overheads["ours"]).median
    return close(
        [
            Figure("S7 overhead s a trial", median, TARGET_S, rounds, kind="value", at_most=True),
            Figure("S7 overhead vs P3", faster.median, TARGET_RATIO, rounds),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
