"""Cache of decoded data on disk, mapped into memory.

Trials start sooner, and trials that run side by side share the memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nni_stress.utils.atomic_files import atomically
from nni_stress.utils.regular_files import check_regular
from nni_stress.utils.temporaries import remove_leftovers

_VERSION = 1  # of the cached content; a change invalidates all caches
_MIN_BYTES = 2**20  # smaller files are decoded faster than a cache is read


def decode_once(
    kind: str, files: Sequence[Path], decode: Callable[[], Sequence[Tensor]]
) -> list[Tensor]:
    """Decode files, or read what was decoded from the same files before.

    Results are stored in ``~/.cache/nni-stress/decoded``. Files count as the same if their paths,
    sizes and modification times are.

    Parameters
    ----------
    kind
        What is decoded, as a word for the name of the cache file.
    files
        Files that `decode` reads.
    decode
        Function that decodes them.

    Returns
    -------
    list of torch.Tensor
        The result of `decode`. A process that writes to these tensors changes only its own copy.

    Examples
    --------
    >>> decode_once("numbers", [], lambda: [torch.arange(3)])  # too small to be stored
    [tensor([0, 1, 2])]
    """
    stats = [(str(file.resolve()), file.stat()) for file in sorted(files)]
    if sum(stat.st_size for _, stat in stats) < _MIN_BYTES:
        return list(decode())
    sources = [f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats]
    paths = "\n".join(path for path, _ in stats)
    name = hashlib.blake2b(paths.encode(), digest_size=8).hexdigest()
    cache = Path.home() / ".cache" / "nni-stress" / "decoded" / f"{kind}-{name}.pt"
    cached = _read(cache, sources)
    if cached is not None:
        return cached
    tensors = list(decode())
    content = {
        "form": _VERSION,
        "sources": sources,
        "tensors": [tensor.contiguous() for tensor in tensors],
    }
    remove_leftovers(cache.parent, cache.name)
    try:
        with atomically(cache) as file:
            torch.save(content, file)
    except OSError:  # the home folder cannot be written to, or the disk is full
        return tensors
    return _read(cache, sources) or tensors


def _read(cache: Path, sources: list[str]) -> list[Tensor] | None:
    """Tensors of a cache file, or None if it is missing, damaged or of other sources."""
    try:
        check_regular(cache)
        content = torch.load(cache, mmap=True, weights_only=True)
        tensors = content["tensors"]
        valid = (content["form"], content["sources"]) == (_VERSION, sources)
        valid = valid and all(isinstance(tensor, Tensor) for tensor in tensors)
        return tensors if valid else None
    except Exception:  # torch.load raises errors of many types
        return None
