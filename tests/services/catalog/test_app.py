"""The data catalog over gRPC: what it keeps, and what it refuses with which code."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from flyteidl.core import literals_pb2
from flyteidl.datacatalog import datacatalog_pb2 as pb

DATASET = pb.DatasetID(project="p", domain="d", name="flyte_task-t", version="1-a-b")


def value(name: str = "o0", number: int = 1) -> pb.ArtifactData:
    literal = literals_pb2.Literal(
        scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=number))
    )
    return pb.ArtifactData(name=name, value=literal)


def artifact(name: str = "a1", **fields: Any) -> pb.CreateArtifactRequest:
    fields = {"dataset": DATASET, "data": [value()], **fields}
    return pb.CreateArtifactRequest(artifact=pb.Artifact(id=name, **fields))


def dataset(**fields: Any) -> pb.CreateDatasetRequest:
    return pb.CreateDatasetRequest(dataset=pb.Dataset(id=DATASET, **fields))


def tag(name: str = "t1", artifact_id: str = "a1") -> pb.AddTagRequest:
    return pb.AddTagRequest(tag=pb.Tag(name=name, artifact_id=artifact_id, dataset=DATASET))


def reservation(owner: str, seconds: float = 5.0) -> pb.GetOrExtendReservationRequest:
    request = pb.GetOrExtendReservationRequest(
        reservation_id=pb.ReservationID(dataset_id=DATASET, tag_name="t1"), owner_id=owner
    )
    request.heartbeat_interval.FromTimedelta(timedelta(seconds=seconds))
    return request


async def refused(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, caught.value.details()


async def test_a_dataset_is_made_once_and_read_back(served):
    metadata = pb.Metadata(key_map={"task-version": "v1"})
    await served.stub.CreateDataset(dataset(metadata=metadata))
    found = (await served.stub.GetDataset(pb.GetDatasetRequest(dataset=DATASET))).dataset
    assert found.id.UUID
    assert (found.id.name, found.metadata) == (DATASET.name, metadata)
    code, words = await refused(served.stub.CreateDataset(dataset()))
    assert (code, words) == ("ALREADY_EXISTS", "dataset p:d:flyte_task-t:1-a-b is there already")


@pytest.mark.parametrize("part", ["project", "domain", "name", "version"])
async def test_a_dataset_is_named_in_full(served, part: str):
    request = dataset()
    request.dataset.id.ClearField(part)
    assert await refused(served.stub.CreateDataset(request)) == (
        "INVALID_ARGUMENT",
        f"missing dataset {part}",
    )


async def test_what_is_not_there_is_not_found(served):
    where = pb.GetArtifactRequest(dataset=DATASET, tag_name="t1")
    assert (await refused(served.stub.GetDataset(pb.GetDatasetRequest(dataset=DATASET))))[0] == "NOT_FOUND"
    assert (await refused(served.stub.GetArtifact(where)))[0] == "NOT_FOUND"
    assert (await refused(served.stub.CreateArtifact(artifact())))[0] == "NOT_FOUND"
    await served.stub.CreateDataset(dataset())
    code, words = await refused(served.stub.GetArtifact(where))
    assert (code, words) == ("NOT_FOUND", "dataset flyte_task-t 1-a-b has no tag_name 't1'")
    assert (await refused(served.stub.AddTag(tag())))[0] == "NOT_FOUND"
    update = pb.UpdateArtifactRequest(dataset=DATASET, tag_name="t1", data=[value()])
    assert (await refused(served.stub.UpdateArtifact(update)))[0] == "NOT_FOUND"


async def test_an_artifact_is_found_by_its_id_and_by_its_tags(served):
    await served.stub.CreateDataset(dataset())
    await served.stub.CreateArtifact(artifact(metadata=pb.Metadata(key_map={"exec-node": "n0"})))
    await served.stub.AddTag(tag())
    await served.stub.AddTag(tag("t2"))
    for query in ({"artifact_id": "a1"}, {"tag_name": "t1"}, {"tag_name": "t2"}):
        found = (await served.stub.GetArtifact(pb.GetArtifactRequest(dataset=DATASET, **query))).artifact
        assert found.data == [value()]
        assert found.metadata.key_map == {"exec-node": "n0"}
        assert [one.name for one in found.tags] == ["t1", "t2"]
        assert found.created_at.ToDatetime().year == 2026
    assert (await refused(served.stub.GetArtifact(pb.GetArtifactRequest(dataset=DATASET))))[0] == (
        "INVALID_ARGUMENT"
    )


async def test_a_tag_keeps_its_artifact(served):
    await served.stub.CreateDataset(dataset())
    for name in ("a1", "a2"):
        await served.stub.CreateArtifact(artifact(name))
    await served.stub.AddTag(tag())
    assert (await refused(served.stub.AddTag(tag(artifact_id="a2"))))[0] == "ALREADY_EXISTS"
    found = await served.stub.GetArtifact(pb.GetArtifactRequest(dataset=DATASET, tag_name="t1"))
    assert found.artifact.id == "a1"


async def test_artifacts_are_refused_that_no_dataset_could_hold(served):
    await served.stub.CreateDataset(dataset(partitionKeys=["region"]))
    partition = [pb.Partition(key="region", value="north")]
    for wrong, words in [
        (artifact("", partitions=partition), "missing artifact id"),
        (artifact(data=[], partitions=partition), "missing artifact data: at least one value is needed"),
        (artifact(), "the dataset is partitioned by ['region'], and the artifact has []"),
        (
            artifact(data=[value(), value()], partitions=partition),
            "the values of an artifact need names, each its own; got ['o0', 'o0']",
        ),
    ]:
        assert await refused(served.stub.CreateArtifact(wrong)) == ("INVALID_ARGUMENT", words)
    await served.stub.CreateArtifact(artifact(partitions=partition))
    assert (await refused(served.stub.CreateArtifact(artifact(partitions=partition))))[0] == "ALREADY_EXISTS"
    twice = dataset(partitionKeys=["a", "a"])
    twice.dataset.id.version = "2"
    assert (await refused(served.stub.CreateDataset(twice)))[0] == "INVALID_ARGUMENT"


async def test_an_update_replaces_the_data_and_keeps_the_id(served):
    await served.stub.CreateDataset(dataset())
    await served.stub.CreateArtifact(artifact(data=[value(), value("gone")]))
    await served.stub.AddTag(tag())
    metadata = pb.Metadata(key_map={"exec-node": "n7"})
    update = pb.UpdateArtifactRequest(
        dataset=DATASET, tag_name="t1", data=[value(number=2)], metadata=metadata
    )
    assert (await served.stub.UpdateArtifact(update)).artifact_id == "a1"
    found = await served.stub.GetArtifact(pb.GetArtifactRequest(dataset=DATASET, tag_name="t1"))
    assert (found.artifact.data, found.artifact.metadata) == ([value(number=2)], metadata)
    del update.data[:]
    assert (await refused(served.stub.UpdateArtifact(update)))[0] == "INVALID_ARGUMENT"


async def test_artifacts_are_listed_newest_first_in_pages_and_by_what_they_have(served):
    await served.stub.CreateDataset(dataset(partitionKeys=["k"]))
    for number in range(5):
        partition = [pb.Partition(key="k", value=str(number % 2))]
        await served.stub.CreateArtifact(artifact(f"a{number}", partitions=partition))
    await served.stub.AddTag(tag("t1", "a3"))

    async def listed(*filters: pb.SinglePropertyFilter, **page: Any) -> tuple[list[str], str]:
        request = pb.ListArtifactsRequest(dataset=DATASET, filter=pb.FilterExpression(filters=filters))
        if page:
            request.pagination.CopyFrom(pb.PaginationOptions(**page))
        answer = await served.stub.ListArtifacts(request)
        return [one.id for one in answer.artifacts], answer.next_token

    assert await listed() == (["a4", "a3", "a2", "a1", "a0"], "5")
    assert await listed(limit=2) == (["a4", "a3"], "2")
    assert await listed(limit=2, token="4") == (["a0"], "5")
    assert (await listed(limit=1, sortOrder=pb.PaginationOptions.ASCENDING))[0] == ["a0"]
    even = pb.PartitionPropertyFilter(key_val=pb.KeyValuePair(key="k", value="0"))
    assert (await listed(pb.SinglePropertyFilter(partition_filter=even)))[0] == ["a4", "a2", "a0"]
    tagged = pb.SinglePropertyFilter(tag_filter=pb.TagPropertyFilter(tag_name="t1"))
    assert (await listed(tagged))[0] == ["a3"]
    one = pb.SinglePropertyFilter(artifact_filter=pb.ArtifactPropertyFilter(artifact_id="a2"))
    assert (await listed(one))[0] == ["a2"]
    assert (await listed(one, tagged))[0] == []
    for token in ("-1", "x", "9" * 30):
        assert (await refused(listed(limit=1, token=token)))[0] == "INVALID_ARGUMENT"
    assert (await refused(listed(pb.SinglePropertyFilter())))[0] == "INVALID_ARGUMENT"


async def test_datasets_are_listed_by_the_parts_of_their_name(served):
    for version in ("1", "2"):
        request = dataset()
        request.dataset.id.version = version
        await served.stub.CreateDataset(request)

    async def listed(**part: str) -> list[str]:
        wanted = pb.SinglePropertyFilter(dataset_filter=pb.DatasetPropertyFilter(**part))
        request = pb.ListDatasetsRequest(filter=pb.FilterExpression(filters=[wanted]))
        return [one.id.version for one in (await served.stub.ListDatasets(request)).datasets]

    assert await listed(name=DATASET.name) == ["2", "1"]
    assert await listed(version="1") == ["1"]
    assert await listed(project="other") == []
    assert (await refused(listed()))[0] == "INVALID_ARGUMENT"


async def test_a_reservation_has_one_owner_until_it_expires_or_is_released(served):
    async def owner(name: str, seconds: float = 5.0) -> str:
        answer = await served.stub.GetOrExtendReservation(reservation(name, seconds))
        return str(answer.reservation.owner_id)

    async def release(name: str) -> None:
        where = reservation(name).reservation_id
        await served.stub.ReleaseReservation(
            pb.ReleaseReservationRequest(reservation_id=where, owner_id=name)
        )

    await release("a")
    assert await owner("a") == "a"
    assert await owner("b") == "a"
    served.clock.move(14)
    assert await owner("a") == "a"
    served.clock.move(14)
    assert await owner("b") == "a"
    served.clock.move(2)
    assert await owner("b") == "b"
    await release("a")
    assert await owner("a") == "b"
    await release("b")
    assert await owner("a") == "a"


async def test_a_heartbeat_is_ten_seconds_at_most_and_something_at_least(served):
    answer = await served.stub.GetOrExtendReservation(reservation("a", 3600))
    assert answer.reservation.heartbeat_interval.seconds == 10
    left = answer.reservation.expires_at.ToDatetime() - served.clock.now().replace(tzinfo=None)
    assert left == timedelta(seconds=30)
    for wrong in (reservation("a", 0), reservation("")):
        assert (await refused(served.stub.GetOrExtendReservation(wrong)))[0] == "INVALID_ARGUMENT"


async def test_of_many_who_reserve_at_once_one_gets_it(served):
    asked = [served.stub.GetOrExtendReservation(reservation(f"owner{number}")) for number in range(30)]
    owners = {answer.reservation.owner_id for answer in await asyncio.gather(*asked)}
    assert len(owners) == 1
