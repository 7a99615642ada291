"""The grammar of filters, sort keys and tokens, on a real SQLite."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import common_pb2
from hypothesis import given
from hypothesis import strategies as st
from lacewing.adapters.sql import metadata, open_engine
from lacewing.errors import InvalidArgument
from lacewing.services import db
from lacewing.services.admin.filters import Filter, parse_filters
from lacewing.services.admin.listing import (
    EXECUTIONS,
    NODE_EXECUTIONS,
    PROJECTS,
    TASKS,
    has_filter,
    list_rows,
)
from sqlalchemy import Connection, insert

RUN = {"execution_project": "p", "execution_domain": "d"}
ASCENDING, DESCENDING = common_pb2.Sort.ASCENDING, common_pb2.Sort.DESCENDING


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = open_engine(f"sqlite:///{tmp_path}/db")
    metadata.create_all(engine)
    with engine.begin() as connection:
        fill(connection)
        yield connection
    engine.dispose()


def fill(connection: Connection) -> None:
    plans = [{"id": 1, "name": "flow", "workflow_id": 1}, {"id": 2, "name": "Flow", "workflow_id": 1}]
    connection.execute(insert(db.launch_plans).values(closure=b"", spec=b"", digest=b""), plans)
    for number, phase, plan, duration in (
        (1, "SUCCEEDED", 1, 90.0),
        (2, "FAILED", 2, 5.0),
        (3, "FAILED", 1, None),
    ):
        values = {
            **RUN,
            "execution_name": f"e{number}",
            "phase": phase,
            "launch_plan_id": plan,
            "duration": duration,
            "mode": number % 2,
            "error_kind": "USER" if phase == "FAILED" else "",
            "created_at": f"2026-01-0{number}T00:00:00.000000Z",
        }
        connection.execute(insert(db.executions).values(values))
    tags = [("e1", "team", "a"), ("e1", "area", "b"), ("e2", "team", "b")]
    for name, key, value in tags:
        connection.execute(insert(db.execution_tags).values(**RUN, execution_name=name, key=key, value=value))
    connection.execute(
        insert(db.execution_tags).values(
            execution_project="p", execution_domain="other", execution_name="e3", key="team", value="a"
        )
    )


def names(connection: Connection, filters: str = "", **options: Any) -> list[str]:
    options.setdefault("limit", 100)
    rows, _ = list_rows(connection, EXECUTIONS, scope=RUN, filters=filters, **options)
    return [row.execution_name for row in rows]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("", "e1 e2 e3"),
        ("eq(phase,FAILED)", "e2 e3"),
        ("eq(phase,4)", ""),
        ("eq(phase, FAILED)+ne(execution_name,e2)", "e3"),
        ("value_in(phase,FAILED;SUCCEEDED)", "e1 e2 e3"),
        ("value_not_in(execution_name,e1;e3)", "e2"),
        ("contains(execution_name,E)", ""),
        ("contains(execution_name,_1)", "e1"),
        ("not_like(execution_name,e1)", "e2 e3"),
        ("gte(duration,1)", "e1 e2"),
        ("gt(duration,1m29.5s)", "e1"),
        ("lt(duration,5001ms)", "e2"),
        ("gt(created_at,2026-01-01T01:00:00-23:00)", "e3"),
        ("lte(created_at,2026-01-02T00:00:00.000000000Z)", "e1 e2"),
        ("eq(mode,1)", "e1 e3"),
        ("eq(mode,SCHEDULED)", "e1 e3"),
        ("eq(state,EXECUTION_ACTIVE)", "e1 e2 e3"),
        ("eq(execution.error_kind,USER)", "e2 e3"),
        ("eq(launch_plan.name,flow)", "e1 e3"),
        ("eq(launch_plan.name,flow)+eq(phase,FAILED)", "e3"),
        ("eq(admin_tag.name,team)", "e1 e2"),
        ("value_in(admin_tag.name,team;area)", "e1 e2"),
        ("eq(execution_tag.key,team)+eq(execution_tag.value,b)", "e2"),
        ("eq(execution_name,it's)", ""),
        ("eq(execution_name,a,b(c))", ""),
    ],
)
def test_filters_find_what_they_say_and_each_row_once(connection: Connection, filters: str, found: str):
    assert names(connection, filters) == found.split()


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ("nonsense", "invalid value for filters"),
        ("eq(name,)", "invalid value for filters"),
        ("eq(phase,A)+", "invalid value for filters"),
        ("bogus(name,a)", "unrecognized filter function: bogus"),
        ("eq(name,a)", "'e.name' is invalid filter"),
        ("eq(spec,00)", "'e.spec' is invalid filter"),
        ("eq(launch_plan.bogus,a)", "'l.bogus' is invalid filter"),
        ("eq(node_execution.phase,a)", "'ne' entity is not allowed in filters"),
        ("eq(mode,MANUALLY)", "invalid value 'MANUALLY'"),
        ("eq(id,99999999999999999999)", "invalid value"),
        ("gt(created_at,yesterday)", "invalid value 'yesterday'"),
        ("gt(created_at,9999-12-31T23:59:59-23:00)", "invalid value"),
        ("gt(duration,long)", "invalid value 'long'"),
        ("gt(duration,nan)", "invalid value 'nan'"),
        ("eq(launch_plan.digest,zz)", "invalid value 'zz'"),
        ("value_in(phase," + "a;" * 1000 + "a)", "more than 1000 values"),
        ("+".join(["eq(phase,a)"] * 101), "more than 100 conditions"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_by_name(connection: Connection, filters: str, words: str):
    with pytest.raises(InvalidArgument) as refused:
        names(connection, filters)
    assert words in refused.value.message


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str):
    try:
        found = parse_filters(text)
    except InvalidArgument:
        return
    assert all(isinstance(one, Filter) and one.field and one.values for one in found)


@pytest.mark.parametrize("column", sorted(EXECUTIONS.columns))
def test_every_value_on_every_column_is_answered_or_refused(connection: Connection, column: str):
    for value in ("1", "-1", "x", "²", "1e400", "9" * 5000, "2026-01-01", "1h", "[", "00", "a;b", "None"):
        for function in ("eq", "gt", "contains", "not_like", "value_in"):
            with contextlib.suppress(InvalidArgument):
                names(connection, f"{function}({column},{value})")


def test_equal_rows_keep_their_order_over_pages(connection: Connection):
    for direction, found in ((ASCENDING, ["e2", "e3", "e1"]), (DESCENDING, ["e1", "e3", "e2"])):
        sort_by, seen, token = common_pb2.Sort(key="phase", direction=direction), [], ""
        for _ in range(3):
            rows, token = list_rows(connection, EXECUTIONS, scope=RUN, limit=1, token=token, sort_by=sort_by)
            seen += [row.execution_name for row in rows]
        assert (seen, token) == (found, "3")
        assert list_rows(connection, EXECUTIONS, scope=RUN, limit=1, token=token) == ([], "")


def test_a_page_that_is_not_full_is_the_last(connection: Connection):
    assert list_rows(connection, EXECUTIONS, scope=RUN, limit=4)[1] == ""
    assert list_rows(connection, EXECUTIONS, scope=RUN, limit=2, token="1")[1] == "3"
    assert len(list_rows(connection, EXECUTIONS, scope=RUN, limit=0, require_limit=False)[0]) == 3


@pytest.mark.parametrize("token", ["-1", "x", "²", "1.5", " 1", "9" * 30])
def test_a_token_that_is_no_offset_is_refused(connection: Connection, token: str):
    with pytest.raises(InvalidArgument, match=r"invalid pagination token .* for ListTasks"):
        list_rows(connection, TASKS, scope={}, limit=1, token=token)


def test_a_list_needs_a_limit_and_a_known_sort_key(connection: Connection):
    with pytest.raises(InvalidArgument, match="invalid value for limit"):
        list_rows(connection, TASKS, scope={}, limit=0)
    for key in ("version; drop", "closure", "workflow.name"):
        with pytest.raises(InvalidArgument, match=f"invalid sort key '{key}'"):
            list_rows(connection, TASKS, scope={}, limit=1, sort_by=common_pb2.Sort(key=key))


def test_nodes_are_found_by_their_execution(connection: Connection):
    for number in (1, 2):
        values = {**RUN, "execution_name": f"e{number}", "node_id": "n0", "metadata": b"", "closure": b""}
        connection.execute(insert(db.node_executions).values(values))
    rows, _ = list_rows(connection, NODE_EXECUTIONS, scope=RUN, filters="eq(execution.phase,FAILED)", limit=9)
    assert [row.execution_name for row in rows] == ["e2"]


def test_it_is_known_whether_a_filter_names_a_column():
    assert has_filter(EXECUTIONS, "eq(state,1)", "state")
    assert has_filter(EXECUTIONS, "eq(execution.state,1)", "state")
    assert not has_filter(EXECUTIONS, "eq(launch_plan.state,1)", "state")
    assert not has_filter(PROJECTS, "", "state")
