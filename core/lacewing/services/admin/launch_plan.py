"""What a launch plan may say: its expected inputs, schedule, notifications and labels. Pure.

Rules: contract "admin", section 2.6. Everything is checked at registration, so that activation cannot fail.
"""

import re
from collections.abc import Iterable

from croniter import croniter
from flyteidl.admin import common_pb2, launch_plan_pb2, schedule_pb2
from flyteidl.core import execution_pb2, interface_pb2, types_pb2

from lacewing.compiler.types import castable, literal_type, type_text
from lacewing.errors import InvalidArgument
from lacewing.services.admin.labels import check_labels

_TERMINAL = frozenset(
    execution_pb2.WorkflowExecution.Phase.Value(name)
    for name in ("SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT")
)
_DESCRIPTORS = frozenset(("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"))
_FIELDS = 5
_EVERY = re.compile(r"@every ([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+")


def check_launch_plan(spec: launch_plan_pb2.LaunchPlanSpec, expected: interface_pb2.ParameterMap) -> None:
    """The parts of a launch plan that do not depend on types; raises InvalidArgument."""
    check_labels(spec.labels)
    check_notifications(spec.entity_metadata.notifications)
    if spec.entity_metadata.HasField("launch_conditions"):
        raise InvalidArgument(
            "launch conditions are not supported; leave entity_metadata.launch_conditions empty"
        )
    _check_schedule(spec.entity_metadata.schedule, expected)


def schedule_type(spec: launch_plan_pb2.LaunchPlanSpec) -> str:
    """NONE, CRON or RATE, as filters name it."""
    expression = spec.entity_metadata.schedule.WhichOneof("ScheduleExpression")
    if expression is None:
        return "NONE"
    return "RATE" if expression == "rate" else "CRON"


def check_notifications(notifications: Iterable[common_pb2.Notification]) -> None:
    """Each has someone to tell, and tells of ends only; raises InvalidArgument."""
    for notification in notifications:
        kind = notification.WhichOneof("type")
        if kind is None:
            raise InvalidArgument("invalid value for notification type")
        recipients = getattr(notification, kind).recipients_email
        if not recipients:
            raise InvalidArgument("missing recipients")
        if not all(recipients):
            raise InvalidArgument("missing recipient")
        if not notification.phases or not _TERMINAL.issuperset(notification.phases):
            raise InvalidArgument("invalid value for phase")


def _check_schedule(schedule: schedule_pb2.Schedule, expected: interface_pb2.ParameterMap) -> None:
    if schedule.WhichOneof("ScheduleExpression") is None:
        return
    kickoff = schedule.kickoff_time_input_arg
    for name, parameter in sorted(expected.parameters.items()):
        if parameter.required and name != kickoff:
            raise InvalidArgument(
                "Cannot create a launch plan with a schedule if there is an unbound required input."
                f" [{name}] is required"
            )
    if kickoff and kickoff not in expected.parameters:
        raise InvalidArgument(
            "Cannot create a schedule with a KickoffTimeInputArg that does not point to a free input."
            f" [{kickoff}] is not free or does not exist."
        )
    if kickoff and expected.parameters[kickoff].var.type.simple != types_pb2.DATETIME:
        raise InvalidArgument(
            "KickoffTimeInputArg must reference a datetime input."
            f" [{kickoff}] is a [{type_text(expected.parameters[kickoff].var.type)}]"
        )
    if schedule.HasField("cron_schedule"):
        _check_cron(schedule.cron_schedule.schedule)


def _check_cron(text: str) -> None:
    if text in _DESCRIPTORS or _EVERY.fullmatch(text):
        return
    if len(text.split()) != _FIELDS or not croniter.is_valid(text):
        raise InvalidArgument(
            f"invalid cron schedule [{text}]: write five fields (minute, hour, day of month, month, day of"
            " week) with values in range, or for example @hourly or @every 1h30m"
        )


def expected_inputs(
    spec: launch_plan_pb2.LaunchPlanSpec, interface: interface_pb2.TypedInterface
) -> interface_pb2.ParameterMap:
    """What an execution may be given: defaults, and what is still unbound as required."""
    variables = interface.inputs.variables
    expected = interface_pb2.ParameterMap()
    for name, literal in spec.fixed_inputs.literals.items():
        if name not in variables:
            raise InvalidArgument(f"unexpected fixed_input {name}")
        if not castable(literal_type(literal), variables[name].type):
            raise InvalidArgument(f"invalid fixed_input wrong type for {name}")
    for name, parameter in spec.default_inputs.parameters.items():
        if name not in variables:
            raise InvalidArgument(f"unexpected default_input {name}")
        if parameter.HasField("default") and not castable(
            literal_type(parameter.default), variables[name].type
        ):
            raise InvalidArgument(f"invalid default_input wrong type for {name}")
    for name, variable in variables.items():
        if name in spec.fixed_inputs.literals:
            continue
        parameter = expected.parameters[name]
        if name in spec.default_inputs.parameters:
            parameter.CopyFrom(spec.default_inputs.parameters[name])
        else:
            parameter.required = True
        parameter.var.CopyFrom(variable)
    return expected
