"""Checks of bindings: what a node is given against what it asks for. Pure.

Rules: propeller.md, section 1.4.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from flyteidl.core import interface_pb2, literals_pb2, types_pb2
from flyteidl.core.types_pb2 import LiteralType

from lacewing.compiler.problems import Problems
from lacewing.compiler.types import castable, fitting, literal_type, optional, type_text
from lacewing.errors import InvalidArgument
from lacewing.model.ids import START_NODE

Variables = Mapping[str, interface_pb2.Variable]
Interfaces = Mapping[str, Variables]
"""The outputs of every node that may be read, by its id."""
_PROMISE = re.compile(r"(?:\[(\d+)\]\.)?(\w+)$")


def promises(data: literals_pb2.BindingData) -> Iterator[types_pb2.OutputReference]:
    """Every promise in a binding, however deep."""
    kind = data.WhichOneof("value")
    if kind == "promise":
        yield data.promise
    elif kind == "collection":
        for item in data.collection.bindings:
            yield from promises(item)
    elif kind == "map":
        for item in data.map.bindings.values():
            yield from promises(item)


def check_bindings(
    node_id: str,
    bindings: Sequence[literals_pb2.Binding],
    wanted: Variables,
    outputs: Interfaces,
    problems: Problems,
    *,
    reads_types: bool = True,
) -> None:
    """Note all that is wrong with what `node_id` is given. `reads_types` is off where any type will do."""
    bound: set[str] = set()
    for binding in bindings:
        if binding.var not in wanted:
            problems.add("VariableNameNotFound", node_id, _not_found(binding.var, node_id))
            continue
        if binding.var in bound:
            text = f"Input [{binding.var}] is bound more than once."
            problems.add("ParameterBoundMoreThanOnce", node_id, text)
            continue
        check = _Check(node_id, binding.var, outputs, problems, reads_types)
        if check.data(binding.binding, wanted[binding.var].type):
            bound.add(binding.var)
    for name, variable in wanted.items():
        if name not in bound and not optional(variable.type):
            problems.add("ParameterNotBound", node_id, f"Parameter not bound [{name}].")


def _not_found(name: str, node_id: str) -> str:
    return f"Variable [{name}] not found on node [{node_id}]."


class _Check:
    """One variable's binding. Each method answers whether what it saw may be bound."""

    def __init__(
        self, node_id: str, var: str, outputs: Interfaces, problems: Problems, reads_types: bool
    ) -> None:
        self.node_id, self.var, self.outputs = node_id, var, outputs
        self.problems, self.reads_types = problems, reads_types

    def data(self, data: literals_pb2.BindingData, wanted: LiteralType) -> bool:
        kind = data.WhichOneof("value")
        if kind == "promise":
            return self.promise(data.promise, wanted)
        if kind == "scalar":
            return self.scalar(data.scalar, wanted)
        if kind in ("collection", "map"):
            return self.container(data, kind, wanted)
        self.problems.add("ValueRequired", self.node_id, f"Value required [{self.var}].")
        return False

    def scalar(self, scalar: literals_pb2.Scalar, wanted: LiteralType) -> bool:
        try:
            found = literal_type(literals_pb2.Literal(scalar=scalar))
        except InvalidArgument as error:
            text = f"Variable [{self.var}]: {error.message}."
            self.problems.add("InvalidLiteralType", self.node_id, text)
            return False
        if wanted.HasField("enum_type") and scalar.primitive.HasField("string_value"):
            value = scalar.primitive.string_value
            if value not in wanted.enum_type.values:
                text = f"Value [{value}] of [{self.var}] is not in the enum {list(wanted.enum_type.values)}."
                self.problems.add("IllegalEnumValue", self.node_id, text)
                return False
        return self.fits(found, wanted)

    def container(self, data: literals_pb2.BindingData, kind: str, wanted: LiteralType) -> bool:
        if wanted.HasField("union_type"):
            return self.into_union(data, kind, wanted)
        field = "collection_type" if kind == "collection" else "map_value_type"
        if not wanted.HasField(field):
            if not self.reads_types:
                return True
            text = (
                f"Input [{self.var}] on node [{self.node_id}] expects bindings of type [{type_text(wanted)}]."
            )
            self.problems.add("MismatchingBindings", self.node_id, text)
            return False
        items = data.collection.bindings if kind == "collection" else data.map.bindings.values()
        return all([self.data(item, getattr(wanted, field)) for item in items])

    def into_union(self, data: literals_pb2.BindingData, kind: str, wanted: LiteralType) -> bool:
        fits = 0
        for variant in wanted.union_type.variants:
            trial = Problems()
            check = _Check(self.node_id, self.var, self.outputs, trial, self.reads_types)
            fits += check.container(data, kind, variant) and not trial
        if fits == 1:
            return True
        code = "AmbiguousBindingUnionValue" if fits else "IncompatibleBindingUnionValue"
        text = f"Input [{self.var}] fits {fits} variants of [{type_text(wanted)}]; it must fit exactly one."
        self.problems.add(code, self.node_id, text)
        return False

    def promise(self, promise: types_pb2.OutputReference, wanted: LiteralType) -> bool:
        source = promise.node_id or START_NODE
        if source not in self.outputs:
            text = f"Referenced node [{source}] not found."
            self.problems.add("NodeReferenceNotFound", self.node_id, text)
            return False
        match = _PROMISE.match(promise.var)
        if match is None:
            self.problems.add("SyntaxError", self.node_id, f"[{promise.var}] is no reference to a variable.")
            return False
        if match.group(2) not in self.outputs[source]:
            self.problems.add("VariableNameNotFound", source, _not_found(match.group(2), source))
            return False
        found = self.outputs[source][match.group(2)].type
        if match.group(1):
            found = found.collection_type
        resolved = self.attributes(promise, found)
        return resolved is not None and self.fits(resolved, wanted)

    def attributes(self, promise: types_pb2.OutputReference, found: LiteralType) -> LiteralType | None:
        for step in promise.attr_path:
            if found.HasField("collection_type"):
                found = found.collection_type
            elif found.HasField("map_value_type"):
                found = found.map_value_type
            elif found.structure.dataclass_type:
                name = step.string_value
                if name not in found.structure.dataclass_type:
                    text = f"Field [{name}] not found in the type of [{promise.var}]."
                    self.problems.add("FieldNotFound", self.node_id, text)
                    return None
                found = found.structure.dataclass_type[name]
            else:
                # Nothing is known of what is inside; the run will tell.
                return LiteralType()
        return found

    def fits(self, found: LiteralType, wanted: LiteralType) -> bool:
        if not self.reads_types or found.WhichOneof("type") is None or castable(found, wanted):
            return True
        if wanted.HasField("union_type") and not found.HasField("union_type") and fitting(found, wanted) > 1:
            text = f"[{type_text(found)}] fits several variants of [{type_text(wanted)}]."
            self.problems.add("AmbiguousBindingUnionValue", self.node_id, text)
            return False
        text = (
            f"Variable [{self.var}] (type [{type_text(wanted)}]) doesn't match expected type"
            f" [{type_text(found)}]."
        )
        self.problems.add("MismatchingTypes", self.node_id, text)
        return False
