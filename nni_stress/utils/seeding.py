"""Seeds of random choices, the same in every process."""

from __future__ import annotations

import hashlib


def seed_of(*parts) -> int:
    """A seed for one random choice, the same in every process: of the evolution's seed, the offspring, the purpose."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
