"""Checks of bindings: what a node is given against what it asks for. Pure, but for one thing.

Rules: propeller.md, section 1.4. A promise that names no node means the start node, and is made to say so.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flyteidl.core import literals_pb2, types_pb2
from flyteidl.core.types_pb2 import LiteralType

from lacewing.compiler.problems import Problem, Problems
from lacewing.compiler.types import (
    NONE,
    UNKNOWN,
    Types,
    castable,
    fitting,
    offloaded_type,
    optional,
    scalar_type,
    type_text,
    union_of,
)
from lacewing.errors import InvalidArgument
from lacewing.model.ids import START_NODE

Outputs = Mapping[str, Types | None]
"""What may be read, by node id; None where it cannot be known, since the node is broken itself."""
_PROMISE = re.compile(r"(?:\[(\d+)\]\.)?(\w+)$")
_REFERENCES = ("NodeReferenceNotFound", "VariableNameNotFound", "FieldNotFound", "SyntaxError")


@dataclass(slots=True)
class Bound:
    """What a node is given: the type of each variable, and the nodes that the values come from."""

    types: dict[str, LiteralType] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)


def check_bindings(
    node_id: str,
    bindings: Iterable[literals_pb2.Binding],
    wanted: Types | None,
    outputs: Outputs,
    problems: Problems,
) -> Bound:
    """What `node_id` is given; notes all that is wrong. `wanted` is None where any variable will do."""
    bound = Bound()
    check = _Check(node_id, outputs, problems, bound.sources)
    for binding in bindings:
        name = binding.var
        if wanted is not None and name not in wanted:
            problems.add("VariableNameNotFound", node_id, not_found(name, node_id))
        elif name in bound.types:
            text = f"Input [{name}] is bound more than once."
            problems.add("ParameterBoundMoreThanOnce", node_id, text)
        else:
            found = check.data(name, binding.binding, None if wanted is None else wanted[name])
            bound.types[name] = UNKNOWN if found is None else found
    for name, kind in (wanted or {}).items():
        if name not in bound.types and not optional(kind):
            not_bound(node_id, name, problems)
    return bound


def not_found(name: str, node_id: str) -> str:
    """The words for a variable that is not there."""
    return f"Variable [{name}] not found on node [{node_id}]."


def not_bound(node_id: str, name: str, problems: Problems) -> None:
    """Note that a variable is given nothing."""
    problems.add("ParameterNotBound", node_id, f"Parameter not bound [{name}].")


def mismatch(name: str, found: LiteralType, wanted: LiteralType) -> str:
    """The words for a value of the wrong type."""
    return f"Variable [{name}] (type [{type_text(found)}]) doesn't match expected type [{type_text(wanted)}]."


class _Check:
    """The bindings of one node. Each method answers the type that it found, or None if it is refused."""

    __slots__ = ("node_id", "outputs", "problems", "sources")

    def __init__(self, node_id: str, outputs: Outputs, problems: Problems, sources: set[str]) -> None:
        self.node_id, self.outputs, self.problems, self.sources = node_id, outputs, problems, sources

    def data(
        self, var: str, data: literals_pb2.BindingData, wanted: LiteralType | None
    ) -> LiteralType | None:
        kind = data.WhichOneof("value")
        if kind == "promise":
            return self.promise(var, data.promise, wanted)
        if kind in ("scalar", "offloaded_metadata"):
            return self.constant(var, data, wanted)
        if kind in ("collection", "map"):
            return self.container(var, data, wanted)
        self.problems.need(self.node_id, var)
        return None

    def constant(
        self, var: str, data: literals_pb2.BindingData, wanted: LiteralType | None
    ) -> LiteralType | None:
        try:
            found = (
                scalar_type(data.scalar)
                if data.HasField("scalar")
                else offloaded_type(data.offloaded_metadata)
            )
        except InvalidArgument as error:
            text = f"Failed to validate literal type for [{var}] with err: {error.message}"
            self.problems.add("InvalidLiteralType", self.node_id, text)
            return None
        if wanted is None or castable(found, wanted):
            return self.listed(var, data, wanted, found)
        if not self.ambiguous(var, found, wanted):
            self.problems.add("MismatchingTypes", self.node_id, mismatch(var, found, wanted))
        return None

    def listed(
        self, var: str, data: literals_pb2.BindingData, wanted: LiteralType | None, found: LiteralType
    ) -> LiteralType | None:
        """An enum takes only the values that it lists."""
        if wanted is None or wanted.WhichOneof("type") != "enum_type" or not data.HasField("scalar"):
            return found
        scalar = data.scalar
        while scalar.HasField("union"):
            scalar = scalar.union.value.scalar
        value, values = scalar.primitive.string_value, list(wanted.enum_type.values)
        if value in values:
            return found
        text = (
            f"Input [{var}] on node [{self.node_id}] is an Enum and expects value to be one of {values}."
            f"  Received [{value}]"
        )
        self.problems.add("IllegalEnumValue", self.node_id, text)
        return None

    def ambiguous(self, var: str, found: LiteralType, wanted: LiteralType) -> bool:
        if found.HasField("union_type") or fitting(found, wanted) < 2:
            return False
        self.union_problem(var, type_text(found), wanted, 2)
        return True

    def union_problem(self, var: str, received: str, wanted: LiteralType, fits: int) -> None:
        start = (
            f"Input [{var}] on node [{self.node_id}] expects bindings of union type [{type_text(wanted)}]."
            f"  Received [{received}] which "
        )
        if fits:
            end = "is ambiguous as more than one variant matches."
            self.problems.add("AmbiguousBindingUnionValue", self.node_id, start + end)
        else:
            end = "does not match any of the variants."
            self.problems.add("IncompatibleBindingUnionValue", self.node_id, start + end)

    def container(
        self, var: str, data: literals_pb2.BindingData, wanted: LiteralType | None
    ) -> LiteralType | None:
        field_name = "collection_type" if data.HasField("collection") else "map_value_type"
        items = data.collection.bindings or data.map.bindings.values()
        if wanted is None:
            types = [found for item in items if (found := self.data(var, item, None)) is not None]
            return LiteralType(**{field_name: union_of(types) if types else NONE})
        if wanted.HasField("union_type"):
            return self.into_union(var, data, wanted)
        if not wanted.HasField(field_name):
            text = (
                f"Input [{var}] on node [{self.node_id}] expects bindings of type [{type_text(wanted)}]."
                f"  Received [{data.WhichOneof('value')}]"
            )
            self.problems.add("MismatchingBindings", self.node_id, text)
            return None
        inner = getattr(wanted, field_name)
        found = [self.data(var, item, inner) for item in items]
        return wanted if None not in found else None

    def into_union(self, var: str, data: literals_pb2.BindingData, wanted: LiteralType) -> LiteralType | None:
        fits: list[LiteralType] = []
        trials: list[Problem] = []
        for variant in wanted.union_type.variants:
            trial = Problems()
            found = _Check(self.node_id, self.outputs, trial, self.sources).data(var, data, variant)
            if found is not None:
                fits.append(found)
            trials += [problem for problem in trial if problem.code in _REFERENCES]
        if len(fits) == 1:
            return fits[0]
        if not fits and trials:
            # What is missing explains more than that no variant fits.
            self.problems += trials
        else:
            self.union_problem(var, str(data.WhichOneof("value")), wanted, len(fits))
        return None

    def promise(
        self, var: str, promise: types_pb2.OutputReference, wanted: LiteralType | None
    ) -> LiteralType | None:
        if not promise.node_id:
            promise.node_id = START_NODE
        found = self.output(var, promise)
        for step in promise.attr_path if found is not None else ():
            found = self.attribute(promise, found, step)
            if found is None:
                return None
        if found is None or wanted is None or found == UNKNOWN or castable(found, wanted):
            return found
        if not self.ambiguous(var, found, wanted):
            text = (
                f"The output variable '{promise.node_id}.{promise.var}' has type [{type_text(found)}], but"
                f" it's assigned to the input variable '{self.node_id}.{var}' which has type"
                f" [{type_text(wanted)}]."
            )
            self.problems.add("MismatchingTypes", self.node_id, text)
        return None

    def output(self, var: str, promise: types_pb2.OutputReference) -> LiteralType | None:
        """The type of the variable that a promise names, before its path."""
        source = promise.node_id
        match = _PROMISE.match(promise.var)
        if match is None:
            self.problems.add("SyntaxError", self.node_id, f"Failed to parse element [{promise.var}].")
            return None
        index, name = match.groups()
        try:
            outputs = self.outputs[source]
        except KeyError:
            text = f"Referenced node [{source}] not found."
            self.problems.add("NodeReferenceNotFound", self.node_id, text)
            not_bound(self.node_id, var, self.problems)
            return None
        self.sources.add(source)
        if outputs is None:
            return UNKNOWN
        found = outputs.get(name)
        if found is None:
            self.problems.add("VariableNameNotFound", source, not_found(name, source))
            not_bound(self.node_id, var, self.problems)
        elif index is not None:
            if not found.HasField("collection_type"):
                shown = type_text(found)
                text = f"The output variable '{source}.{name}' has type [{shown}], which has no index."
                self.problems.add("MismatchingTypes", self.node_id, text)
                return None
            return found.collection_type
        return found

    def attribute(
        self, promise: types_pb2.OutputReference, found: LiteralType, step: types_pb2.PromiseAttribute
    ) -> LiteralType | None:
        if found.HasField("collection_type"):
            return found.collection_type
        if found.HasField("map_value_type"):
            return found.map_value_type
        fields = found.structure.dataclass_type
        if not fields:
            # A struct that tells nothing of what is inside: the run will tell.
            return UNKNOWN if found.simple == types_pb2.STRUCT else found
        if step.string_value in fields:
            return fields[step.string_value]
        text = (
            f"Variable [{promise.var}] (type [{type_text(found)}]) doesn't have field [{step.string_value}]."
        )
        self.problems.add("FieldNotFound", self.node_id, text)
        return None
