"""Ctrl-C and SIGTERM, sent to this very process."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from notes_heard import heard_notes

from sweeps.errors import PassError
from sweeps.execution.signals import SIGNALS, Interrupted, Interrupts, ignore_further


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_deferred_signal_waits_to_be_seen(number: int) -> None:
    with heard_notes() as sentences, Interrupts() as interrupts, interrupts.deferred():
        send(number)
        assert interrupts.is_requested() and interrupts.number == number
    assert len(sentences) == 1 and "to stop at once" in sentences[0]


def test_the_second_signal_ends_at_once_and_the_first_one_names_the_end() -> None:
    with Interrupts() as interrupts, interrupts.deferred():
        send(signal.SIGTERM)
        with pytest.raises(Interrupted) as raised:
            send(signal.SIGINT)
    assert raised.value.number == signal.SIGTERM


def test_last_words_are_not_interrupted() -> None:
    ignore_further()
    send(signal.SIGTERM)
    send(signal.SIGINT)


def test_a_plain_interrupt_that_ray_raises_in_place_of_ours_is_named_by_the_first_signal() -> None:
    with Interrupts() as interrupts:
        plain, other = KeyboardInterrupt(), ValueError()
        assert interrupts.named(plain) is plain
        with interrupts.deferred():
            send(signal.SIGTERM)
        raised = interrupts.named(plain)
        assert isinstance(raised, Interrupted) and raised.number == signal.SIGTERM
        assert interrupts.named(other) is other


def test_a_ray_that_fails_after_a_signal_was_ended_by_it() -> None:
    with Interrupts() as interrupts:
        failure = PassError("gcs_server of Ray ended unexpectedly")
        assert interrupts.named(failure) is failure
        with interrupts.deferred():
            send(signal.SIGINT)
        assert isinstance(interrupts.named(failure), Interrupted)


def test_outside_the_loop_a_signal_ends_at_once() -> None:
    with pytest.raises(Interrupted) as raised, Interrupts():
        send(signal.SIGTERM)
    assert raised.value.number == signal.SIGTERM


def test_after_a_request_no_new_loop_begins() -> None:
    with Interrupts() as interrupts:
        with interrupts.deferred():
            send(signal.SIGINT)
        with pytest.raises(Interrupted), interrupts.deferred():
            raise AssertionError("the loop was entered")


def test_the_former_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_off_the_main_thread_nothing_is_listened_to() -> None:
    raised: list[object] = []

    def enter() -> None:
        with Interrupts():
            raised.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert raised == [signal.getsignal(signal.SIGTERM)]
