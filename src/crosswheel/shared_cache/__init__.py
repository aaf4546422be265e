"""Share a cache in a team: what one member built and proved, the others download instead of compiling it.

A record maps a digest of all inputs to the result: a few facts, and blobs by their SHA-256. Records are signed. Only
records of trusted keys are read, and every downloaded blob is hashed. Blobs are stored before the record that names
them, and neither ever changes, so that many may write at once without a lock. Nothing here can fail a build: after one
warning, a store that is unreachable, slow or full is no longer used.

``records/<kind>/<digest>/<key>.json`` is the record of one signer; ``blobs/<first two digits>/<sha256>`` is a blob;
``differing/<kind>/<digest>/<sha256>.json`` is the record of a build whose bytes differ from those stored before.
"""
