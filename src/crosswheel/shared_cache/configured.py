"""Open the shared cache that the user's settings configure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from crosswheel.errors import UsageError
from crosswheel.settings import Settings
from crosswheel.shared_cache.cache import SharedCache
from crosswheel.shared_cache.guarded import GuardedStore
from crosswheel.shared_cache.web_store import HttpsStore
from crosswheel.signing.keys import KeyFolder
from crosswheel.stores.opening import open_store
from crosswheel.stores.store import Store


def shared_cache_of(settings: Settings, warn: Callable[[str], None]) -> SharedCache | None:
    """Return the shared cache in the user's settings; ``None`` if they configure none.

    Raises:
        UsageError: no key is trusted, or the signing key cannot be used.
    """
    if not settings.shared_caches or settings.offline:
        return None
    keys = KeyFolder.of(settings.keys)
    trusted = keys.trusted()
    if not trusted:
        raise UsageError(
            "a shared cache is named, and no key is trusted here: what is in it could be anybody's",
            hint="make a key with `crosswheel keys new`, or trust your team's with `crosswheel keys trust FILE`.",
        )
    key = None if settings.shared_cache_read_only else keys.signing_key()
    stores = [GuardedStore(url, partial(open_cache_store, url), warn) for url in settings.shared_caches]
    return SharedCache(stores, trusted, key, warn)


def open_cache_store(url: str) -> Store:
    """Return the store at a URL: one that can be published to, or a read-only web server.

    Raises: as :func:`crosswheel.stores.opening.open_store`.
    """
    return HttpsStore(url) if url.startswith(("https://", "http://")) else open_store(url)
