"""Cache keys against known vectors: what an existing catalog was written with."""

import base64
import math

import pytest
from flyteidl.core import interface_pb2, literals_pb2, tasks_pb2, types_pb2, workflow_pb2
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from lacewing.errors import TaskError
from lacewing.model.cache import (
    CachePolicy,
    _float_form,
    cache_key,
    cache_policy,
    interface_hash,
    object_hash,
    pbhash,
)

INTEGER = {"simple": "INTEGER"}
POLICY = CachePolicy("sample-1")


def variables(**types: dict) -> interface_pb2.VariableMap:
    kinds = {name: {"type": kind, "description": f"about {name}"} for name, kind in types.items()}
    return ParseDict({"variables": kinds}, interface_pb2.VariableMap())


def literals(**values: dict) -> literals_pb2.LiteralMap:
    return ParseDict({"literals": values}, literals_pb2.LiteralMap())


def integer(value: int) -> dict:
    return {"scalar": {"primitive": {"integer": value}}}


def task(name: str = "cache.stamp", output: dict | None = None, **inputs: dict) -> tasks_pb2.TaskTemplate:
    made = tasks_pb2.TaskTemplate()
    made.id.project, made.id.domain, made.id.name, made.id.version = "p", "d", name, "v"
    made.interface.inputs.CopyFrom(variables(**inputs))
    made.interface.outputs.CopyFrom(variables(o0=output or {"simple": "STRING"}))
    return made


def shortened(kinds: interface_pb2.VariableMap, single: bool = False) -> str:
    return interface_hash(kinds.SerializeToString(), single)[:8]


def test_messages_hash_as_flyte_hashes_them():
    assert pbhash(literals_pb2.LiteralMap()) == "GKw-c0PwFokMUQ6T-TUmEWnZ4_VlQ2Qpgw-vCTT0-OQ"
    both = literals(**{"1": integer(1), "2": integer(2)})
    assert pbhash(both) == "GQid5LjHbakcW68DS3P2jp80QLbiF0olFHF2hTh5bg8"
    value = {"integer": "18", "floatValue": 1.3, "stringValue": "lets test this", "boolean": True}
    assert base64.b64encode(object_hash(value)) == b"GhPMTKvJfUPHK8U3vEmoi/wdVBx7IQSPqyjGXAZzquI="


def test_a_zero_that_was_set_is_not_nothing():
    assert pbhash(literals(a=integer(0))) != pbhash(literals(a={"scalar": {"primitive": {}}}))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_its_normal_form_is_the_number(value: float):
    form = _float_form(value)
    if value == 0:
        assert form == "+0:"
        return
    exponent, _, bits = form[1:].partition(":")
    mantissa = sum(int(bit) / 2**place for place, bit in enumerate(bits))
    assert 0.5 < mantissa <= 1
    assert math.ldexp(mantissa, int(exponent)) == abs(value)
    assert (form[0] == "-") == (value < 0)


def test_a_recorded_key_is_ours_too():
    key = cache_key(task(a=INTEGER), POLICY, literals(a=integer(1)), element=False)
    assert key[:3] == ("p", "d", "flyte_task-cache.stamp")
    assert key.version == "sample-1-rJudYX8l-zCZxwZgs"
    assert key.tag == "flyte_cached-DNhkpTTPC5YDtRGb4yT-PFxgMSgHzHrKAQKgQGEfGRY"
    ignoring = POLICY._replace(ignored=("noise",))
    other = cache_key(
        task(a=INTEGER, noise=INTEGER), ignoring, literals(a=integer(1), noise=integer(9)), element=False
    )
    assert (other.version, other.tag) == ("sample-1-fsZHZHZl-zCZxwZgs", key.tag)


def test_interfaces_hash_without_what_does_not_matter():
    assert shortened(variables(**{"1": INTEGER, "2": INTEGER})) == "UxVtPm0k"
    assert shortened(interface_pb2.VariableMap()) == "GKw-c0Pw"
    plain = {"collection_type": INTEGER}
    told = {"collection_type": {**INTEGER, "metadata": {"a": 1}, "annotation": {"annotations": {"b": 2}}}}
    kept = {"collection_type": {**INTEGER, "annotation": {"annotations": {"cache-key-metadata": 1}}}}
    assert shortened(variables(x=plain)) == shortened(variables(x=told)) != shortened(variables(x=kept))
    union = {"union_type": {"variants": [INTEGER, {"simple": "NONE", "metadata": {"a": 1}}]}}
    assert shortened(variables(x=union)) == shortened(
        variables(x={"union_type": {"variants": [INTEGER, {"simple": "NONE"}]}})
    )


def test_outputs_of_an_element_are_those_of_one():
    assert shortened(variables(o0={"collection_type": INTEGER}), True) == shortened(variables(o0=INTEGER))
    many = task(output={"collection_type": INTEGER}, a={"collection_type": INTEGER})
    one = cache_key(many, POLICY, literals(a=integer(1)), element=True)
    assert one.version.endswith(shortened(variables(o0=INTEGER)))
    assert shortened(variables(a={"collection_type": INTEGER})) in one.version


def test_a_literal_with_a_hash_is_known_by_it_alone_at_any_depth():
    def tag(one: dict, other: dict) -> str:
        inputs = literals(a={"collection": {"literals": [one]}}, b={"map": {"literals": {"x": other}}})
        return cache_key(task(), POLICY, inputs, element=False).tag

    first, second = {"hash": "h", **integer(1)}, {"hash": "h", **integer(2)}
    assert tag(first, second) == tag(second, first) == tag({"hash": "h"}, {"hash": "h"})
    assert tag(first, integer(2)) != tag(first, integer(3))


def test_a_cached_task_without_a_version_is_named():
    with pytest.raises(TaskError, match=r"'cache\.stamp' is cached but names no cache version"):
        cache_key(task(), CachePolicy(""), literals(), element=False)


def test_a_node_may_say_otherwise_than_its_task():
    made = task()
    made.metadata.discoverable, made.metadata.discovery_version = True, " 1 "
    made.metadata.cache_ignore_input_vars.append("a")
    assert cache_policy(made) == CachePolicy("1", False, ("a",))
    silent = workflow_pb2.NodeMetadata(name="n")
    assert cache_policy(made, silent) == cache_policy(made)
    assert cache_policy(made, workflow_pb2.NodeMetadata(cacheable=False)) is None
    other = workflow_pb2.NodeMetadata(cache_version="2", cache_serializable=True)
    assert cache_policy(made, silent, other) == CachePolicy("2", True, ("a",))
    uncached = task()
    on = workflow_pb2.NodeMetadata(cacheable=True, cache_version="3")
    assert cache_policy(uncached) is None
    assert cache_policy(uncached, on) == CachePolicy("3")


def test_a_task_without_outputs_is_never_cached():
    made = tasks_pb2.TaskTemplate()
    made.metadata.discoverable = True
    assert cache_policy(made) is None


def test_types_are_not_changed_by_hashing():
    made = task(a={**INTEGER, "metadata": {"a": 1}})
    before = types_pb2.LiteralType()
    before.CopyFrom(made.interface.inputs.variables["a"].type)
    cache_key(made, POLICY, literals(a=integer(1)), element=False)
    assert made.interface.inputs.variables["a"].type == before
