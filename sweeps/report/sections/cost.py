"""Report epochs and time spent and saved, and the estimated cost of early stopping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from bddseg.words import count
from sweeps.formatting import write_share, write_size, write_time
from sweeps.report.entries import Entry
from sweeps.report.gather import Report
from sweeps.report.section import Drawing, Section
from sweeps.report.sections.regret import Replay, replay
from sweeps.report.theme import COLOUR, INK, NARROW_PX, PAPER, WIDE_PX, build_canvas
from sweeps.schedulers.rungs import Schedule, Stop, read_stop
from sweeps.statistics.regret import LEAST, Hindsight
from sweeps.storage.outcomes import STOPPED_EARLY, StopReason

USUAL = Schedule("asha", 0.1, 3)
"""The rule that is replayed for a sweep without early stopping."""

ENDED = {
    "completed": "leader",
    "stopped improving": "heat",
    "stopped early": "runner-up",
    "failed": "ink",
    "not ended": "quiet",
}
"""How trials ended -> colour of their epochs."""

REPLAYED = ("asha", "asha_promote")
"""Schedulers whose rule is replayed; the others compare in other ways."""


@dataclass(frozen=True)
class OutcomeCost:
    """The trials that ended in the same way."""

    how: str
    trials: int
    epochs: int
    seconds: float
    untrained: int
    """Epochs of their budget that were not trained."""
    saved_seconds: float
    """The time of those epochs at each trial's own speed."""


@dataclass(frozen=True)
class StoppedChance:
    """What a stopped trial might have reached."""

    trial_id: str
    stop: Stop
    weighed: Hindsight


@dataclass(frozen=True)
class Cost:
    """The epochs and time of a sweep, and the estimated cost of its stops."""

    shares: tuple[OutcomeCost, ...]
    planned: int
    not_started: int
    """Epochs of trials that were never started."""
    replayed: Replay | None
    """The rule replayed on the completed trials."""
    is_usual: bool
    """Whether the default rule is replayed, because the sweep has no early stopping."""
    chances: tuple[StoppedChance, ...]
    full: int
    """Completed trials."""

    @property
    def spent(self) -> int:
        return sum(share.epochs for share in self.shares)

    @property
    def seconds(self) -> float:
        return sum(share.seconds for share in self.shares)

    def share(self, how: str) -> OutcomeCost | None:
        """Return the trials that ended in this way, if any."""
        return next((share for share in self.shares if share.how == how), None)


def build_section(report: Report) -> Section:
    """Return the cost of the sweep, with a bar of its epochs."""
    cost = build_cost(report)
    drawing = Drawing(
        partial(draw_cost, cost), "Bar: epochs of the sweep by how their trials ended, and those not trained"
    )
    names = {entry.trial_id: entry.name for entry in report.trials}
    data = {"cost": cost, "colours": ENDED, "names": names, "verdict": _say_stops(report, cost), "least": LEAST}
    waits = report.facts["scheduler"].get("name") == "asha_promote"
    return Section("cost", "Cost", _say(cost), {"epochs": drawing}, {**data, "waits": waits})


def build_cost(report: Report) -> Cost:
    """Return the sweep's epochs and time, and the estimated cost of its stops."""
    ended: dict[str, list[Entry]] = {}
    for entry in report.trials:
        ended.setdefault(_how(entry), []).append(entry)
    shares = tuple(_share(report, how, ended[how]) for how in ENDED if how in ended)
    started = sum(share.epochs + share.untrained for share in shares)
    curves = [dict(entry.curve) for entry in report.trials if _how(entry) == "completed" and entry.curve]
    stops = {entry.trial_id: stop for entry in report.trials if (stop := read_stop(entry.stop_detail)) is not None}
    rules = {stop.rule for stop in stops.values()}
    is_asked = not report.is_confirmation and rules <= set(REPLAYED)
    return Cost(
        shares=shares,
        planned=report.planned_epochs,
        not_started=max(0, report.planned_epochs - started),
        replayed=replay(curves, report.rungs or USUAL.rungs(report.budget), _reduction(report)) if is_asked else None,
        is_usual=not report.rungs,
        chances=_chances(report, stops),
        full=len(curves),
    )


def _chances(report: Report, stops: Mapping[str, Stop]) -> tuple[StoppedChance, ...]:
    """Return what stopped trials might have reached, the most likely leader first."""
    chances = [
        StoppedChance(name, stop, report.hindsight[name]) for name, stop in stops.items() if name in report.hindsight
    ]
    return tuple(sorted(chances, key=lambda chance: (-chance.weighed.overtaking, -chance.weighed.regret)))


def _reduction(report: Report) -> int:
    """Return the recorded reduction factor of the rungs; the default where it is not a valid number."""
    reduction = report.facts["scheduler"].get("reduction")
    return reduction if type(reduction) is int and reduction > 1 else USUAL.reduction


def draw_cost(cost: Cost, *, wide: bool) -> Figure:
    """Return one bar: epochs by how their trials ended, then those that were not trained."""
    width = WIDE_PX if wide else NARROW_PX
    figure, axes = build_canvas(width, 76, left=2, right=2, top=4, bottom=26)
    parts = [(share.how, share.epochs, COLOUR[ENDED[share.how]], 0.8) for share in cost.shares]
    saved, start = cost.planned - cost.spent, 0
    for how, epochs, colour, opacity in [*parts, ("not trained", max(0, saved), COLOUR["quiet"], 0.25)]:
        axes.barh(0, epochs, left=start, height=1, color=colour, alpha=opacity)
        if epochs * (width - 4) / max(cost.planned, 1) > 7.4 * len(how):
            axes.annotate(how, (start, -0.5), (1, -12), textcoords="offset points", size=12, color=INK)
            axes.annotate(f"{epochs:,}", (start, 0), (6, -4), textcoords="offset points", size=12, color=INK,
                          bbox={"facecolor": PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 1.5})  # fmt: skip
        start += epochs
    axes.set(xlim=(0, max(cost.planned, start, 1)), ylim=(-0.5, 0.5), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return figure


def _how(entry: Entry) -> str:
    if entry.state == "failed":
        return "failed"
    if entry.stop_reason in STOPPED_EARLY:
        return "stopped early"
    names: dict[str, str] = {StopReason.MAX_EPOCHS: "completed", StopReason.PLATEAU: "stopped improving"}
    return names.get(entry.stop_reason, "not ended")


def _share(report: Report, how: str, entries: Sequence[Entry]) -> OutcomeCost:
    untrained = {entry.trial_id: max(0, _budget(report, entry) - entry.epochs) for entry in entries}
    saved = [untrained[e.trial_id] * e.seconds / e.epochs for e in entries if e.seconds is not None and e.epochs]
    seconds = sum(entry.seconds or 0.0 for entry in entries)
    return OutcomeCost(
        how, len(entries), sum(entry.epochs for entry in entries), seconds, sum(untrained.values()), sum(saved)
    )


def _budget(report: Report, entry: Entry) -> int:
    epochs = entry.settings.get("train.epochs")
    return epochs if type(epochs) is int and epochs > 0 else report.budget


def _say(cost: Cost) -> str:
    stopped = cost.share("stopped early")
    spent = f"{cost.spent:,} of {cost.planned:,} planned epochs were trained, in {write_time(cost.seconds)}"
    if stopped is None:
        return f"{spent}; no epochs were saved by early stopping."
    return (
        f"{spent}; stopping {count(stopped.trials, 'trial')} early saved {count(stopped.untrained, 'epoch')} "
        f"({write_share(stopped.untrained / max(cost.planned, 1))}), about {write_time(stopped.saved_seconds)}."
    )


def _say_stops(report: Report, cost: Cost) -> list[str]:
    """Return sentences about what early stopping cost, or would have cost."""
    if cost.full < LEAST:
        few = f"only {count(cost.full, 'trial')} completed, and at least {LEAST} are needed"
        return [f"The cost of early stopping is unknown: {few}."] if cost.share("stopped early") else []
    return [*_say_chances(cost), *_say_replay(cost)]


def _say_chances(cost: Cost) -> list[str]:
    if not cost.chances:
        return []
    expected = sum(chance.weighed.overtaking for chance in cost.chances)
    first = cost.chances[0].weighed
    passed = f"{expected:.1f} of {len(cost.chances)} would have passed the leader, the likeliest in "
    passed += f"{write_share(first.overtaking)} of the cases, by {write_size(first.regret)} points on average"
    return [
        (
            "If stopped trials had gained as much after their rung as a completed trial did, "
            f"{passed if first.overtaking else 'none would have passed the leader'}. This is an "
            "assumption: stopped trials were not trained further."
        )
    ]


def _say_replay(cost: Cost) -> list[str]:
    replayed = cost.replayed
    if replayed is None:
        return []
    rule = "Early stopping by ASHA with its default settings" if cost.is_usual else "The sweep's stopping rule"
    costs = (
        f"stopped the best of them in {write_share(replayed.lost)} of the orders, at a cost of "
        f"{write_size(replayed.regret)} points on average, and trained {write_share(replayed.epochs)} of their epochs."
    )
    harder = (
        ""
        if cost.is_usual
        else " These trials had survived the sweep's own rungs, so they are harder to rank than all trials together."
    )
    trials = f"the {count(replayed.trials, 'trial')} that completed"
    return [f"{rule}, replayed on {trials} in random orders of arrival, would have {costs}{harder}"]
