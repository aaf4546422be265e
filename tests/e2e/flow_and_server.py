"""A flow runs against a Prefect server, both in this process: the test of a recipe, which sees no other machine."""

import os
import socket
import sys
import threading
import time
from pathlib import Path

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
os.environ.update({
    "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    "PREFECT_HOME": str(Path.cwd() / "prefect"),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_UI_ENABLED": "false",
    "DO_NOT_TRACK": "1",
})  # fmt: skip

import uvicorn
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.server.api.server import create_app

server = uvicorn.Server(uvicorn.Config(create_app(), host="127.0.0.1", port=port, log_level="warning"))
thread = threading.Thread(target=server.run, daemon=True)
thread.start()
while not server.started:
    assert thread.is_alive(), "the server ended"
    time.sleep(0.1)


@task
def double(value):
    return 2 * value


@flow
def measure():
    return sum(double.map([1, 2, 3]).result())


assert measure() == 12
with get_client(sync_client=True) as client:
    states = [run.state.type.value for run in client.read_flow_runs()]
assert states == ["COMPLETED"], states
print("the server saw the flow completed")
sys.stdout.flush()
os._exit(0)  # the server's services may take long to end
