"""Short names: what all trials have in common is left out, unless too little would be left."""

from dataclasses import replace

from entries import make_entry, make_sweep
from pages import NoPlates
from reports import make_report

from sweeps.report.gather import Report
from sweeps.report.page import render_html
from sweeps.report.short_names import shorten_names


def named(*names: str) -> Report:
    entries = [make_entry(name, 0.5 - 0.1 * place, {"x": name}) for place, name in enumerate(names)]
    return make_sweep(entries, ("x",))


def test_words_that_all_have_are_left_out() -> None:
    short = shorten_names(named("vanilla lr=1 wd=0", "vanilla lr=2 wd=0"))
    assert [entry.name for entry in short.trials] == ["lr=1", "lr=2"]
    assert (short.leader.name, short.in_common) == ("lr=1", "vanilla wd=0")


def test_a_name_is_never_empty_nor_another_s() -> None:
    for names in (("a", "a b"), ("a", "b"), ("a",), ("a b c", "c b a")):
        assert [entry.name for entry in shorten_names(named(*names)).trials] == list(names)


def test_the_sentence_has_the_short_names_and_the_leaderboard_the_whole_ones() -> None:
    report = make_report()
    assert report.verdict is not None
    short = shorten_names(report)
    assert short.verdict == replace(report.verdict, sentence=report.verdict.sentence.replace("vanilla-f8 ", ""),
                                    scenes=short.verdict.scenes if short.verdict else None)  # fmt: skip
    assert 'title="vanilla-f8 focal lr=0.0005"' in render_html(report, plates=NoPlates())
