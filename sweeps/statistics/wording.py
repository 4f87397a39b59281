"""Numbers of a verdict -> sentences."""

from collections.abc import Mapping, Sequence

from bddseg.words import count
from sweeps.statistics.power import MOST_RUNS_PLANNED
from sweeps.statistics.results import Gap, Interval, NoiseFigures, Rival, SampleSizeNeeded, Slice, StoppedTrial

NAMED = 3
"""So many other sweeps are named."""

GROUP_WORDS = {"city": "city", "non_city": "non-city"}


def points(value: float, *, signed: bool = False) -> str:
    """Return a fraction in points: 0.0123 as 1.23."""
    text = f"{100 * value:{'+' if signed else ''}.2f}"
    return text.replace("-0.00", "0.00").replace("+0.00", "0.00").replace("-", "−")


def interval_words(interval: Interval) -> str:
    """Return bounds in points: `−1.20 to +0.30`."""
    return f"{points(interval.low, signed=True)} to {points(interval.high, signed=True)}"


def describe_verdict(
    outcome: str, rivals: Sequence[Rival], margin: float, names: Mapping[str, str], noise: NoiseFigures
) -> str:
    """Return the headline: at most two figures; rivals are the best first."""
    best, *others = rivals
    who = _name(best, names)
    if not others:
        return f"{who} is the only setting with usable evidence: there is nothing to compare it with."
    if outcome in ("leader", "winner"):
        nearest = max(others, key=lambda rival: rival.difference.high)
        verb = "wins" if outcome == "winner" else "leads"
        every = _some(len(others), len(others))
        return f"{who} {verb}, at least {points(-nearest.difference.high)} points ahead of {every}."
    tied = sum(rival.is_tied for rival in others)
    if outcome == "tie":
        return f"A tie: {who} and {count(tied, 'rival')} do not differ by more than {points(margin)} points."
    if noise.basis == "unknown":
        return f"Undecided: {who} has the highest score, but nothing says by how much another seed would change that."
    could = f"{_some(tied, len(others))} could be better"
    return f"Undecided: {who} has the highest score, but {could} with another seed or other images."


def _some(tied: int, rivals: int) -> str:
    """Return so many of the rivals in words."""
    if tied < rivals:
        return f"{tied} of {rivals} rivals"
    return {1: "its only rival", 2: "both rivals"}.get(rivals, f"all {rivals} rivals")


def describe_sample_size(needed: SampleSizeNeeded | None, stage: str) -> str:
    """Return what would decide."""
    if needed is None:
        return ""
    now = f"These images and runs show a lead of {points(needed.detectable)} points or more in 80 of 100 cases."
    if needed.detectable >= 1:
        now = "These images and runs show no lead at all."
    lead = f"a lead of {points(needed.lead)} points among {count(needed.finalists, 'setting')}"
    if needed.runs is None:
        few = f"More than {MOST_RUNS_PLANNED} runs of each would be needed to find {lead}"
        return f"{now} {few}: this design cannot decide it."
    more = "A confirmation with" if stage == "screening" else "In total"
    return f"{now} {more} {count(needed.runs, 'run')} of each would find {lead} in 80 of 100 cases."


def describe_noise(noise: NoiseFigures, bearable_sd: float | None) -> str:
    """Return where the noise between runs is known from, and what it means."""
    if noise.basis == "known":
        return f"Run-to-run noise is taken to be a standard deviation of {points(noise.sd or 0.0)} points."
    if noise.basis == "unknown":
        return (
            "Run-to-run noise is not known: there is one run of each setting and no learning curve, so no difference "
            "is called sure. Add seeds (--replicates 2), or run a confirmation."
        )
    sd = f"{points(noise.sd or 0.0)} points"
    if noise.basis == "measured":
        who = "" if noise.outside == noise.repeats else f"{noise.outside} of them "
        where = f" ({who}from {_other_sweeps(noise.sweeps)})" if noise.outside else ""
        freedom = f"{noise.freedom or 0:.0f} degrees of freedom"
        repeats = f"{count(noise.repeats, 'repeat')}{where}"
        is_helped = noise.rise is not None and round(noise.freedom or 0) > noise.repeats
        how = f"was estimated from {repeats} and the learning curves together" if is_helped else ""
        how = how or f"was measured on {repeats}"
        freedom += f", {noise.repeats} of them from {'the repeat' if noise.repeats == 1 else 'repeats'}" * is_helped
        return f"Run-to-run noise {how}: a standard deviation of {sd} ({freedom}). Every interval allows for it."
    holds = "" if bearable_sd is None else f" The lead holds for noise up to {points(bearable_sd)} points."
    return (
        "Run-to-run noise was not measured. It is bounded by the learning curves: the best value still rose by "
        f"{points(noise.rise or 0.0)} points in the last third of training, and seeds may differ by {sd}.{holds} Train "
        "longer, or replicate (--replicates 2)."
    )


def _other_sweeps(names: Sequence[str]) -> str:
    """Return where repeats come from, in words; at most NAMED sweeps by their names."""
    if not names:
        return "other sweeps on the same data"
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{'sweeps' if len(names) > 1 else 'sweep'} {', '.join(names[:NAMED])}{more} on the same data"


def describe_caveats(
    *,
    noise: NoiseFigures,
    bearable_sd: float | None,
    stage: str,
    units: int,
    drives: int,
    without_drive: int,
    absent: Sequence[str],
    rare: Mapping[str, int],
    stopped: Sequence[StoppedTrial],
) -> tuple[str, ...]:
    """Return what has to be known to read the verdict; `rare` is class -> units that have it."""
    unit = "drive" if drives else "block"
    caveats = [describe_noise(noise, bearable_sd)]
    if stage == "confirmation":
        caveats.append("Runs share training images: the noise between runs is enlarged for it (Nadeau and Bengio).")
    if stopped:
        were = "trial was" if len(stopped) == 1 else "trials were"
        caveats.append(f"{len(stopped)} {were} stopped early and not judged: each is compared at its last epoch only.")
    if not drives:
        caveats.append(
            f"Names carry no drive: {count(units, 'block')} of neighbouring names {'is' if units == 1 else 'are'} "
            "resampled instead. If the images come from several drives or clips, name the rule with data.drive_pattern."
        )
    elif without_drive:
        who = f"{count(without_drive, 'name')} {'carries' if without_drive == 1 else 'carry'} no drive"
        caveats.append(f"{who}: blocks of neighbouring names among them are resampled instead.")
    if units == 1:
        caveats.append(f"One {unit}: nothing can be said of other {'drives' if drives else 'images'}.")
    elif units < 10:
        caveats.append(f"There are only {count(units, unit)}: intervals are rough.")
    if rare:
        words = ", ".join(f"{name} occurs in {count(number, unit)} only" for name, number in rare.items())
        caveats.append(f"{words[0].upper() + words[1:]}: its share of the intervals is widened, and rough.")
    if absent:
        caveats.append(f"No mask has a pixel of {', '.join(absent)}: the mean is over the other classes.")
    return tuple(caveats)


def describe_gap(
    answer: str, gap: Interval, margin: float, drives: Mapping[str, int], least: int, needed: int | None
) -> str:
    """Return why the answer is what it is."""
    if not drives:
        return (
            "File names carry no drive, so it is not known how many drives the images come from; data.drive_pattern "
            "names the rule."
        )
    few = {group: count for group, count in drives.items() if count < least}
    tell = f" About {needed:,} drives would tell." if needed else ""
    if few:
        words = " and ".join(f"{GROUP_WORDS[group]} images come from {count(n, 'drive')}" for group, n in few.items())
        return f"{words[0].upper() + words[1:]}; at least {least} are needed.{tell}"
    size = f"the gap is {points(gap.estimate, signed=True)} points ({interval_words(gap)})"
    if answer == "equivalent":
        return f"{size[0].upper() + size[1:]}, surely smaller than {points(margin)} points either way."
    side = "City" if gap.estimate > 0 else "Non-city"
    if answer == "different":
        return f"{side} images are segmented better: {size}."
    if answer == "class mix":
        return f"{side} images score higher ({size}), but not if both groups had the same share of each class."
    return f"Neither a difference nor equivalence is shown: {size}, the margin is {points(margin)}.{tell}"


def describe_scenes(
    gaps: Sequence[Gap],
    between: Mapping[str, Interval],
    slices: Sequence[Slice],
    margin: float,
    names: Mapping[str, str],
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
        "class mix": f"{who} scores differently on city streets and off them, by a difference of class mix.",
        "cannot tell": f"These images cannot tell whether {who} does as well on city streets as off them.",
    }[first.answer]
    parts = [head, first.why, f"Images: {counts}."]
    if first.standardised is not None:
        mixed = first.standardised
        parts.append(
            f"With equal class mix the gap would be {points(mixed.estimate, signed=True)} ({interval_words(mixed)})."
        )
    if between:
        apart = [name for name, interval in between.items() if interval.low > 0 or interval.high < 0]
        others = count(len(between), "other setting")
        parts.append(
            f"Of {others} shown, {len(apart)} differ{'s' if len(apart) == 1 else ''} from it in the gap."
            if apart
            else f"The gap does not differ from that of {others} shown."
        )
    significant = [f"{part.kind} {part.value}" for part in slices if part.is_significant]
    if slices:
        stand = "stands" if len(significant) == 1 else "stand"
        parts.append(
            f"Of {count(len(slices), 'value')} of scene, weather and time of day, "
            + (f"{', '.join(significant)} {stand} out after correction." if significant else "none stands out.")
        )
    return " ".join(parts)


def _name(rival: Rival, names: Mapping[str, str]) -> str:
    return names.get(rival.trial_id, rival.trial_id)
