"""Records with extra seeds of a setting."""

from dataclasses import replace

from reports import LEADER, RUNNER_UP, make_record

from sweeps.storage.records import SweepRecord, TrialRow


def seeded(row: TrialRow, seed: int, change: float = 0.0, setting: str = "") -> TrialRow:
    """The trial with another seed, whose IoUs are a little others."""
    return replace(
        row,
        trial_id=f"{row.trial_id}-s{seed}",
        run_id=f"run-{row.trial_id}-s{seed}",
        name=f"{row.name} seed={seed}",
        digest=f"{row.digest}-s{seed}",
        settings={**row.settings, "train.seed": seed},
        metrics={key: value + change * (key != "best/epoch") for key, value in row.metrics.items()},
        setting=setting,
    )


def with_replicates() -> SweepRecord:
    """The sweep with a second seed of the leader, which is 2 points worse, and one of the runner-up, 1 point better."""
    rows = [seeded(row, 0) if row.trial_id in (LEADER, RUNNER_UP) else row for row in make_record().trials]
    first = {row.trial_id: row for row in make_record().trials}
    rows += [seeded(first[LEADER], 1, -0.02), seeded(first[RUNNER_UP], 1, 0.01)]
    return make_record(trials=tuple(rows))
