"""Damage to a file, as by a bad disk or a power loss."""

import random
from pathlib import Path


def damage(path: Path, chance: random.Random) -> str:
    """Damage a file in one of a few ways, and return which."""
    content = bytearray(path.read_bytes())
    way = chance.choice(["cut", "flipped", "empty", "zeros", "text"])
    if way == "cut":
        del content[len(content) // 2 :]
    elif way == "flipped" and content:
        content[chance.randrange(len(content))] ^= 0xFF
    elif way == "zeros":
        content = bytearray(len(content))
    elif way == "text":
        content = bytearray(b'{"__symbol__": "path:os.system"}')
    else:
        content = bytearray()
    path.write_bytes(content)
    return way
