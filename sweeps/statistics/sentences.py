"""Numbers of a verdict -> sentences."""

from collections.abc import Mapping, Sequence

from bddseg.words import count
from sweeps.statistics.findings import Gap, Interval, Needed, Rival, Slice
from sweeps.statistics.noise import Noise
from sweeps.statistics.power import MOST_RUNS

GROUP_WORDS = {"city": "city", "non_city": "non-city"}


def points(value: float, *, signed: bool = False) -> str:
    """Return a fraction in points: 0.0123 as 1.23."""
    text = f"{100 * value:{'+' if signed else ''}.2f}"
    return text.replace("-0.00", "0.00").replace("+0.00", "0.00").replace("-", "−")


def interval_words(interval: Interval) -> str:
    """Return bounds in points: `−1.20 to +0.30`."""
    return f"{points(interval.low, signed=True)} to {points(interval.high, signed=True)}"


def say_verdict(
    outcome: str,
    rivals: Sequence[Rival],
    recommended: str,
    needed: Needed | None,
    margin: float,
    names: Mapping[str, str],
) -> str:
    """Return the verdict in one or two sentences; rivals are the best first."""
    best, *others = rivals
    who = names.get(best.trial_id, best.trial_id)
    score = f"{who} has {best.score.estimate:.3f} mIoU ({best.score.low:.3f} to {best.score.high:.3f})"
    if not others:
        return f"Nothing to compare: {score} and is the only one with usable evidence."
    if outcome in ("leader", "winner"):
        nearest = max(others, key=lambda rival: rival.difference.high)
        word = "wins" if outcome == "winner" else "leads"
        return (
            f"{score} and {word}: the nearest of {count(len(others), 'rival')}, {_name(nearest, names)}, is "
            f"{points(-nearest.difference.estimate)} points behind (at least {points(-nearest.difference.high)})."
            + (" But every rival was stopped early." if all(rival.is_stopped for rival in others) else "")
        )
    tied = [rival for rival in others if rival.is_tied]
    if outcome == "tie":
        return (
            f"A tie: {score}, and {count(len(tied), 'rival')} of {len(others)} cannot be told from it. "
            f"{_advice(best, recommended, margin, names)}"
        )
    nearest = tied[0]
    return (
        f"Undecided: {score}, but {count(len(tied), 'rival')} of {len(others)} may be better; the nearest, "
        f"{_name(nearest, names)}, differs by {points(nearest.difference.estimate, signed=True)} points "
        f"({interval_words(nearest.difference)}). {say_needed(needed)}"
    )


def _advice(best: Rival, recommended: str, margin: float, names: Mapping[str, str]) -> str:
    if recommended == best.trial_id:
        return "None that is surely as good is cheaper."
    name = names.get(recommended, recommended)
    return f"Recommended: {name}, the cheapest that is surely less than {points(margin)} points behind."


def say_needed(needed: Needed | None) -> str:
    """Return what would decide."""
    if needed is None:
        return ""
    ways = []
    if needed.runs is not None:
        ways.append(count(needed.runs, "run") + " of each")
    if needed.images is not None:
        ways.append(count(needed.images, "validation image"))
    found = f"As it is, a lead of {points(needed.detectable)} points would be found in 80 of 100 sweeps."
    if needed.detectable >= 1:
        found = "As it is, no lead could be found."
    if needed.together:
        images, runs = needed.together
        ways = [f"{count(runs, 'run')} of each on {count(images, 'validation image')}"]
    if not ways:
        more = "runs and images" if needed.detectable >= 1 else f"than {MOST_RUNS} runs of each"
        return f"{found} It takes more {more}."
    way = " or ".join(ways)
    return f"{found} {way[0].upper() + way[1:]}, in all, would decide."


def say_caveats(
    *,
    noise: Noise | None,
    runs: int,
    units: int,
    by_drive: bool,
    without_drive: int,
    absent: Sequence[str],
    rare: Mapping[str, int],
    rivals: Sequence[Rival],
    bearable_sd: float | None,
) -> tuple[str, ...]:
    """Return what has to be known to read the verdict; `rare` is class -> units that have it."""
    unit = "drive" if by_drive else "image"
    said = [_say_noise(noise, runs, bearable_sd)]
    stopped = sum(rival.is_stopped for rival in rivals[1:])
    if stopped:
        were = (
            "was stopped early and is compared as it" if stopped == 1 else "were stopped early and are compared as they"
        )
        said.append(f"{stopped} of {count(len(rivals) - 1, 'rival')} {were} stood then.")
    if not by_drive:
        said.append("Names carry no drive: neighbouring frames count as independent, so intervals may be too narrow.")
    elif without_drive:
        who = f"{count(without_drive, 'name')} {'carries' if without_drive == 1 else 'carry'} no drive"
        said.append(f"{who}: these frames count as independent of their neighbours, so intervals may be too narrow.")
    if units < 10:
        said.append(f"Only {count(units, unit)}: intervals are rough.")
    if rare:
        words = ", ".join(f"{name} occurs in {count(number, unit)} only" for name, number in rare.items())
        said.append(f"{words[0].upper() + words[1:]}: intervals are widened for the rarest, and rough.")
    if absent:
        said.append(f"No pixel of {', '.join(absent)} anywhere: the mean is over the other classes.")
    return tuple(said)


def _say_noise(noise: Noise | None, runs: int, bearable_sd: float | None) -> str:
    if noise is None:
        return (
            f"{count(runs, 'run')} of each bound run-to-run noise but loosely, and runs share training images: "
            "intervals are widened for both, and of two tests the more cautious decides."
        )
    if noise.freedom:
        return (
            f"Run-to-run noise was measured between seeds: a standard deviation of {points(noise.sd)} points "
            f"({noise.freedom} degrees of freedom); every interval allows for it."
        )
    bound = "" if bearable_sd is None else f" Above {points(bearable_sd)} points the lead would no longer hold."
    return (
        f"One run of each setting cannot see run-to-run noise: a standard deviation of {points(noise.sd)} points "
        f"is assumed, and every interval allows for it.{bound} Short training on few images has more: five values of "
        "train.seed measure it, or a confirmation."
    )


def say_gap(answer: str, gap: Interval, margin: float, drives: Mapping[str, int], least: int) -> str:
    """Return why the answer is what it is."""
    few = {group: number for group, number in drives.items() if number < least}
    if few:
        words = " and ".join(f"{GROUP_WORDS[group]} images come from {count(n, 'drive')}" for group, n in few.items())
        return f"{words[0].upper() + words[1:]}; it takes at least {least} to tell."
    size = f"the gap is {points(gap.estimate, signed=True)} points ({interval_words(gap)})"
    if answer == "equivalent":
        return f"{size[0].upper() + size[1:]} and surely smaller than {points(margin)} points either way."
    if answer == "different":
        side = "City" if gap.estimate > 0 else "Non-city"
        return f"{side} images are segmented better: {size}."
    return f"Neither a difference nor equivalence is shown: {size}, the margin {points(margin)}."


def say_scenes(
    gaps: Sequence[Gap],
    between: Mapping[str, Interval],
    slices: Sequence[Slice],
    margin: float,
    names: Mapping[str, str],
    runs: int,
) -> str:
    """Return the research question answered in one paragraph; gaps are the leader's first."""
    first = gaps[0]
    who = names.get(first.trial_id, first.trial_id)
    counts = " and ".join(
        f"{n} {GROUP_WORDS[group]}" + (f" (from {count(first.drives[group], 'drive')})" if first.drives else "")
        for group, n in first.images.items()
    )
    head = {
        "equivalent": f"{who} does as well on city streets as off them, within {points(margin)} points.",
        "different": f"{who} does not do equally well on city streets and off them.",
        "cannot tell": f"Whether {who} does as well on city streets as off them cannot be told.",
    }[first.answer]
    said = [head, first.why, f"Images: {counts}."]
    if first.standardised is not None:
        mixed = first.standardised
        said.append(
            f"With equal class mix the gap would be {points(mixed.estimate, signed=True)} ({interval_words(mixed)})."
        )
    if between:
        apart = [name for name, found in between.items() if found.low > 0 or found.high < 0]
        others = count(len(between), "other trial")
        said.append(
            f"Of {others} shown, {len(apart)} differ{'s' if len(apart) == 1 else ''} from it in the gap."
            if apart
            else f"No gap of {others} shown is told from it."
        )
    if runs == 1:
        said.append("This is of one run: trained with another seed the gap may be another.")
    told = [f"{found.kind} {found.value}" for found in slices if found.is_significant]
    if slices:
        said.append(
            f"Of {count(len(slices), 'value')} of scene, weather and time of day looked into, "
            + (f"{', '.join(told)} stand out after correction for their number." if told else "none stands out.")
        )
    return " ".join(said)


def _name(rival: Rival, names: Mapping[str, str]) -> str:
    return names.get(rival.trial_id, rival.trial_id)
