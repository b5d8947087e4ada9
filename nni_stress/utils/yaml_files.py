"""Reading of YAML files that others may have written, in bounded time and memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..exceptions import DamagedFileError
from .messages import one_line
from .plain_data import check_plain
from .regular_files import read_text

MOST_BYTES = 2**18  # PyYAML reads some 200,000 in a second
_MOST_NODES = 100_000  # with the content of an anchor counted wherever an alias repeats it
_MOST_DIGITS = 100  # PyYAML takes long for numbers of many digits
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MERGE = "tag:yaml.org,2002:merge"


class _NotYamlError(ValueError):
    """A text is not YAML."""


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file, which may hold plain data only.

    Raises
    ------
    DamagedFileError
        If it is no regular file, too large, or not YAML; if aliases repeat too much or themselves;
        or if a mapping has two entries of one name.
    OSError
        If it cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "stress.yml"
    >>> _ = file.write_text("tuner: {name: Stress}")
    >>> read_yaml(file)
    {'tuner': {'name': 'Stress'}}
    """
    text = read_text(path, MOST_BYTES)
    try:
        return parse_yaml(text)
    except _NotYamlError as error:
        raise DamagedFileError(f"{path} is not YAML: {error}") from None
    except ValueError as error:
        raise DamagedFileError(f"{path}: {one_line(error)}") from None


def parse_yaml(text: str) -> Any:
    """Parse YAML, which may hold plain data only.

    Raises
    ------
    ValueError
        As `read_yaml`, in one line that does not name the file.

    Examples
    --------
    >>> parse_yaml("{floor: 1, floor: 2}")
    Traceback (most recent call last):
    ValueError: 'floor' is there twice, the second time in line 1
    """
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > _MOST_NODES:
            raise ValueError(f"more than {_MOST_NODES:,} values, as aliases repeat others")
        data = loader.construct_document(node)
    except RecursionError:
        raise ValueError("mappings and lists are nested too deeply") from None
    except yaml.YAMLError as error:
        raise _NotYamlError(one_line(error)) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError):  # as of "!!bool maybe"
        raise ValueError("a value is not of the type that its tag names") from None
    check_plain(data)
    return data


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Number of values in a node; what an alias repeats is counted again, but visited once."""
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise ValueError(f"the alias in line {node.start_mark.line + 1} contains itself")
        return size
    known[id(node)] = None
    size = 1
    if isinstance(node, yaml.MappingNode):
        _check_names(node)
        size += sum(_size(part, known) for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_size(part, known) for part in node.value)
    elif node.tag in _NUMBERS and len(node.value) > _MOST_DIGITS:
        raise ValueError(f"the number in line {node.start_mark.line + 1} is too long")
    known[id(node)] = size
    return size


def _check_names(node: yaml.MappingNode) -> None:
    names = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        if (key.tag, key.value) in names:
            raise ValueError(
                f"{key.value!r} is there twice, the second time in line {key.start_mark.line + 1}"
            )
        names.add((key.tag, key.value))
