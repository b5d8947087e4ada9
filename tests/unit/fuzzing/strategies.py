"""What files and messages may hold: valid content with a few changes, or anything at all."""

import copy
import json

from hypothesis import strategies as st

NUMBERS = st.one_of(
    st.integers(-3, 12),
    st.sampled_from([10**9, 10**40, 10**200, -(10**400), 2**63]),
    st.floats(),
    st.floats(0, 1),
)
TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "x" * 5000,
            "../../etc",
            "g000-00",
            "g001-07",
            "g999999-00",
            "latency",
            "macs",
            "\x1b[2J",
            "<b>&",
            "a\nb",
            "\ud800",
            "٣",
        ]
    ),
    st.text(max_size=8),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
NAMES = st.one_of(TEXTS, st.sampled_from(["__symbol__", "_type", "_value", "_name", "uid"]))


def _deep(inner):
    return st.builds(_nested, inner, st.sampled_from([70, 200]))


def _nested(value, depth):
    for _ in range(depth):
        value = [value]
    return value


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4), _deep(inner)
    ),
    max_leaves=12,
)


def _places(data, path=()):
    """Paths to all parts of plain data."""
    yield path
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _places(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data[:5]):
            yield from _places(value, (*path, index))


@st.composite
def changed(draw, valid):
    """Valid plain data in which up to three parts are replaced, removed or added."""
    data = copy.deepcopy(valid)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(list(_places(data))))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                data = draw(VALUES)
            continue
        holder = data
        for key in path[:-1]:
            holder = holder[key]
        kind = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if kind == "replace":
            holder[path[-1]] = draw(VALUES)
        elif kind == "remove":
            del holder[path[-1]]
        elif isinstance(holder, dict):
            holder[draw(NAMES)] = draw(VALUES)
        else:
            holder.append(draw(VALUES))
    return data


@st.composite
def damaged(draw, content):
    """Bytes that are cut, repeated or overwritten somewhere."""
    data = bytearray(draw(content))
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(["cut", "drop", "overwrite", "repeat"]))
        if kind == "cut":
            del data[start:]
        elif kind == "drop":
            del data[start : start + draw(st.integers(1, 9))]
        elif kind == "overwrite":
            part = draw(st.binary(min_size=1, max_size=8))
            data[start : start + len(part)] = part
        else:
            data[start:start] = data[start : start + 40]
    return bytes(data)


def json_files(valid):
    """Content of a JSON file that is valid with a few changes, or damaged, or anything."""
    plain = changed(valid).map(lambda data: json.dumps(data).encode())
    deep = st.just(b"[" * 3000 + b"]" * 3000)
    return st.one_of(plain, plain, damaged(plain), st.binary(max_size=60), deep)
