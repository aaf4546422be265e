"""Spreads builds and proofs over machines with Dask: the command plans and publishes, workers make and prove.

Work goes out as frozen values and digests; what comes back lies in the shared cache (:mod:`crosswheel.job.handing`). So
machines of a cluster have no file system in common, and nothing that a worker leaves unfinished is ever seen. All
machines have one certificate authority (:mod:`crosswheel.cluster.keys`), and the same version of crosswheel: whoever
speaks to a scheduler can run code on its workers.
"""

from __future__ import annotations

from importlib.util import find_spec

from crosswheel.errors import MissingToolError


def require_dask() -> None:
    """Raise :class:`MissingToolError` if Dask's scheduler is not installed; it is an extra."""
    if find_spec("distributed") is None:
        raise MissingToolError(
            "a cluster needs Dask, which is not installed beside crosswheel",
            hint="pip install 'crosswheel[cluster]'; in a checkout: .venv/bin/uv pip install --require-hashes -r "
            "requirements/cluster.txt",
        )
