"""Every RPC with messages that look right and are not: each is answered with a code of ours."""

import itertools
from typing import Any

import grpc
import pytest
from flyteidl.admin import common_pb2, project_pb2, version_pb2
from flyteidl.service import admin_pb2, dataproxy_pb2, signal_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FILE = "fault.py"
DEPTH = 6
CODES = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"}
SERVICES = [
    file.DESCRIPTOR.services_by_name[name]
    for file, name in [
        (admin_pb2, "AdminService"),
        (dataproxy_pb2, "DataProxyService"),
        (signal_pb2, "SignalService"),
    ]
]
METHODS = {method.full_name: method for method in itertools.chain(*(one.methods for one in SERVICES))}
WORDS = [
    "", "flytesnacks", "development", "fault.one", "fault.add", "v1", "fuzzed", "n0", "start-node", "x", "o0",
    "python-task", "created_at", "eq(name,x)", "ne(execution.phase,FAILED)+gt(created_at,x)", "1", "-1", "Y",
    "flyte://v1/flytesnacks/development/fuzzed/n0/i", "/etc/passwd", "../../x", "a" * 300, "ünï\n\0",
]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 7, 100, -1, 2**31 - 1, -(2**31)]
LARGE = [*NUMBERS, 2**53, 2**63 - 1, -(2**63), 253402300800]
KINDS = FieldDescriptor


def value(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """One value of the field's type."""
    kind = field.cpp_type
    if kind == KINDS.CPPTYPE_MESSAGE:
        return message(field.message_type, depth - 1)
    if kind == KINDS.CPPTYPE_STRING:
        if field.type == KINDS.TYPE_BYTES:
            return st.sampled_from([b"", b"\xff", b"0" * 16])
        return st.sampled_from(WORDS) | st.text(max_size=5)
    if kind == KINDS.CPPTYPE_ENUM:
        return st.sampled_from([*(one.number for one in field.enum_type.values), 99])
    if kind == KINDS.CPPTYPE_BOOL:
        return st.booleans()
    if kind in (KINDS.CPPTYPE_FLOAT, KINDS.CPPTYPE_DOUBLE):
        return st.sampled_from(
            [0.0, -1.5, float("nan"), float("inf"), 1e300][: 4 if kind == KINDS.CPPTYPE_FLOAT else 5]
        )
    numbers = LARGE if kind in (KINDS.CPPTYPE_INT64, KINDS.CPPTYPE_UINT64) else NUMBERS
    unsigned = kind in (KINDS.CPPTYPE_UINT32, KINDS.CPPTYPE_UINT64)
    return st.sampled_from([one for one in numbers if one >= 0 or not unsigned])


@st.composite
def message(draw: st.DrawFn, descriptor: Descriptor, depth: int) -> Any:
    """A message with most of its fields set, down to some depth."""
    built = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        nests = field.cpp_type == KINDS.CPPTYPE_MESSAGE
        if (nests and depth <= 0) or draw(st.integers(0, 9)) < 2:
            continue
        target = getattr(built, field.name)
        if nests and field.message_type.GetOptions().map_entry:
            entry = draw(message(field.message_type, depth))
            values = field.message_type.fields_by_name["value"]
            if values.cpp_type == KINDS.CPPTYPE_MESSAGE:
                target[entry.key].CopyFrom(entry.value)
            else:
                target[entry.key] = entry.value
        elif field.is_repeated:
            target.extend(draw(st.lists(value(field, depth), max_size=2)))
        elif nests:
            target.CopyFrom(draw(value(field, depth)))
        else:
            setattr(built, field.name, draw(value(field, depth)))
    return built


@pytest.fixture(scope="module")
def fuzzed(machine):
    """A demo in which the words above name something."""
    machine.register(FILE)
    plan = machine.remote.fetch_launch_plan(name="fault.one", version="v1")
    machine.remote.execute(plan, inputs={"x": 1}, execution_name="fuzzed")
    machine.finished("fuzzed")
    return machine


def asked(machine: Any, method: MethodDescriptor, data: bytes) -> str:
    """The code that the request is answered with."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        machine.channel.unary_unary(path)(data, timeout=60)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_an_rpc_answers_whatever_it_is_asked(fuzzed, name):
    method = METHODS[name]
    wanted = CODES if asked(fuzzed, method, b"") != "UNIMPLEMENTED" else {"UNIMPLEMENTED"}

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(message(method.input_type, DEPTH))
    def ask(request: Any) -> None:
        assert asked(fuzzed, method, request.SerializeToString()) in wanted

    ask()


def test_the_demo_is_well_after_all_that(fuzzed):
    fuzzed.admin.UpdateProject(project_pb2.Project(id="flytesnacks", name="flytesnacks"), timeout=30)
    assert fuzzed.admin.GetVersion(version_pb2.GetVersionRequest(), timeout=30).control_plane_version.Version
    wanted = common_pb2.ResourceListRequest(limit=100, id={"project": "flytesnacks", "domain": "development"})
    assert fuzzed.admin.ListExecutions(wanted, timeout=30).executions
    plan = fuzzed.remote.fetch_launch_plan(name="fault.one", version="v1")
    done = fuzzed.finished(fuzzed.remote.execute(plan, inputs={"x": 1}).id.name)
    assert done.outputs["o0"] == 2
    assert "Traceback" not in fuzzed.log()
