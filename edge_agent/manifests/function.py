"""A Function manifest's spec in, a `FunctionSpec` with defaults filled in out, or its faults."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from edge_agent.domain.function import LONGEST_TIMEOUT, FunctionSpec, PoolSpec, RetrySpec, ScheduleSpec
from edge_agent.manifests.fields import Address, Bytes, Cores, Cron, Name, Seconds, Text, TimeZone, TopicFilter
from edge_agent.wording import Path as Where
from edge_agent.wording import faults_of

MIN_MEMORY = 4 * 1024 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = ("AWS_LAMBDA_", "LAMBDA_", "_HANDLER")
T = TypeVar("T")


def _camel(name: str) -> str:
    return to_camel(name.rstrip("_"))


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, alias_generator=_camel)


class _Schedule(_Wire):
    cron: Cron
    time_zone: TimeZone = "UTC"
    min_idle: Annotated[int, Field(ge=0, le=1000)]
    for_: Annotated[Seconds, Field(gt=0)]


class _Pool(_Wire):
    min_idle: Annotated[int, Field(ge=0, le=1000)] | None = None
    max_workers: Annotated[int, Field(ge=1, le=1000)] | None = None
    idle_timeout: Annotated[Seconds, Field(ge=0)] | None = None
    schedule: tuple[_Schedule, ...] = ()


class _Retry(_Wire):
    attempts: Annotated[int, Field(ge=1, le=100)] | None = None
    max_age: Annotated[Seconds, Field(gt=0)] | None = None


class _Trigger(_Wire):
    topic: TopicFilter | None = None
    cron: Cron | None = None
    time_zone: TimeZone | None = None
    result_of: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> _Trigger:
        if sum(part is not None for part in (self.topic, self.cron, self.result_of)) != 1:
            raise ValueError("a trigger is exactly one of topic, cron, resultOf; start a new - item for each")
        if self.time_zone and not self.cron:
            raise ValueError("timeZone goes with cron only; remove it")
        return self


class FunctionWire(_Wire):
    """INTERFACE: Manifests, kind Function. None: the manifest does not say."""

    image: str = ""
    source: str = ""
    command: tuple[Text, ...] = ()
    args: tuple[Text, ...] = ()
    isolation: Literal["pod", "process", "shared"] = "pod"
    timeout: Annotated[Seconds, Field(gt=0, le=LONGEST_TIMEOUT)] | None = None
    memory: Annotated[Bytes, Field(ge=MIN_MEMORY)] | None = None
    cpu: Cores | None = None
    pool: _Pool = _Pool()
    env: dict[str, Text] = {}
    secrets: tuple[Name, ...] = ()
    egress: tuple[Address, ...] = ()
    retry: _Retry = _Retry()
    ordered: bool = False
    triggers: tuple[_Trigger, ...] = ()


def parse_function(
    name: str, spec: dict[str, Any], base_dir: Path, defaults: FunctionSpec
) -> tuple[FunctionSpec | None, list[tuple[Where, str, str]]]:
    """The function, or None and its faults as (path inside the spec, message, hint). `source` is relative to
    `base_dir`."""
    try:
        wire = FunctionWire.model_validate(spec)
    except ValidationError as error:
        return None, list(faults_of(error, FunctionWire))
    source = (base_dir / wire.source).resolve() if wire.source else None
    faults = list(_judge(wire, source, defaults))
    if faults:
        return None, faults
    return _spec(name, wire, str(source or ""), defaults), []


def _judge(wire: FunctionWire, source: Path | None, defaults: FunctionSpec) -> Iterator[tuple[Where, str, str]]:
    """What no single field can know."""
    if not wire.image and not wire.source:
        yield (), "needs image (for pods) or source (a folder, for processes)", "add source: ./my-function"
    if source and not source.is_dir():
        yield ("source",), f"{source} is no folder", "the path is relative to the manifest's own folder"
    if wire.source and not wire.command:
        yield ("source",), "needs a command that starts it", "add for example command: [python3, -m, awslambdaric]"
    most = wire.pool.max_workers or defaults.pool.max_workers
    if (wire.pool.min_idle or 0) > most:
        yield ("pool", "minIdle"), f"is more than maxWorkers ({most})", "raise maxWorkers or lower minIdle"
    yield from _twice(wire.triggers)
    for variable in wire.env:
        if not _VARIABLE.fullmatch(variable):
            yield ("env", variable), "is no variable name", "letters, digits and _, not starting with a digit"
        elif variable.startswith(_RESERVED):
            yield ("env", variable), "is set by the agent itself", "choose another name"


def _twice(triggers: Sequence[_Trigger]) -> Iterator[tuple[Where, str, str]]:
    for position, trigger in enumerate(triggers):
        if (first := triggers.index(trigger)) < position:
            yield ("triggers", position), f"is written twice, the first is triggers[{first}]", "remove one"


def _spec(name: str, wire: FunctionWire, source: str, defaults: FunctionSpec) -> FunctionSpec:
    pool, retry = wire.pool, wire.retry
    return FunctionSpec(
        name=name,
        image=wire.image,
        source=source,
        command=wire.command,
        args=wire.args,
        isolation=wire.isolation,
        timeout=_or(wire.timeout, defaults.timeout),
        memory=_or(wire.memory, defaults.memory),
        cpu=_or(wire.cpu, defaults.cpu),
        pool=PoolSpec(
            min_idle=_or(pool.min_idle, defaults.pool.min_idle),
            max_workers=_or(pool.max_workers, defaults.pool.max_workers),
            idle_timeout=_or(pool.idle_timeout, defaults.pool.idle_timeout),
            schedule=tuple(
                ScheduleSpec(cron=part.cron, time_zone=part.time_zone, min_idle=part.min_idle, lasts=part.for_)
                for part in pool.schedule
            ),
        ),
        env=dict(wire.env),
        secrets=wire.secrets,
        egress=wire.egress,
        retry=RetrySpec(_or(retry.attempts, defaults.retry.attempts), _or(retry.max_age, defaults.retry.max_age)),
        ordered=wire.ordered,
        topics=tuple(trigger.topic for trigger in wire.triggers if trigger.topic),
        crons=tuple((trigger.cron, trigger.time_zone or "UTC") for trigger in wire.triggers if trigger.cron),
        results_of=tuple(trigger.result_of for trigger in wire.triggers if trigger.result_of),
    )


def _or(given: T | None, default: T) -> T:
    return default if given is None else given
