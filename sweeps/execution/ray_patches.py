"""What is put in the place of parts of Ray, where Ray has no setting for it.

All of it while Ray starts, and only what `ray.init` of 2.60 looks up in a module when it is called.
"""

import contextlib
import functools
import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from ray._private import parameter, services, utils, worker

log = logging.getLogger(__name__)


@contextlib.contextmanager
def replaced(module: ModuleType, **parts: Any) -> Iterator[None]:
    """Put parts of ours in the place of a module's own while the context lasts: what Ray has no setting for."""
    before = {name: getattr(module, name) for name in parts}
    vars(module).update(parts)
    try:
        yield
    finally:
        vars(module).update(before)


@contextlib.contextmanager
def daemons_apart() -> Iterator[None]:
    """Give each daemon that Ray starts a process group of its own.

    A signal to our group (a scheduler that ends a job, Ctrl-C) must reach us alone: without its daemons a sweep cannot
    be ended gracefully. They end with us all the same, since the kernel kills them when their parent is gone.
    """
    with replaced(services, ConsolePopen=functools.partial(services.ConsolePopen, process_group=0)):
        yield


@contextlib.contextmanager
def few_daemons(*, keep_all: bool) -> Iterator[None]:
    """Start Ray without the daemons that one machine without a dashboard has no use for: they cost seconds.

    One scales clusters, one copies the logs of trials to the driver, which has them in the sweep's folder, one serves
    the dashboard.
    """
    if keep_all:
        yield
        return
    fewer = functools.partial(parameter.RayParams, no_monitor=True, include_log_monitor=False)
    nothing = ("", None)  # no address, no process
    with replaced(parameter, RayParams=fewer), replaced(services, start_api_server=lambda *_, **__: nothing):
        yield


@contextlib.contextmanager
def messages_logged() -> Iterator[None]:
    """Log what Ray's daemons report, for as long as a Ray is up: Ray would print it among our results, on stdout.

    Nothing is lost: a process that died and a daemon that ended are noticed by the sweep itself.
    """

    def note(message: Mapping[str, Any], **_: Any) -> None:
        log.info("Ray: %s", "\n".join(message["lines"]))

    with replaced(worker, print_to_stdstream=note):
        yield


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """Keep Ray from putting its own handlers of SIGTERM in the place of those that are there.

    Two are Python's: one exits where the program stands, the other, of an own Ray, ends the daemons at once. The third,
    abseil's, is put below Python's and aborts the process three seconds later, whatever it is doing then.
    """
    try:
        with replaced(utils, set_sigterm_handler=lambda handler: None):
            yield
    finally:
        handler = signal.getsignal(signal.SIGTERM)
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
