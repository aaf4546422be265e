"""Tells the Prefect server to run the flow beside this file every morning, on a worker of the pool `robots`."""

from pathlib import Path

from prefect import flow

if __name__ == "__main__":
    folder = Path(__file__).resolve().parent
    morning = flow.from_source(source=str(folder), entrypoint="flow.py:morning")
    morning.deploy(name="daily", work_pool_name="robots", cron="0 6 * * *", ignore_warnings=True)
