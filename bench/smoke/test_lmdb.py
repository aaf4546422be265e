"""Values are kept in a file, in order, and a transaction that is given up leaves none."""

import tempfile

import lmdb

with tempfile.TemporaryDirectory() as folder:
    with lmdb.open(folder, map_size=1 << 20) as kept:
        with kept.begin(write=True) as transaction:
            for well in ("B2", "A1", "C3"):
                transaction.put(well.encode(), b"full")
        given_up = kept.begin(write=True)
        given_up.put(b"D4", b"empty")
        given_up.abort()
    with lmdb.open(folder, readonly=True) as kept, kept.begin() as transaction:
        assert [key for key, _ in transaction.cursor()] == [b"A1", b"B2", b"C3"]
