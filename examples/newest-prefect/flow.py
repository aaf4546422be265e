"""A flow for the robot: it asks the robot's own HTTP API how it is, lets it home, and tells what it did.

Under Prefect, each task is tried again by itself; the robot's server answers on the robot alone, so this runs there.
"""

import os

import httpx
from prefect import flow, task

ROBOT_API = os.environ.get("ROBOT_API", "http://127.0.0.1:31950")


def robot():
    """Open the robot's HTTP API; a command answers when the robot has done it, which may take a minute."""
    headers = {"Opentrons-Version": "*"}
    return httpx.Client(base_url=ROBOT_API, headers=headers, timeout=120, trust_env=False)


@task(retries=3, retry_delay_seconds=5)
def health():
    """Return the robot's name and the version of its software."""
    with robot() as api:
        facts = api.get("/health").raise_for_status().json()
    return {"name": facts["name"], "version": facts["api_version"]}


@task(retries=3, retry_delay_seconds=5)
def lights(on):
    """Switch the lights."""
    with robot() as api:
        api.post("/robot/lights", json={"on": on}).raise_for_status()


@task
def home():
    """Let the gantry home, in a run of its own."""
    command = {"data": {"commandType": "home", "params": {}}}
    with robot() as api:
        run = api.post("/runs", json={"data": {}}).raise_for_status().json()["data"]["id"]
        answer = api.post(f"/runs/{run}/commands", params={"waitUntilComplete": True}, json=command)
        done = answer.raise_for_status().json()["data"]
    if done["status"] != "succeeded":
        raise RuntimeError(f"the robot did not home: {done['status']}, {done.get('error')}")
    return done["status"]


@flow(log_prints=True)
def morning():
    """Make the robot ready for the day."""
    facts = health()
    lights(True)
    facts["home"] = home()
    lights(False)
    print(f"{facts['name']} with {facts['version']} is ready")
    return facts


if __name__ == "__main__":
    print(morning())
