"""A machine in trouble: a full disk, a database that is not to be had, processes that are shot."""

import contextlib
import hashlib
import os
import resource
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from flyteidl.admin import common_pb2, execution_pb2
from flyteidl.core import identifier_pb2
from flyteidl.service import dataproxy_pb2
from machine import Machine, processes

FILE = "fault.py"
PLACE = {"project": "flytesnacks", "domain": "development"}
SUCCEEDED, FAILED = 4, 6


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Machine]:
    """A demo for one test, with the workflows of FILE."""
    machine = Machine(tmp_path / "home", tmp_path)
    machine.start()
    machine.register(FILE)
    yield machine
    machine.end()
    machine.channel.close()


@contextlib.contextmanager
def full_disk(machine: Machine) -> Iterator[None]:
    """The demo itself can make no file longer; its tasks are left alone."""
    before = resource.prlimit(machine.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(machine.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(machine.process.pid, resource.RLIMIT_FSIZE, before)


def create(machine: Machine, workflow: str, **inputs: int) -> str:
    """One request to start an execution, as it is answered the first time."""
    plan = {**PLACE, "resource_type": identifier_pb2.LAUNCH_PLAN, "name": workflow, "version": "v1"}
    request = execution_pb2.ExecutionCreateRequest(**PLACE, spec={"launch_plan": plan})
    for name, value in inputs.items():
        request.inputs.literals[name].scalar.primitive.integer = value
    return str(machine.admin.CreateExecution(request, timeout=60).id.name)


def is_held(machine: Machine, name: str) -> bool:
    """Whether the task `hold` of that execution has begun."""
    return any((machine.home / "cluster/pods").glob(f"*/{name}-n0-0/log.txt"))


def test_a_full_disk_refuses_what_is_new_and_delays_what_runs(own, tmp_path):
    until = tmp_path / "go"
    name = own.execute("fault.held", x=1, until=str(until))
    own.until(lambda: is_held(own, name))
    location = own.data_proxy.CreateUploadLocation(
        dataproxy_pb2.CreateUploadLocationRequest(**PLACE, content_md5=hashlib.md5(b"data").digest())
    )
    with full_disk(own):
        with pytest.raises(grpc.RpcError) as refused:
            create(own, "fault.one", x=1)
        with pytest.raises(urllib.error.HTTPError) as not_stored:
            urllib.request.urlopen(
                urllib.request.Request(location.signed_url, b"data", method="PUT"), timeout=60
            )
        listed = own.admin.ListExecutions(common_pb2.ResourceListRequest(limit=10, id=PLACE), timeout=60)
        until.touch()
        time.sleep(2)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "database" in refused.value.details()
    assert not_stored.value.code == 507
    assert [one.id.name for one in listed.executions] == [name]
    done = own.finished(name)
    assert done.outputs["o0"] == 2
    assert len(done.node_executions["n0"].task_executions) == 1
    assert own.finished(create(own, "fault.one", x=1)).outputs["o0"] == 2


def test_a_locked_database_is_waited_for(own):
    with contextlib.closing(sqlite3.connect(own.home / "lacewing.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            started = pool.submit(create, own, "fault.one", x=1)
            time.sleep(10)
            other.execute("COMMIT")
            name = started.result()
    assert own.finished(name).outputs["o0"] == 2


def test_a_demo_that_is_killed_goes_on_where_it_was(own, tmp_path):
    until = tmp_path / "go"
    names = [own.execute("fault.held", x=number, until=str(until)) for number in range(3)]
    own.until(lambda: all(is_held(own, name) for name in names))
    own.end(signal.SIGKILL)
    until.touch()
    own.start()
    for number, name in enumerate(names):
        done = own.finished(name)
        assert done.outputs["o0"] == number + 1
        assert len(done.node_executions["n0"].task_executions) == 1


def test_fifty_runs_survive_a_stop_and_a_start(own, tmp_path):
    until = tmp_path / "go"
    names = [own.execute("fault.held", x=number, until=str(until)) for number in range(50)]
    own.until(lambda: any(is_held(own, name) for name in names))
    own.end()
    own.start()
    until.touch()
    for number, name in enumerate(names):
        done = own.finished(name)
        assert done.outputs["o0"] == number + 1
        assert len(done.node_executions["n0"].task_executions) == 1


def test_tasks_whose_fork_server_is_killed_are_run_again_as_the_machines_fault(own, tmp_path):
    until = tmp_path / "go"
    names = [own.execute("fault.held", x=number, until=str(until)) for number in range(2)]
    own.until(lambda: all(is_held(own, name) for name in names))
    for pid in processes(str(own.home / "cluster")):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    own.until(lambda: any((own.home / "cluster/pods").glob(f"*/{names[0]}-n0-1")))
    until.touch()
    for number, name in enumerate(names):
        done = own.finished(name)
        assert done.outputs["o0"] == number + 1
        assert [one.closure.error.kind for one in done.node_executions["n0"].task_executions[:-1]] == [2]


def test_a_task_that_is_stopped_can_be_terminated(own, tmp_path):
    name = own.execute("fault.held", x=1, until=str(tmp_path / "never"))
    own.until(lambda: is_held(own, name))
    found = processes(str(own.home / "cluster"))
    tasks = [pid for pid, parent in found.items() if parent in found]
    for pid in tasks:
        os.kill(pid, signal.SIGSTOP)
    own.remote.terminate(own.remote.fetch_execution(name=name), "it does not move")
    assert own.finished(name).closure.phase == 7
    own.until(lambda: not processes(str(own.home / "cluster")).keys() & set(tasks))
    assert tasks
