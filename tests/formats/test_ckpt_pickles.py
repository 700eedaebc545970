"""The pickle machine gives what Python's own gives, for all plain values and protocols; and takes no damage."""

import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats import opcodes as op
from kakusan.formats.pickled_tensors import Storage, Torch
from kakusan.formats.pickles import Inert, RefusedError, read_pickle

KEYS = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False), st.text(), st.binary(min_size=1)
)
SCALARS = st.one_of(KEYS, st.integers(-(1 << 200), 1 << 200))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(KEYS, inner),
        st.sets(KEYS),
    ),
    max_leaves=30,
)


def no_storages(_: tuple[Any, ...]) -> Storage:
    raise RefusedError("no storages here", "storage はありません")


def read(data: bytes) -> Any:
    value, end = read_pickle(data, 0, len(data), Torch(no_storages), name="it")
    assert end == len(data)
    return value


def same(a: Any, b: Any) -> bool:
    """Equal in types too, unlike 1 == 1.0 == True."""
    if type(a) is not type(b) or (isinstance(a, list | tuple | dict | set) and len(a) != len(b)):
        return False
    if isinstance(a, list | tuple):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return all(same(x, y) and same(a[x], b[y]) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@settings(max_examples=150, deadline=None)
@given(VALUES, st.integers(2, 5))
def test_plain_values_as_python_reads_them(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert same(read(data), pickle.loads(data))


@settings(max_examples=150, deadline=None)
@given(VALUES, st.data())
def test_damage_is_refused_or_read_but_nothing_else(value: Any, draw: st.DataObject) -> None:
    data = bytearray(pickle.dumps({"a": value, "b": [value]}, 2))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    said = ""
    try:
        read_pickle(bytes(data), 0, len(data), Torch(no_storages), name="it")
    except RefusedError as refusal:
        said = refusal.en
    assert not said or (said.startswith("it at byte ") and said.endswith("(nothing was executed)"))


def test_the_same_object_stays_the_same() -> None:
    shared = [1]
    value = read(pickle.dumps({"a": shared, "b": shared, "c": (shared,)}, 2))
    assert value["a"] is value["b"] is value["c"][0]
    knot: list[Any] = []
    knot.append(knot)
    again = read(pickle.dumps(knot, 2))
    assert again[0] is again


def test_not_a_number_comes_back() -> None:
    assert math.isnan(read(pickle.dumps(float("nan"), 2)))


def test_what_is_inert_stays_as_it_is_whatever_is_done_to_it() -> None:
    config = op.named("omegaconf.dictconfig", "DictConfig")
    done = config + op.EMPTY_TUPLE + op.NEWOBJ + op.mapping({"a": op.NONE}) + op.BUILD + op.text("k") + op.NONE + b"s" + op.NONE + b"a"
    value = read(op.pickled(op.EMPTY_DICT + op.MARK + done + op.number(1) + config + op.number(2) + b"u"))
    assert list(value.values()) == [2]  # the class and what is made of it are one and the same key
    (key,) = value
    assert isinstance(key, Inert)
    assert key.name == "omegaconf.dictconfig.DictConfig"


@pytest.mark.parametrize("key", [op.several(op.number(1)), op.several(op.several())])
def test_tuples_as_keys_are_not_hashed(key: bytes) -> None:
    (found,) = read(op.pickled(op.EMPTY_DICT + key + op.NONE + b"s"))
    assert isinstance(found, Inert)


@pytest.mark.parametrize("key", [op.number(1 << 63), op.number(-(1 << 80)), op.EMPTY_DICT])
def test_keys_that_could_collide_at_will_are_refused(key: bytes) -> None:
    with pytest.raises(RefusedError, match="as a key"):
        read(op.pickled(op.EMPTY_DICT + key + op.NONE + b"s"))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x02", b"\x80\x02X", b"\x80\x02X\x05\0\0\0ab", b"\x80\x02cposix\nsystem", b"J\0\0"])
def test_what_is_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError, match=r"cut short|has no end"):
        read(data)


@pytest.mark.parametrize("data", [b".", b"NN.", b"(N.", b"N"])
def test_a_pickle_ends_with_one_value(data: bytes) -> None:
    with pytest.raises(RefusedError, match=r"does not end with one value|cut short"):
        read(data)
