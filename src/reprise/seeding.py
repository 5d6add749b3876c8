"""Random seeds: every draw in the project comes from `derive(seed, *key)`.

A seed is a hash of the user's `common.seed` and of a key that says what is drawn ("faces", 0, "train"), so adding a
run never shifts the randomness of another one, and no two purposes share a stream.
"""

import hashlib


def derive(seed: int, *key: str | int) -> int:
    """A 63-bit seed for the purpose named by `key`; equal arguments give equal seeds on every machine."""
    text = "\x1f".join(str(part) for part in (seed, *key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
