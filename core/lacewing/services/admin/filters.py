"""The text of filters, read into conditions. Rules: contract "admin", section 5.1.

Every value is read as its column's type here, so that no text of a client ever fails in the database.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flyteidl.admin import common_pb2, execution_pb2, launch_plan_pb2, project_pb2
from flyteidl.core import identifier_pb2
from sqlalchemy import ColumnElement, Float, Integer, LargeBinary, Text, cast

from lacewing.errors import InvalidArgument

Value = str | int | float | bytes
_FORM = re.compile(r"([^(]+)\(([^,]+),\s?(.+)\)", re.DOTALL)
_MOST_FILTERS, _MOST_VALUES = 100, 1000
_INTEGER_LIMIT = 2**63
_FUNCTIONS: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "eq": lambda column, value: column == value,
    "ne": lambda column, value: column != value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
}
_PATTERNS = ("contains", "not_like")
_SETS = ("value_in", "value_not_in")
_STATES: Mapping[str, Any] = {
    "executions.state": execution_pb2.ExecutionState,
    "executions.mode": execution_pb2.ExecutionMetadata.ExecutionMode,
    "launch_plans.state": launch_plan_pb2.LaunchPlanState,
    "projects.state": project_pb2.Project.ProjectState,
    "entities.state": common_pb2.NamedEntityState,
    "entities.resource_type": identifier_pb2.ResourceType,
    "description_entities.resource_type": identifier_pb2.ResourceType,
}
_SPAN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition as written: `function(prefix.field,value)`. Only sets have several values."""

    function: str
    prefix: str
    field: str
    values: tuple[str, ...]


def parse_filters(text: str) -> tuple[Filter, ...]:
    """The conditions of a request, joined there by `+`. Raises InvalidArgument."""
    parts = text.split("+") if text else []
    if len(parts) > _MOST_FILTERS:
        raise InvalidArgument(f"invalid value for filters: more than {_MOST_FILTERS} conditions")
    return tuple(_parse(part) for part in parts)


def _parse(part: str) -> Filter:
    match = _FORM.fullmatch(part.strip())
    if match is None:
        raise InvalidArgument("invalid value for filters")
    function, name, value = (group.strip() for group in match.groups())
    if function not in (*_FUNCTIONS, *_PATTERNS, *_SETS):
        raise InvalidArgument(f"unrecognized filter function: {function}")
    prefix, _, field = name.rpartition(".")
    values = tuple(value.split(";")) if function in _SETS else (value,)
    if len(values) > _MOST_VALUES:
        raise InvalidArgument(f"invalid value for filters: more than {_MOST_VALUES} values for {name}")
    return Filter(function, prefix, field, values)


def condition(one: Filter, owner: str, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """The filter on a column of the table `owner`. Raises InvalidArgument for a value of another type."""
    if one.function in _PATTERNS:
        found = cast(column, Text).bool_op("GLOB")(_glob(one))
        return found if one.function == "contains" else ~found
    values = [_value(one, owner, column, text.strip()) for text in one.values]
    if one.function in _SETS:
        return column.in_(values) if one.function == "value_in" else column.not_in(values)
    return _FUNCTIONS[one.function](column, values[0])


def _glob(one: Filter) -> str:
    # SQLite's LIKE knows no case; PostgreSQL's, which clients rely on, does. GLOB does too.
    pattern = one.values[0] if one.function == "not_like" else f"%{one.values[0]}%"
    escaped = re.sub(r"([*?\[])", r"[\1]", pattern)
    return escaped.replace("%", "*").replace("_", "?")


def _value(one: Filter, owner: str, column: ColumnElement[Any], text: str) -> Value:
    try:
        return _read(owner, one.field, column, text)
    except (ValueError, OverflowError):
        raise InvalidArgument(f"invalid value {text!r} for filter on {one.field}") from None


def _read(owner: str, field: str, column: ColumnElement[Any], text: str) -> Value:
    if field.endswith("_at"):
        return _time(text)
    if isinstance(column.type, Float):
        return _seconds(text)
    if isinstance(column.type, Integer):
        states = _STATES.get(f"{owner}.{field}")
        if states is not None and text in states.keys():  # noqa: SIM118 (an enum wrapper is no mapping)
            return int(states.Value(text))
        number = int(text)
        if abs(number) >= _INTEGER_LIMIT:
            raise ValueError(text)
        return number
    if isinstance(column.type, LargeBinary):
        return bytes.fromhex(text)
    return text


def _time(text: str) -> str:
    at = datetime.fromisoformat(text)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    # strftime does not pad years before 1000, and times compare as text.
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        sign, body = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
        spans = list(_SPAN.finditer(body))
        if not body or "".join(span.group() for span in spans) != body:
            raise
        found = sign * sum(float(span[1]) * _UNITS[span[2]] for span in spans)
    timedelta(seconds=found)  # refuses what is no length of time: nan, infinity
    return found
