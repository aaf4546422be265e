"""A cache that a team shares: what one built and proved, the others take, and start no compiler for it.

A record says for a digest of all inputs what came of them: a few facts, and blobs by their SHA-256. It is signed; only
records of keys that are trusted here are read, and every blob is hashed when it comes. Blobs are stored before the
record that names them, and neither is ever changed, so that many may write at once without a lock. Nothing here can
fail a build: a store that is away, slow or full is told of once, and not asked any more.

``records/<kind>/<digest>/<key>.json`` is the record of one signer; ``blobs/<first two digits>/<sha256>`` is a blob;
``differing/<kind>/<digest>/<sha256>.json`` is the record of what was built with other bytes than before.
"""
