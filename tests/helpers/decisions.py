"""A confirmation made by hand, with evidence on folds."""

from dataclasses import replace

from reports import LEADER, RUNNER_UP, FakeStore, make_record, measured

from sweeps.storage.records import SweepRecord, TrialRow

FOLDS = 3


def runs_of(finalist: TrialRow, folds: int = FOLDS) -> list[TrialRow]:
    """The finalist trained again, a little differently on each fold."""
    settings = [{**finalist.settings, "data.fold": fold, "train.seed": fold + 1} for fold in range(folds)]
    return [
        replace(
            finalist,
            trial_id=f"{finalist.trial_id}-run{fold}",
            run_id=f"run-{finalist.trial_id}-{fold}",
            name=f"{finalist.name} run {fold + 1}",
            finalist=finalist.trial_id,
            settings=own,
            metrics={**finalist.metrics, "best/miou": finalist.metrics["best/miou"] + 0.001 * (fold - 1)},
        )
        for fold, own in enumerate(settings)
    ]


def confirmation(*rows: TrialRow, status: str = "FINISHED") -> SweepRecord:
    manifest = {**make_record().manifest, "confirmation": {"screening": "grid-1"}, "axes": {}}
    tags = {"sweep.confirms": "grid-1"}
    return SweepRecord("confirm-1", "parent-2", status, manifest, tags, rows)


def of_folds(rows: tuple[TrialRow, ...]) -> FakeStore:
    """A store in which every fold has images of its own."""
    store = FakeStore()
    for row in rows:
        evidence, fold = measured(row), row.settings["data.fold"]
        store.val_evidence[row.trial_id] = replace(evidence, names=tuple(f"fold{fold}-{n}" for n in range(12)))
    return store


def finalists() -> tuple[TrialRow, TrialRow]:
    rows = {row.trial_id: row for row in make_record().trials}
    return rows[LEADER], rows[RUNNER_UP]
