"""The words and times of the answers: identifiers as text, refusals, timestamps. Pure.

Clients show these texts; what is said here must stay as the reference server says it.
"""

from datetime import UTC, datetime
from typing import Any

from flyteidl.core import identifier_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from lacewing.errors import InvalidArgument, NotFound


def id_text(message: Message) -> str:
    """A message in one line: `project:"p" domain:"d" name:"n"`, nested ones in braces."""
    return " ".join(_field_text(field, value) for field, value in message.ListFields())


def _field_text(field: FieldDescriptor, value: Any) -> str:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return f"{field.name}:{{{id_text(value)}}}"
    if field.type == FieldDescriptor.TYPE_ENUM:
        names = field.enum_type.values_by_number if field.enum_type is not None else {}
        return f"{field.name}:{names[value].name if value in names else value}"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{field.name}:"{escaped}"'
    return f"{field.name}:{value}"


def missing(kind: str, identifier: Message) -> NotFound:
    """The refusal of a look-up that found nothing. The resource type of an identifier is not shown."""
    shown = type(identifier)()
    shown.CopyFrom(identifier)
    for part in (shown, getattr(shown, "task_id", None)):
        if isinstance(part, identifier_pb2.Identifier):
            part.ClearField("resource_type")
    return NotFound(f"missing entity of type {kind} with identifier {id_text(shown)}")


def enum_name(kind: Any, number: int) -> str:
    """The name of a value of the enum `kind`; raises InvalidArgument for a number that it does not have."""
    try:
        return str(kind.Name(number))
    except ValueError:
        raise InvalidArgument(f"{number} is no {kind.DESCRIPTOR.full_name}") from None


def stamp(time: Timestamp) -> str:
    """A timestamp as columns hold it."""
    whole = datetime.fromtimestamp(time.seconds, UTC).isoformat()
    return f"{whole[:19]}.{time.nanos // 1000:06d}Z"
