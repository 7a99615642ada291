"""Single questions, good and bad, over gRPC and HTTP: our answers against those of the reference server.

They are asked in the recorded order, since some of them change what later ones find.
"""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from client import PLACE, Client, running_demo
from recorded import DATA, answers, differences, normal

DIFFERENT = {
    31: ("", "ours filters lists of names"),
    32: ("INVALID_ARGUMENT", "ours has one set of words for a missing limit"),
    36: ("NOT_FOUND", "theirs answers some task where none is named"),
    55: ("INVALID_ARGUMENT", "ours shows what differs, theirs all of it"),
    96: ("", "theirs has a token after the last page"),
    97: ("ALREADY_EXISTS", "theirs speaks in the database's words"),
    118: ("", "ours names no wrong length of the content"),
    120: ("", "ours names no wrong length of the content"),
    122: ("INVALID_ARGUMENT", "ours signs URLs for its own store only"),
    126: (200, "the versions are those of the servers"),
    137: (400, "the words are those of the languages' parsers"),
    162: (400, "the words are those of the languages' parsers"),
    163: (400, "the words are those of the languages' parsers"),
    167: (307, "ours leads to the console"),
    176: ("", "the aborted task had begun to run here"),
    178: ("ALREADY_EXISTS", "theirs speaks in the database's words"),
    193: ("NOT_FOUND", "ours names the attempt too"),
}
"""Where ours answers otherwise on purpose: the code or status of our answer, and what differs."""
MOMENT, ANY_ORDER = 176, 200
"""Whether an aborted task had begun is a matter of moments; signals are listed in any order."""
OTHER_ROWS = {1, 3, 4, 5, 18, 21, 24, 25, 26, 152, 181, 186, 187, 206}
"""Lists that begin with other rows: more were there, and ours come by age where no order is asked for."""
DOCUMENT = 168
"""Swagger: theirs is recorded in part and made from comments too; tests of its own hold ours."""
MODULES = ("basics", "failures", "cache", "control")
CASES = ("failures.to_abort", "failures.wf_always_recoverable", "failures.wf_raises", "basics.chain")
CONTROL = ("control.mapped", "control.dynamic_wf", "control.gates")
CASE = re.compile(r"<(\w+\.\w+)>")
NOBODY = "a" + 19 * "x"
"""The name of an execution that there is not: of a case that cannot run yet."""
RECORDED = answers()
ALIKE = [n for n in range(len(RECORDED)) if n not in DIFFERENT]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def lost(number: int) -> list[tuple[str, dict[str, Any]]]:
    """What was asked before this question and is not in the sample, though answers show that it was."""
    known = {"id": {**PLACE, "resource_type": "LAUNCH_PLAN", "name": "probe.lp", "version": "v1"}}
    project = {"id": "probe-a", "name": "Renamed", "description": "d", "state": "ARCHIVED"}
    asked: dict[int, tuple[str, dict[str, Any]]] = {
        42: ("AdminService/CreateTask", RECORDED[42]["request"]),
        77: ("AdminService/UpdateLaunchPlan", {**known, "state": "ACTIVE"}),
        97: ("AdminService/RegisterProject", RECORDED[97]["request"]),
        102: ("AdminService/UpdateProject", project),
        105: (
            "AdminService/UpdateNamedEntity",
            RECORDED[105]["request"] | {"metadata": {"description": "hello"}},
        ),
        110: ("AdminService/UpdateProjectDomainAttributes", RECORDED[110]["answer"]),
    }
    return [asked[number]] if number in asked else []


async def prepare(client: Client, code: Path) -> dict[str, str]:
    """Bring the server into the recorded state; the names of the executions by their case."""
    for task in RECORDED[10]["answer"]["tasks"]:
        spec = {"template": task["closure"]["compiled_task"]["template"]}
        await client.ask("AdminService/CreateTask", {"id": task["id"], "spec": spec})
    for version in ("sample1", "sample2"):
        await client.register(code, version, MODULES)
    versions = {name: "sample2" if name == "basics.chain" else "sample1" for name in CASES}
    more = ("basics.chain", "basics.chain", "basics.chain", "failures.wf_raises")
    started = [await client.start(name, "sample1", {}, {}) for name in more]
    started += [await client.start(name, version, {}, {}) for name, version in versions.items()]
    asleep = started.pop(len(more))
    started += [await client.start(name, "sample1", {}, {}) for name in CONTROL]
    await client.signal(started[-1], {"number": {"integer": 5}, "ok": {"boolean": True}})
    await asyncio.gather(*(client.end(one) for one in started))
    # A list asks for what took longer than a second.
    await asyncio.sleep(1)
    await client.abort_at(asleep, "n1", "an abort")
    await client.end(asleep)
    started.insert(len(more), asleep)
    return {name: one.name for name, one in zip(CASES + CONTROL, started[len(more) :], strict=True)}


async def ask(client: Client, http: httpx.AsyncClient, question: dict[str, Any]) -> dict[str, Any]:
    """One question, asked as it was recorded, and its answer in the recorded form."""
    if "rpc" in question:
        return await client.ask(question["rpc"], question["request"])
    verb, _, path = question["http"].partition(" ")
    headers = {"accept": question["accept"]}
    if question["body"]:
        headers["content-type"] = "application/json"
    given = await http.request(
        verb, path.replace("{V}", "sample2"), headers=headers, content=question["body"]
    )
    return {
        "status": given.status_code,
        "type": given.headers.get("content-type"),
        "text": given.text,
        "hex": given.content.hex(),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[int, dict[str, Any]]]:
    """What this server answers to every question, by its place among them."""
    folder: Path = tmp_path_factory.mktemp("answers")
    shutil.copytree(DATA / "workflows", folder / "code")
    found = {}
    async with running_demo(folder / "home", slots=8) as client:
        names = await prepare(client, folder / "code")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{client.port}") as http:
            for number, question in enumerate(RECORDED):
                for rpc, request in lost(number):
                    assert "answer" in await client.ask(rpc, request)
                text = json.dumps(question)
                text = CASE.sub(lambda case: names.get(case[1], NOBODY), text)
                found[number] = await ask(client, http, json.loads(text))
    yield {number: normal(one, {str(folder / "home" / "store"): "STORE"}) for number, one in found.items()}


def compared(question: dict[str, Any], number: int) -> Any:
    """The part of an answer that must be equal."""
    if "status" not in question:
        given = question.get("answer")
        if given is None:
            return {"code": question["code"], "details": question["details"]}
        if number == ANY_ORDER:
            return sorted(given["signals"], key=lambda one: str(one["id"]["signal_id"]))
        if number == MOMENT:
            given["span"]["spans"][2]["spans"][2].pop("spans")
            return given
        return (
            {name: only_ids(given[name]) for name in given if name != "token"}
            if number in OTHER_ROWS
            else given
        )
    same = {"status": question["status"], "type": question["type"]}
    if number == DOCUMENT:
        return same
    if question["type"] == "application/json":
        body = json.loads(question["text"])
        return same | {"body": sorted(body) if number in OTHER_ROWS else normal(body, {})}
    # Binary bodies are recorded in part, and sizes differ with names: the first field tells enough.
    return same | {"first byte": (question.get("hex") or "")[:2]}


def only_ids(value: Any) -> Any:
    """Of rows, which parts they have and which their ids have."""
    if not isinstance(value, list):
        return value
    return {part for row in value for part in (*row, *row["id"])}


@pytest.mark.parametrize("number", ALIKE)
async def test_a_question_is_answered_as_recorded(ours: dict[int, dict[str, Any]], number: int):
    theirs = normal(RECORDED[number], {"s3://bucket": "STORE"})
    assert not differences(compared(ours[number], number), compared(theirs, number)), theirs


@pytest.mark.parametrize("number", DIFFERENT)
async def test_what_differs_on_purpose_has_its_own_code(ours: dict[int, dict[str, Any]], number: int):
    code, reason = DIFFERENT[number]
    assert ours[number].get("code", ours[number].get("status", "")) == code, reason
    assert compared(ours[number], number) != compared(RECORDED[number], number)


async def test_no_answer_is_an_unknown_error(ours: dict[int, dict[str, Any]]):
    assert not [n for n, one in ours.items() if one.get("code") == "UNKNOWN" or one.get("status") == 500]


async def test_every_question_is_accounted_for(capsys: pytest.CaptureFixture[str]):
    with capsys.disabled():
        print(f"\nanswers alike: {len(ALIKE)} of {len(RECORDED)}; different on purpose: {len(DIFFERENT)}")
    assert len(ALIKE) + len(DIFFERENT) == len(RECORDED)
