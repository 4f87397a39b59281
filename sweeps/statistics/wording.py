"""Describe a verdict, its noise and its scenes in sentences."""

from collections.abc import Mapping, Sequence

from bddseg.words import count
from sweeps.formatting import group_title, write_points, write_size
from sweeps.statistics.power import MOST_RUNS_PLANNED
from sweeps.statistics.results import Gap, Interval, NoiseFigures, Rival, SampleSizeNeeded, Slice, StoppedTrial
from sweeps.statistics.sides import CITY, Sides, capitalise

NAMED = 3
"""Other sweeps that are named at most."""


def interval_words(interval: Interval) -> str:
    """Return the bounds of an interval in points: `−1.20 to +0.30`."""
    return f"{write_points(interval.low)} to {write_points(interval.high)}"


def describe_verdict(
    outcome: str, rivals: Sequence[Rival], margin: float, names: Mapping[str, str], noise: NoiseFigures
) -> str:
    """Return the headline: at most two figures; rivals are the best first."""
    best, *rest_of_rivals = rivals
    leader = _name(best, names)
    if not rest_of_rivals:
        return f"{leader} is the only setting with usable evidence: there is nothing to compare it with."
    if outcome in ("leader", "winner"):
        nearest = max(rest_of_rivals, key=lambda rival: rival.difference.high)
        verb = "wins" if outcome == "winner" else "leads"
        every = _some(len(rest_of_rivals), len(rest_of_rivals))
        return f"{leader} {verb}, at least {write_size(-nearest.difference.high)} points ahead of {every}."
    tied = sum(rival.is_tied for rival in rest_of_rivals)
    if outcome == "tie":
        return f"A tie: {leader} and {count(tied, 'rival')} do not differ by more than {write_size(margin)} points."
    if noise.basis == "unknown":
        return f"Undecided: {leader} has the highest score, but the noise between seeds is unknown."
    could = f"{_some(tied, len(rest_of_rivals))} could be better"
    return f"Undecided: {leader} has the highest score, but {could} with another seed or other images."


def _some(tied: int, rivals: int) -> str:
    """Return a number of rivals in words."""
    if tied < rivals:
        return f"{tied} of {rivals} rivals"
    return {1: "its only rival", 2: "both rivals"}.get(rivals, f"all {rivals} rivals")


def describe_sample_size(needed: SampleSizeNeeded | None, stage: str) -> str:
    """Return the detectable lead and the number of runs that would decide."""
    if needed is None:
        return ""
    detectable = write_size(needed.detectable)
    present = f"With these images and runs, a lead of {detectable} points is detected in 80 of 100 cases."
    if needed.detectable >= 1:
        present = "With these images and runs, no lead can be detected."
    lead = f"a lead of {write_size(needed.lead)} points among {count(needed.finalists, 'setting')}"
    if needed.runs is None:
        few = f"More than {MOST_RUNS_PLANNED} runs of each would be needed to detect {lead}"
        return f"{present} {few}: this design cannot decide."
    more = "A confirmation with" if stage == "screening" else "In total"
    return f"{present} {more} {count(needed.runs, 'run')} of each would detect {lead} in 80 of 100 cases."


def describe_noise(noise: NoiseFigures, bearable_sd: float | None) -> str:
    """Return how the noise between runs was estimated."""
    if noise.basis == "known":
        return f"Run-to-run noise is taken to be a standard deviation of {write_size(noise.sd or 0.0)} points."
    if noise.basis == "unknown":
        return (
            "Run-to-run noise is not known: there is one run of each setting and no learning curve, so no difference "
            "counts as certain. Add seeds (--replicates 2), or run a confirmation."
        )
    sd = f"{write_size(noise.sd or 0.0)} points"
    if noise.basis == "measured":
        share = "" if noise.outside == noise.repeats else f"{noise.outside} of them "
        where = f" ({share}from {_other_sweeps(noise.sweeps)})" if noise.outside else ""
        freedom = f"{noise.freedom or 0:.0f} degrees of freedom"
        repeats = f"{count(noise.repeats, 'repeat')}{where}"
        is_helped = noise.rise is not None and round(noise.freedom or 0) > noise.repeats
        how = f"was estimated from {repeats} and the learning curves together" if is_helped else ""
        how = how or f"was measured on {repeats}"
        freedom += f", {noise.repeats} of them from {'the repeat' if noise.repeats == 1 else 'repeats'}" * is_helped
        return f"Run-to-run noise {how}: a standard deviation of {sd} ({freedom}). Every interval includes it."
    holds = "" if bearable_sd is None else f" The lead holds for noise up to {write_size(bearable_sd)} points."
    return (
        "Run-to-run noise was not measured. It is bounded by the learning curves: the best value still rose by "
        f"{write_size(noise.rise or 0.0)} points in the last third of training, and seeds may differ by {sd}.{holds} "
        "Train longer, or replicate (--replicates 2)."
    )


def _other_sweeps(names: Sequence[str]) -> str:
    """Return the sweeps that repeats come from; at most NAMED by name."""
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
    unlearned: int = 0,
) -> tuple[str, ...]:
    """Return the limits of the verdict in sentences.

    Args:
        noise: the noise between runs, and how it was estimated.
        bearable_sd: the largest noise at which the leader still leads alone; None where it does not.
        stage: screening or confirmation.
        units: resampling units of the images: drives, or blocks of names.
        drives: how many of them are drives.
        without_drive: images whose name has no drive.
        absent: classes that no mask has.
        rare: class -> units that have it, for classes in few units.
        stopped: the trials that were stopped early.
        unlearned: settings that would be excluded but for one class.
    """
    unit = "drive" if drives else "block"
    caveats = [describe_noise(noise, bearable_sd)]
    if stage == "confirmation":
        caveats.append("Runs share training images, so the noise between runs is increased (Nadeau and Bengio).")
    if unlearned:
        would = "setting with a single seed would be" if unlearned == 1 else "settings with a single seed would be"
        caveats.append(
            f"{unlearned} {would} excluded but for one class, which an unlucky seed may not have learned: another seed "
            "would tell."
        )
    if stopped:
        were = "trial was" if len(stopped) == 1 else "trials were"
        caveats.append(f"{len(stopped)} {were} stopped early and not judged: each is compared at its last epoch only.")
    if not drives:
        caveats.append(
            f"Names carry no drive: {count(units, 'block')} of neighbouring names {'is' if units == 1 else 'are'} "
            "resampled instead. If the images come from several drives or clips, name the rule with data.drive_pattern."
        )
    elif without_drive:
        subject = f"{count(without_drive, 'name')} {'carries' if without_drive == 1 else 'carry'} no drive"
        caveats.append(f"{subject}: blocks of neighbouring names among them are resampled instead.")
    if units == 1:
        other_units = "drives" if drives else "images"
        caveats.append(f"There is only one {unit}: nothing can be concluded about other {other_units}.")
    elif units < 10:
        caveats.append(f"There are only {count(units, unit)}: intervals are rough.")
    if rare:
        classes = ", ".join(f"{name} occurs in only {count(number, unit)}" for name, number in rare.items())
        caveats.append(f"{classes[0].upper() + classes[1:]}: its share of the intervals is widened and approximate.")
    if absent:
        caveats.append(f"No mask has a pixel of {', '.join(absent)}: the mean is over the other classes.")
    return tuple(caveats)


def describe_gap(
    answer: str,
    gap: Interval,
    margin: float,
    drives: Mapping[str, int],
    least: int,
    needed: int | None,
    words: Sides = CITY,
) -> str:
    """Return the reason for the answer to a comparison of groups.

    Args:
        answer: equivalent, different, class mix or cannot tell.
        gap: first side less second.
        margin: a gap that does not matter.
        drives: drives by side; empty where they are unknown.
        least: drives that a group needs.
        needed: drives that would be enough to show equivalence; None if no number would.
        words: the names of the sides.
    """
    if not drives:
        return "File names contain no drive, so the number of drives is unknown; data.drive_pattern names the rule."
    few = {group: count for group, count in drives.items() if count < least}
    needed_drives = f" About {needed:,} drives would be enough." if needed else ""
    if few:
        sources = " and ".join(f"{group_title(group)} images come from {count(n, 'drive')}" for group, n in few.items())
        return f"{capitalise(sources)}; at least {least} of each are needed.{needed_drives}"
    size = f"the gap is {write_points(gap.estimate)} points ({interval_words(gap)})"
    if answer == "equivalent":
        return f"{size[0].upper() + size[1:]}, surely smaller than {write_size(margin)} points either way."
    side = capitalise(words.first if gap.estimate > 0 else words.second)
    if answer == "different":
        return f"{side} images are segmented better: {size}."
    if answer == "class mix":
        return f"{side} images score higher ({size}), but not if both groups had the same share of each class."
    return f"Neither a difference nor equivalence is shown: {size}, the margin is {write_size(margin)}.{needed_drives}"


def describe_scenes(
    gaps: Sequence[Gap],
    between: Mapping[str, Interval],
    slices: Sequence[Slice],
    margin: float,
    names: Mapping[str, str],
    words: Sides = CITY,
    kinds: str = "scene, weather and time of day",
) -> str:
    """Return the research question answered in one paragraph; gaps are the leader's first.

    `words` names the sides, and `kinds` the attributes that slices are made of.
    """
    first = gaps[0]
    leader = names.get(first.trial_id, first.trial_id)
    counts = " and ".join(
        f"{n} {group_title(group)}" + (f" (from {count(first.drives[group], 'drive')})" if first.drives else "")
        for group, n in first.images.items()
    )
    one, two = words.on_first, words.on_second
    head = {
        "equivalent": f"{leader} does as well on {one} as on {two}, within {write_size(margin)} points.",
        "different": f"{leader} does not do equally well on {one} and on {two}.",
        "class mix": f"{leader} scores differently on {one} and on {two}, because the class mix differs.",
        "cannot tell": f"These images cannot show whether {leader} does as well on {one} as on {two}.",
    }[first.answer]
    parts = [head, first.why, f"Images: {counts}."]
    if first.standardised is not None:
        mixed = first.standardised
        parts.append(f"With equal class mix the gap would be {write_points(mixed.estimate)} ({interval_words(mixed)}).")
    if between:
        apart = [name for name, interval in between.items() if interval.low > 0 or interval.high < 0]
        number = count(len(between), "other setting")
        parts.append(
            f"Of {number} shown, {len(apart)} differ{'s' if len(apart) == 1 else ''} from it in the gap."
            if apart
            else f"The gap does not differ from the gaps of {number} shown."
        )
    significant = [f"{part.kind} {part.value}" for part in slices if part.is_significant]
    if slices:
        stand = "stands" if len(significant) == 1 else "stand"
        parts.append(
            f"Of {count(len(slices), 'value')} of {kinds}, "
            + (f"{', '.join(significant)} {stand} out after correction." if significant else "none stands out.")
        )
    return " ".join(parts)


def _name(rival: Rival, names: Mapping[str, str]) -> str:
    return names.get(rival.trial_id, rival.trial_id)
