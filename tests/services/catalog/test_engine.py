"""The engine's Catalog: its memory twin and the service keep the same promises."""

from typing import Any

import pytest
from flyteidl.core import literals_pb2
from flyteidl.datacatalog import datacatalog_pb2 as pb
from lacewing.model.cache import CacheKey, Source
from lacewing.model.ids import RunKey
from lacewing.testing import ManualClock, MemoryCatalog

KEY = CacheKey("p", "d", "flyte_task-t", "1-a-b", "flyte_cached-x")
FIRST = Source(RunKey("p", "d", "run1"), "n0", 2, "v1")
SECOND = Source(RunKey("p", "d", "run2"), "n1", 0, "v2")


def outputs(number: int) -> literals_pb2.LiteralMap:
    found = literals_pb2.LiteralMap()
    found.literals["o0"].scalar.primitive.integer = number
    return found


@pytest.fixture(params=["memory", "service"])
def either(request: pytest.FixtureRequest) -> tuple[Any, ManualClock]:
    """A catalog and its clock."""
    if request.param == "memory":
        clock = ManualClock()
        return MemoryCatalog(clock), clock
    served = request.getfixturevalue("served")
    return served.catalog.engine, served.clock


async def test_outputs_are_found_under_their_key_with_who_computed_them(either):
    catalog, _ = either
    assert await catalog.lookup(KEY) is None
    stored = await catalog.put(KEY, outputs(1), FIRST)
    assert not stored.replaced
    found = await catalog.lookup(KEY)
    assert (found.id, found.outputs, found.source) == (stored.artifact_id, outputs(1), FIRST)
    assert await catalog.lookup(KEY._replace(tag="other")) is None
    assert await catalog.lookup(KEY._replace(version="other")) is None


async def test_a_put_may_be_repeated(either):
    catalog, _ = either
    assert await catalog.put(KEY, outputs(1), FIRST) == await catalog.put(KEY, outputs(1), FIRST)


async def test_a_key_keeps_its_outputs_unless_they_are_overwritten(either):
    catalog, _ = either
    first = await catalog.put(KEY, outputs(1), FIRST, overwrite=True)
    assert not first.replaced
    second = await catalog.put(KEY, outputs(2), SECOND)
    assert second.artifact_id != first.artifact_id
    assert (await catalog.lookup(KEY)).outputs == outputs(1)
    third = await catalog.put(KEY, outputs(3), SECOND, overwrite=True)
    assert (third.artifact_id, third.replaced) == (first.artifact_id, True)
    found = await catalog.lookup(KEY)
    assert (found.outputs, found.source) == (outputs(3), SECOND)


async def test_one_owner_computes_until_it_is_done_or_silent_for_too_long(either):
    catalog, clock = either
    assert await catalog.reserve(KEY, "a", 60.0) == "a"
    assert await catalog.reserve(KEY, "b", 60.0) == "a"
    clock.move(20)
    assert await catalog.reserve(KEY, "a", 60.0) == "a"
    clock.move(20)
    assert await catalog.reserve(KEY, "b", 60.0) == "a"
    clock.move(11)
    assert await catalog.reserve(KEY, "b", 60.0) == "b"
    await catalog.release(KEY, "a")
    assert await catalog.reserve(KEY, "a", 60.0) == "b"
    await catalog.release(KEY, "b")
    assert await catalog.reserve(KEY, "a", 60.0) == "a"


async def test_what_a_flyte_engine_stored_is_found(served):
    dataset = pb.DatasetID(project="p", domain="d", name=KEY.name, version=KEY.version)
    made = pb.Dataset(id=dataset, metadata=pb.Metadata(key_map={"task-version": "v9"}))
    await served.stub.CreateDataset(pb.CreateDatasetRequest(dataset=made))
    told = {
        "exec-project": "p",
        "exec-domain": "d",
        "execution-name": "e",
        "exec-node": "n3",
        "exec-attempt": "1",
    }
    data = [pb.ArtifactData(name="o0", value=outputs(7).literals["o0"])]
    artifact = pb.Artifact(id="a", dataset=dataset, data=data, metadata=pb.Metadata(key_map=told))
    await served.stub.CreateArtifact(pb.CreateArtifactRequest(artifact=artifact))
    await served.stub.AddTag(pb.AddTagRequest(tag=pb.Tag(name=KEY.tag, artifact_id="a", dataset=dataset)))
    found = await served.catalog.engine.lookup(KEY)
    assert (found.id, found.outputs) == ("a", outputs(7))
    assert found.source == Source(RunKey("p", "d", "e"), "n3", 1, "v9")
