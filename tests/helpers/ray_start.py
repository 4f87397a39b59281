"""`ray start`, but fit for a busy machine: a program, with the options of `ray start` as its words.

Why: Ray gives a node 30 s to start, and its raylet gives the node's agents, which are Python, the same time to write
their ports into files. On a machine with more load than cores, neither is enough. Here the ports are fixed and written
beforehand, and the wait is longer. The head starts no dashboard, no monitor and no log monitor: no drill needs them.
Check: start a node with `ray start` beside a `make test`; no longer needed if it comes up.
"""

import functools
import sys
import time
from typing import Any

from ray._private import parameter, services
from ray._raylet import (  # type: ignore[attr-defined]  # compiled, without types
    DASHBOARD_AGENT_LISTEN_PORT_NAME,
    METRICS_AGENT_PORT_NAME,
    METRICS_EXPORT_PORT_NAME,
    RUNTIME_ENV_AGENT_PORT_NAME,
    persist_port,
)
from ray.scripts.scripts import main

PATIENCE_S = 200
PORTS = {
    "--metrics-export-port": (METRICS_EXPORT_PORT_NAME, 8090),
    "--runtime-env-agent-port": (RUNTIME_ENV_AGENT_PORT_NAME, 8091),
    "--dashboard-agent-listen-port": (DASHBOARD_AGENT_LISTEN_PORT_NAME, 8092),
    "--dashboard-agent-grpc-port": (METRICS_AGENT_PORT_NAME, 8093),
}

ask_for_node, start_raylet = services.get_node, services.start_raylet


def get_node(*words: Any) -> Any:
    """Return the node once it is registered."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask_for_node(*words)
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def start_raylet_with_ports(*words: Any, **named: Any) -> Any:
    """Start a raylet that finds the ports of its agents before they run."""
    node_id, session = words[2], words[11]
    for name, port in PORTS.values():
        persist_port(session, node_id, name, port)
    return start_raylet(*words, **named)


if __name__ == "__main__":
    services.get_node, services.start_raylet = get_node, start_raylet_with_ports
    services.start_api_server = lambda *_, **__: ("", None)
    parameter.RayParams = functools.partial(parameter.RayParams, no_monitor=True, include_log_monitor=False)
    sys.argv = ["ray", "start", *(f"{option}={port}" for option, (_, port) in PORTS.items()), *sys.argv[1:]]
    main()
