"""The console over real HTTP: what its pages say, where they lead, and what they refuse."""

from typing import Any

import httpx
from flyteidl.admin import execution_pb2
from flyteidl.core import literals_pb2
from lacewing.services.console.address import execution_path, log_path, node_path
from lacewing.services.rpc import Call

PLACE = "/console/projects/flytesnacks/domains/development"


def text(value: str) -> literals_pb2.Literal:
    return literals_pb2.Literal(
        scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(string_value=value))
    )


async def test_every_way_in_leads_to_the_list(served: Any):
    for path in (
        "/",
        "/console",
        "/console/",
        "/console/projects",
        "/console/projects/flytesnacks",
        "/console/projects/flytesnacks/executions?domain=development",
        PLACE,
        "/console/executions?project=flytesnacks&domain=development",
    ):
        answer = await served.http.get(path, follow_redirects=True)
        assert (answer.status_code, answer.url.path) == (200, f"{PLACE}/executions"), path
        assert "There is no execution here." in answer.text


async def test_the_list_has_pages_and_a_phase(served: Any, story: Any):
    task = await story.register()
    names = [f"run{number:02}" for number in range(27)]
    for name in names:
        identifier = await story.launch(task, name)
    await story.run(identifier, "RUNNING", 1)
    first = (await served.http.get(f"{PLACE}/executions")).text
    assert [name for name in names if f">{name}<" in first] == names[2:]
    older = first.split('id="older" href="')[1].split('"')[0].replace("&amp;", "&")
    second = (await served.http.get(older)).text
    assert [name for name in names if f">{name}<" in second] == names[:2]
    running = (await served.http.get(f"{PLACE}/executions?phase=RUNNING")).text
    assert [name for name in names if f">{name}<" in running] == names[-1:]


async def test_a_run_that_fails_shows_its_nodes_attempts_and_traceback(served: Any, story: Any):
    task = await story.register()
    run = await story.launch(task, "run1")
    await story.run(run, "RUNNING", 1)
    await story.node(run, "n0", "QUEUED", 1, input_uri=story.store("in", word=text("<script>alert(1)")))
    node = await story.node(run, "n0", "RUNNING", 2)
    await story.attempt(node, task, 0, "RUNNING", 2)
    lost = {"code": "Interrupted", "message": "the first one was lost"}
    await story.attempt(node, task, 0, "FAILED", 3, error=lost)
    await story.attempt(node, task, 1, "RUNNING", 4)
    alive = await story.page(run)
    assert 'data-refresh="1010"' in alive
    assert '<meta http-equiv="refresh"' in alive
    error = {"code": "USER:ValueError", "message": "Traceback (most recent call last):\nValueError: <b>"}
    await story.attempt(node, task, 1, "FAILED", 6, error=error)
    await story.node(run, "n0", "FAILED", 6, error=error)
    await story.run(run, "FAILED", 7, error=error)
    story.write_log(node, 0, b"the first words\n")
    page = await story.page(run)
    assert 'data-refresh="0"' in page
    assert "http-equiv" not in page
    assert "Traceback (most recent call last):\nValueError: &lt;b&gt;" in page
    assert ">probe<" in page
    assert '<td class="number">2</td>' in page
    assert page.count('<td class="number">4.0 s</td>') == 1
    assert node_path(node) in page
    shown = await story.page(node)
    assert "&lt;script&gt;alert(1)" in shown
    assert "the first one was lost" in shown
    assert "the first words" in shown
    assert shown.count("ValueError: &lt;b&gt;") == 1
    assert shown.index("Attempt 2") < shown.index("Attempt 1")


async def test_only_the_part_that_changes_is_sent_for_a_refresh(served: Any, story: Any):
    run = await story.launch(await story.register(), "run1")
    whole, part = await story.page(run), await story.page(run, part="main")
    assert "<!doctype html>" not in part
    assert part.strip().startswith("<div data-refresh")
    assert "<main" in whole


async def test_what_is_not_there_is_a_page_that_names_it(served: Any, story: Any):
    run = await story.launch(await story.register(), "run1")
    for path, words in (
        (f"{PLACE}/executions/nope", "There is no execution nope in flytesnacks, development."),
        (f"{execution_path(run)}/nodes/n7", "There is no node n7 in run1, or not yet."),
        ("/console/projects/nope/domains/development/executions", "there is no project &#39;nope&#39;"),
        ("/console/projects/flytesnacks/domains/nope/executions", "there is no domain &#39;nope&#39;"),
        ("/console/what/is/this", "the console has no page /console/what/is/this"),
    ):
        answer = await served.http.get(path)
        assert (answer.status_code, "<h1>Not found</h1>" in answer.text) == (404, True), path
        assert words in answer.text
        assert 'href="/console' in answer.text
    assert (await served.http.get(f"{PLACE}/executions?phase=nope")).status_code == 400


async def log_of(story: Any, text: bytes) -> tuple[Any, str]:
    task = await story.register()
    run = await story.launch(task, "run1")
    await story.run(run, "RUNNING", 1)
    node = await story.node(run, "n0", "RUNNING", 2)
    await story.attempt(node, task, 0, "RUNNING", 2)
    story.write_log(node, 0, text)
    return node, log_path(node, 0)


async def test_a_log_is_plain_text_in_any_part(served: Any, story: Any):
    _, path = await log_of(story, "<p>é\n".encode() * 200_000)
    whole = await served.http.get(path)
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.text == "<p>é\n" * 200_000
    for wanted, start, stop in (
        ("bytes=0-3", 0, 4),
        ("bytes=600000-", 600_000, 1_200_000),
        ("bytes=-6", 1_199_994, 1_200_000),
        ("bytes=1199999-9999999", 1_199_999, 1_200_000),
    ):
        part = await served.http.get(path, headers={"range": wanted})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/1200000"
        assert part.content == whole.content[start:stop]
    beyond = await served.http.get(path, headers={"range": "bytes=1200000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */1200000")


async def test_a_page_shows_the_end_of_a_long_log(served: Any, story: Any):
    node, _ = await log_of(story, b"".join(b"line %d\n" % number for number in range(100_000)))
    page = await story.page(node)
    assert "line 99999\n" in page
    assert "its first 1.0 MB are not shown here" in page
    assert len(page) < 80_000


async def test_no_request_and_no_event_reads_another_file(served: Any, story: Any):
    node, path = await log_of(story, b"mine")
    (served.root / "log.txt").write_text("secret")
    task = await story.task_of(node)
    for wrong in (
        path.replace("attempts/0", "attempts/1"),
        path.replace("attempts/0", "attempts/..%2f0"),
        path.replace("/n0/", "/..%2f..%2f../"),
    ):
        answer = await served.http.get(wrong)
        assert answer.status_code == 404
        assert "secret" not in answer.text
    await story.attempt(node, task, 1, "RUNNING", 5, pod="../../..")
    answer = await served.http.get(log_path(node, 1))
    assert answer.status_code == 404


async def test_the_button_ends_a_run_and_another_site_does_not(served: Any, story: Any):
    run = await story.launch(await story.register(), "run1")
    assert "Terminate</button>" in await story.page(run)
    path = f"{execution_path(run)}/terminate"
    foreign = await served.http.post(path, headers={"origin": "http://elsewhere.example"})
    crossing = await served.http.post(path, headers={"sec-fetch-site": "cross-site"})
    assert (foreign.status_code, crossing.status_code) == (403, 403)
    own = {"origin": str(served.http.base_url).rstrip("/")}
    answer: httpx.Response = await served.http.post(path, headers=own)
    assert (answer.status_code, answer.headers["location"]) == (303, execution_path(run))
    page = await story.page(run)
    assert "terminated in the console" in page
    assert "Terminate</button>" not in page
    request = execution_pb2.WorkflowExecutionGetRequest(id=run)
    assert (await story.admin.GetExecution(request, Call("test"))).closure.abort_metadata.cause


async def test_the_other_button_runs_it_again(served: Any, story: Any):
    run = await story.launch(await story.register(), "run1")
    assert "Relaunch</button>" in await story.page(run)
    answer = await served.http.post(f"{execution_path(run)}/relaunch", follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url.path.startswith(f"{PLACE}/executions/")
    assert answer.url.path != execution_path(run)
    assert "probe" in answer.text


async def test_what_cannot_be_ended_says_why(served: Any, story: Any):
    run = await story.launch(await story.register(), "run1")
    await story.run(run, "RUNNING", 1)
    await story.run(run, "SUCCEEDED", 2)
    answer = await served.http.post(f"{execution_path(run)}/terminate")
    assert answer.status_code == 400
    assert "already terminated" in answer.text
    assert f'href="{PLACE}/executions"' in answer.text


async def test_pages_load_nothing_from_elsewhere(served: Any, story: Any):
    run = await story.launch(await story.register(), "run1")
    answer = await served.http.get(execution_path(run))
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text.replace("http-equiv", "")
    assert "https://" not in answer.text
    for asset, kind in (("console.css", "text/css"), ("console.js", "javascript")):
        found = await served.http.get(f"/console/static/{asset}")
        assert found.status_code == 200
        assert kind in found.headers["content-type"]
