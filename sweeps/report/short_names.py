"""Report -> the same with short names: what all trials of a sweep have in common distinguishes none of them."""

from collections.abc import Mapping
from dataclasses import replace

from sweeps.report.gather import Entry, Report
from sweeps.statistics.results import Verdict


def shorten_names(report: Report) -> Report:
    """Return the report with names that leave out the words that every trial has; as it is where that says too little.

    Of `vanilla lr=1 wd=0` and `vanilla lr=2 wd=0` the names become `lr=1` and `lr=2`.
    """
    listed = report.listed()
    common = set.intersection(*(set(entry.name.split()) for entry in listed))
    if len(listed) < 2 or not common or report.full_names:
        return report
    entries = (*report.settings, *report.trials, *report.others)
    short = {entry.name: " ".join(word for word in entry.name.split() if word not in common) for entry in entries}
    if not all(short.values()) or len(set(short.values())) < len(short):
        return report

    def rename(entry: Entry) -> Entry:
        return replace(entry, name=short[entry.name])

    return replace(
        report,
        trials=tuple(map(rename, report.trials)),
        settings=tuple(map(rename, report.settings)),
        others=tuple(map(rename, report.others)),
        leader=rename(report.leader),
        runner_up=rename(report.runner_up) if report.runner_up else None,
        reference=rename(report.reference) if report.reference else None,
        verdict=_rename_in(report.verdict, short) if report.verdict else None,
        full_names={entry.trial_id: entry.name for entry in reversed(entries)},
        in_common=" ".join(word for word in report.leader.name.split() if word in common),
    )


def _rename_in(verdict: Verdict, short: Mapping[str, str]) -> Verdict:
    """Return the verdict with short names in its words; a name that is part of another comes after it."""
    sentence, paragraph = verdict.sentence, verdict.scenes.paragraph if verdict.scenes else ""
    for name in sorted(short, key=len, reverse=True):
        sentence, paragraph = sentence.replace(name, short[name]), paragraph.replace(name, short[name])
    scenes = replace(verdict.scenes, paragraph=paragraph) if verdict.scenes else None
    return replace(verdict, sentence=sentence, scenes=scenes)
