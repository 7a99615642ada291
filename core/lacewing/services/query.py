"""Values of a URL, put into a message: `id.name`, `sort_by.key`, `limit`.

Names are those of the proto or of JSON. One that the message lacks is ignored, as Flyte's gateway does; a
value that does not fit is an InvalidArgument that names the parameter.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from lacewing.errors import InvalidArgument
from lacewing.services.codec import WELL_KNOWN, merge_json

_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


def set_values(message: Message, values: Iterable[tuple[str, str]]) -> None:
    """Set each name, dotted paths included, to its value or, if it is repeated, its values."""
    grouped: dict[tuple[FieldDescriptor, ...], list[str]] = {}
    names: dict[tuple[FieldDescriptor, ...], str] = {}
    for name, value in values:
        fields = _fields(message.DESCRIPTOR, name)  # type: ignore[arg-type]  # upb's own class
        if fields:
            grouped.setdefault(fields, []).append(value)
            names.setdefault(fields, name)
    for fields, texts in grouped.items():
        try:
            merge_json(_nested(fields, texts), message)
        except InvalidArgument as error:
            raise InvalidArgument(f'parsing field "{names[fields]}": {error.message}') from None


def _fields(start: Descriptor, name: str) -> tuple[FieldDescriptor, ...]:
    """The fields that the dotted name leads through; none if there is no such field."""
    descriptor: Descriptor | None = start
    fields: list[FieldDescriptor] = []
    for part in name.split("."):
        if descriptor is None:
            return ()
        field = descriptor.fields_by_name.get(part) or descriptor.fields_by_camelcase_name.get(part)
        if field is None or (fields and fields[-1].is_repeated):
            return ()
        fields.append(field)
        descriptor = field.message_type
    return tuple(fields)


def _nested(fields: tuple[FieldDescriptor, ...], texts: list[str]) -> dict[str, Any]:
    last = fields[-1]
    if last.message_type is not None and not last.message_type.full_name.startswith(WELL_KNOWN):
        raise InvalidArgument("it is a message; set its own fields, as in NAME.FIELD")
    if not last.is_repeated and len(texts) > 1:
        raise InvalidArgument(f"it takes one value, not {len(texts)}")
    values = [_value(last, text) for text in texts]
    data: Any = values if last.is_repeated else values[0]
    for field in reversed(fields):
        data = {field.name: data}
    result: dict[str, Any] = data
    return result


def _value(field: FieldDescriptor, text: str) -> Any:
    """The text as proto JSON has it; only truth is no string there."""
    if field.type == FieldDescriptor.TYPE_BOOL or (
        field.message_type is not None and field.message_type.full_name == "google.protobuf.BoolValue"
    ):
        if text not in _TRUE + _FALSE:
            raise InvalidArgument(f"{text!r} is neither true nor false")
        return text in _TRUE
    return text
