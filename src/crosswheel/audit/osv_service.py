"""Query a service with OSV's interface: first the advisories of each part, then each advisory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

import httpx

from crosswheel.audit.advisories import Record
from crosswheel.audit.database import LARGEST
from crosswheel.audit.subjects import AuditedParts, Coordinates
from crosswheel.download import new_client
from crosswheel.errors import NetworkError

_AT_ONCE = 500
_PAGES = 100
_HINT = "look whether the address is that of a service with OSV's interface (version 1), and whether it can be reached."


def ask_service(url: str, subjects: AuditedParts, tell: Callable[[str], None]) -> Iterator[Record]:
    """Yield the service's advisories for the audited parts; the caller decides whether they apply.

    Args:
        url: the base URL, to which ``/v1/querybatch`` is appended.

    Raises:
        NetworkError: it cannot be reached, or does not answer as OSV does.
    """
    questions = [
        (key, version)
        for key, asked in subjects.by_coordinates.items()
        for version in sorted({subject.version for subject in asked})
    ]
    with new_client() as client:
        names: dict[str, None] = {}
        for start in range(0, len(questions), _AT_ONCE):
            tell(f"asking {url} about {min(start + _AT_ONCE, len(questions))} of {len(questions)} parts")
            names.update(dict.fromkeys(_named(client, url, list(islice(questions, start, start + _AT_ONCE)))))
        for number, name in enumerate(names, 1):
            tell(f"fetching advisory {number} of {len(names)}")
            yield _asked(client, "GET", f"{url.rstrip('/')}/v1/vulns/{quote(name, safe='')}", None)


def _named(client: httpx.Client, url: str, questions: Sequence[tuple[Coordinates, str]]) -> Iterator[str]:
    pending = [_question(key, version) for key, version in questions]
    for _ in range(_PAGES):
        answer = _asked(client, "POST", f"{url.rstrip('/')}/v1/querybatch", {"queries": pending})
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != len(pending):
            raise NetworkError(f"{url} did not answer each question", hint=_HINT)
        following = []
        for question, result in zip(pending, results):
            stated = result.get("vulns") or [] if isinstance(result, dict) else []
            yield from (str(item["id"]) for item in stated if isinstance(item, dict) and "id" in item)
            token = result.get("next_page_token") if isinstance(result, dict) else None
            following += [{**question, "page_token": token}] if token else []
        if not following:
            return
        pending = following
    raise NetworkError(f"{url} goes on naming further pages", hint=_HINT)


def _question(key: Coordinates, version: str) -> dict[str, Any]:
    ecosystem = f"{key.ecosystem}:{key.release}" if key.release else key.ecosystem
    return {"package": {"ecosystem": ecosystem, "name": key.name}, "version": version}


def _asked(client: httpx.Client, method: str, url: str, body: object) -> dict[str, Any]:
    try:
        with client.stream(method, url, json=body) as response:
            response.raise_for_status()
            data = bytearray()
            for block in response.iter_bytes():
                data += block
                if len(data) > LARGEST:
                    raise NetworkError(f"{url} answers with more than {LARGEST >> 20} MiB", hint=_HINT)
        answer = httpx.Response(200, content=bytes(data)).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
        raise NetworkError(f"{url} could not be asked: {error}", hint=_HINT) from error
    if not isinstance(answer, dict):
        raise NetworkError(f"{url} does not answer with an object", hint=_HINT)
    return answer
