"""Report -> why trials failed: grouped, with what they share."""

from entries import make_entry, make_sweep

from sweeps.report.entries import Entry
from sweeps.report.sections.failures import build_faults, build_section


def failed(name: str, lr: float, detail: str, reason: str = "oom") -> Entry:
    return make_entry(name, None, {"optim.lr": lr}, reason=reason, stop_detail=detail)


GOOD = [make_entry("a", 0.5, {"optim.lr": 1e-4}), make_entry("b", 0.4, {"optim.lr": 1e-3})]


def test_details_that_differ_in_numbers_only_are_one_fault() -> None:
    report = make_sweep([*GOOD, failed("c", 1, "tried 2.00 GiB"), failed("d", 2, "tried 4.5 GiB")], ("optim.lr",))
    assert [(fault.reason, len(fault.entries)) for fault in build_faults(report)] == [("out of memory", 2)]


def test_the_commonest_fault_comes_first() -> None:
    entries = [failed("c", 1, "x", "diverged"), failed("d", 1, "y"), failed("e", 1, "y")]
    assert [fault.reason for fault in build_faults(make_sweep([*GOOD, *entries], ("optim.lr",)))] == [
        "out of memory",
        "diverged",
    ]


def test_a_setting_that_only_the_failed_have_is_named() -> None:
    report = make_sweep([*GOOD, failed("c", 1.0, "x"), failed("d", 1.0, "x")], ("optim.lr",))
    assert build_faults(report)[0].shared == {"optim.lr": 1.0}


def test_a_setting_that_others_have_too_is_not_to_blame() -> None:
    report = make_sweep([*GOOD, failed("c", 1e-4, "x"), failed("d", 1e-4, "x")], ("optim.lr",))
    assert build_faults(report)[0].shared == {}


def test_one_failure_alone_shares_nothing() -> None:
    assert build_faults(make_sweep([*GOOD, failed("c", 1.0, "x")], ("optim.lr",)))[0].shared == {}


def test_the_sentence_counts_reasons() -> None:
    section = build_section(make_sweep([*GOOD, failed("c", 1, "x"), failed("d", 1, "y", "diverged")], ("optim.lr",)))
    assert section is not None
    assert section.sentence == "2 trials of 4 failed and cannot lead: 1 out of memory, 1 diverged."


def test_without_a_failure_there_is_no_section() -> None:
    assert build_section(make_sweep(GOOD, ("optim.lr",))) is None
