"""How messages look over HTTP: binary, or JSON with the names of the proto, or JSON in lowerCamelCase.

Headers choose by exact equality, as Flyte's gateway does (contract "admin", section 0.2). What a client sent
and we cannot read is always an InvalidArgument.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from lacewing.errors import InvalidArgument

BINARY_TYPE, JSON_TYPE = "application/octet-stream", "application/json"
WELL_KNOWN = "google.protobuf."


class Codec(Protocol):
    """One form of messages. `content_type` goes into the answer."""

    content_type: str

    def encode(self, message: Message) -> bytes:
        """The message as bytes."""

    def decode(self, body: bytes, message: Message) -> None:
        """Read the body into the message. Raises InvalidArgument."""


class Binary:
    """Protobuf's own form."""

    content_type = BINARY_TYPE

    def encode(self, message: Message) -> bytes:
        """The message as bytes."""
        return message.SerializeToString()

    def decode(self, body: bytes, message: Message) -> None:
        """Read the body into the message. Raises InvalidArgument."""
        try:
            message.ParseFromString(body)
        except DecodeError as error:
            raise InvalidArgument(f"the body is not a {message.DESCRIPTOR.full_name}: {error}") from None


@dataclass(frozen=True)
class Json:
    """Proto JSON with every field, unset messages as null. Both spellings of names are read."""

    proto_names: bool
    ignore_unknown: bool
    content_type = JSON_TYPE

    def encode(self, message: Message) -> bytes:
        """The message as bytes."""
        data = json_format.MessageToDict(
            message,
            preserving_proto_field_name=self.proto_names,
            always_print_fields_with_no_presence=True,
        )
        self._add_nulls(message.DESCRIPTOR, data)  # type: ignore[arg-type]  # upb's own class
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()

    def decode(self, body: bytes, message: Message) -> None:
        """Read the body into the message; an empty one is an empty message. Raises InvalidArgument."""
        if not body:
            return
        try:
            json_format.Parse(body, message, ignore_unknown_fields=self.ignore_unknown)
        except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidArgument(_first_line(error)) from None

    def _add_nulls(self, descriptor: Descriptor, data: dict[str, Any]) -> None:
        """Say null for messages that are not there, as Go does; members of a oneof stay away."""
        for field in descriptor.fields:
            kind = field.message_type
            if kind is None:
                continue
            name = field.name if self.proto_names else field.json_name
            if name in data:
                inner = _message_type(kind)
                if inner is not None:
                    for one in _values(field, data[name]):
                        self._add_nulls(inner, one)
            elif field.containing_oneof is None:
                data[name] = None


def _message_type(kind: Descriptor) -> Descriptor | None:
    """The type of what is in a field of this type, unless it has a JSON form of its own."""
    inner = kind.fields_by_name["value"].message_type if kind.GetOptions().map_entry else kind
    return None if inner is None or inner.full_name.startswith(WELL_KNOWN) else inner


def _values(field: FieldDescriptor, value: Any) -> Sequence[dict[str, Any]]:
    if not field.is_repeated:
        return [value]
    return list(value.values()) if isinstance(value, dict) else value


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def merge_json(data: Mapping[str, Any], message: Message) -> None:
    """Set what `data` holds, in JSON's forms, on the message. Raises InvalidArgument."""
    try:
        json_format.ParseDict(dict(data), message)
    except json_format.ParseError as error:
        raise InvalidArgument(_first_line(error)) from None


BINARY = Binary()
SNAKE = Json(proto_names=True, ignore_unknown=False)
CAMEL = Json(proto_names=False, ignore_unknown=True)
_CODECS: dict[str, Codec] = {BINARY_TYPE: BINARY, JSON_TYPE: SNAKE}


def choose(accept: Sequence[str], content_type: Sequence[str]) -> tuple[Codec, Codec]:
    """The codec of the request's body and that of the answer, from the values of the two headers."""
    read = next((_CODECS[value] for value in content_type if value in _CODECS), CAMEL)
    return read, next((_CODECS[value] for value in accept if value in _CODECS), read)
