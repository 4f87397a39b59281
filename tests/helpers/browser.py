"""A headless Chromium that tests drive over a pipe, by the DevTools protocol: JSON messages that end in a zero byte."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = "there is no chromium here: install it (apt-get install chromium)"
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage")


@dataclass
class Tab:
    """One page that is open."""

    wire: "Wire"
    session: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command; what happened meanwhile is kept."""
        return self.wire.ask(self, method, parameters)

    def run(self, script: str) -> Any:
        """Return the value of a script; an error in it fails the test."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, Enter or Space by its name, others as they are."""
        code = {"Enter": 13, "Space": 32}.get(key, 0)
        key_options = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code}
        self.send(
            "Input.dispatchKeyEvent", type="keyDown", text="\r" if key == "Enter" else key_options["key"], **key_options
        )
        self.send("Input.dispatchKeyEvent", type="keyUp", **key_options)

    def faults(self) -> list[str]:
        """Return what the page complained of."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """Return every address that was asked for."""
        asked = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [str(params["request"]["url"]) for params in asked]


@dataclass
class Wire:
    """Both ends of the pipe."""

    commands: IO[bytes]
    answers: IO[bytes]
    number: int = 0
    unread: bytes = b""

    def ask(self, tab: Tab | None, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Send a command and read until its answer comes."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if tab:
            message["sessionId"] = tab.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while True:
            reply = self.read()
            if reply.get("id") == self.number:
                assert "error" not in reply, reply["error"]
                return dict(reply["result"])
            if tab and reply.get("sessionId") == tab.session:
                tab.events.append(reply)

    def wait(self, tab: Tab, event: str) -> None:
        """Read until an event has come."""
        while not any(reply["method"] == event for reply in tab.events):
            reply = self.read()
            if reply.get("sessionId") == tab.session:
                tab.events.append(reply)

    def read(self) -> dict[str, Any]:
        """Return the next message."""
        while b"\0" not in self.unread:
            part = os.read(self.answers.fileno(), 1 << 16)
            assert part, "the browser has gone"
            self.unread += part
        message, _, self.unread = self.unread.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browser() -> Iterator[Wire]:
    """Give a browser of its own profile, and end it."""
    read_commands, write_commands = os.pipe()
    read_answers, write_answers = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(FOUND), *OPTIONS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        script = f'exec "$@" 3<&{read_commands} 4>&{write_answers}'
        with subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(read_commands, write_answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            os.close(read_commands)
            os.close(write_answers)
            with os.fdopen(write_commands, "wb") as commands, os.fdopen(read_answers, "rb") as answers:
                try:
                    yield Wire(commands, answers)
                finally:
                    process.terminate()


def open_page(wire: Wire, path: Path, width: int = 1200, height: int = 900) -> Tab:
    """Return the page of a file, loaded, everything about it listened to."""
    target = wire.ask(None, "Target.createTarget", {"url": "about:blank"})["targetId"]
    session = wire.ask(None, "Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
    tab = Tab(wire, session)
    for domain in ("Page", "Runtime", "Log", "Network"):
        tab.send(f"{domain}.enable")
    resize(tab, width, height)
    tab.send("Page.navigate", url=path.as_uri())
    wire.wait(tab, "Page.loadEventFired")
    return tab


def resize(tab: Tab, width: int, height: int = 900) -> None:
    """Give the page another size."""
    tab.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
