"""Seeds of random choices, the same in every process."""

from __future__ import annotations

import hashlib


def seed_of(*parts: object) -> int:
    """Derive the seed of one random choice from everything that identifies it.

    The seed depends on the texts of the parts only, so that it is the same in every process.

    Parameters
    ----------
    *parts
        What identifies the choice, for instance the evolution's seed, the offspring's name and the
        purpose.

    Returns
    -------
    int
        A non-negative integer of at most 63 bits.

    Examples
    --------
    >>> seed_of(0, "g001-00", "stress") == seed_of(0, "g001-00", "stress")
    True
    >>> seed_of(0, "g001-00", "stress") == seed_of(0, "g001-01", "stress")
    False
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
