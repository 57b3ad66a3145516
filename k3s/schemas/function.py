"""The fields of a Function's `spec`, and what CEL judges between them."""

from __future__ import annotations

from edge_agent.domain.function import LONGEST_TIMEOUT
from edge_agent.manifests.function import MIN_MEMORY, FunctionWire
from schemas.values import Schema, duration, judged, listed, name, one_of, rule, same, single, table, text, told, whole

_SIZE = r"^\s*[0-9]+(\.[0-9]+)?\s*([kK][iI]?|M[iI]?|m[iI]|[gG][iI]?|[tT][iI]?)?[bB]?\s*$"
_UNIT = {"ti": 2**40, "gi": 2**30, "mi": 2**20, "ki": 2**10, "t": 10**12, "g": 10**9, "m": 10**6, "k": 10**3}
_HOST = (
    "(self.startsWith('[') ? self.substring(1, self.indexOf(']')) : "
    "self.split(':').size() == 2 ? self.split(':')[0] : self)"
)


def memory() -> Schema:
    factor = "1.0"
    for unit, size in reversed(_UNIT.items()):
        factor = f"self.lowerAscii().contains('{unit}') ? {size}.0 : {factor}"
    bytes_ = f"double(self.find('[0-9.]+')) * ({factor})"
    least = f"must be at least {MIN_MEMORY // 2**20}Mi"
    return {
        "x-kubernetes-int-or-string": True,
        "minimum": MIN_MEMORY,
        "maxLength": 32,
        "pattern": _SIZE,
        "x-kubernetes-validations": [rule(f"type(self) == int || {bytes_} >= {MIN_MEMORY}.0", least)],
    }


def cores() -> Schema:
    share = {"pattern": r"^\s*[0-9]+(\.[0-9]+)?m?\s*$", "maxLength": 32, "minimum": 0, "exclusiveMinimum": True}
    return single(**share, allOf=[{"pattern": "[1-9]"}, {"not": {"enum": [True, False]}}])


def words() -> Schema:
    """Text, or a whole number, true or false that are taken as they are written."""
    return single(maxLength=32768, multipleOf=1)


def address() -> Schema:
    hint = (
        "a network policy knows addresses only: write the address the name has on your network, with a fixed DHCP lease"
    )
    example = "is no IP address or network; write for example 10.0.0.2:25, 10.0.0.0/24 or [fd00::1]:25"
    return judged(
        text(128, minLength=1),
        rule(r"self.matches('^[0-9a-fA-F:./\\[\\]]+$') && self.matches('[0-9:]')", f"is a name, and {hint}"),
        rule(
            r"!self.matches('^[0-9a-fA-F:./\\[\\]]+$') || "
            r"(self.matches('^\\[[^\\[\\]]+\\](:[0-9]+)?$') || self.matches('^[^\\[\\]]+$')) && "
            rf"[{_HOST}].all(host, isIP(host) || isCIDR(host) || host.matches('^[0-9.]+/[0-9]+[.][0-9.]+$'))",
            example,
        ),
        rule(
            r"!self.matches('^(\\[.+\\]|[^:]*):[^:]*$') || self.matches('^(\\[.+\\]|[^:]+):0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|"
            r"6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$')",
            "has a colon and no port behind it; 1 to 65535",
        ),
    )


def pool() -> Schema:
    schedule = table(
        {
            "cron": told("When it begins: minute hour day month weekday.", text(256)),
            "timeZone": told("IANA name, as Europe/Dublin. UTC when absent.", text(64)),
            "minIdle": told("Workers kept waiting while it lasts.", whole(0, 1000)),
            "for": told("How long, as 2h.", duration("more")),
        },
        required=["cron", "minIdle", "for"],
    )
    fields = {
        "minIdle": told("Workers kept waiting for events. 0: none, the first event starts one.", whole(0, 1000)),
        "maxWorkers": told(
            "Workers at the same time, at most. Default: the agent's configuration (4).", whole(1, 1000)
        ),
        "idleTimeout": told("An idle worker above minIdle is let go after it, as 5m.", duration()),
        "schedule": told("Times of the day with more waiting workers.", listed(schedule, 16)),
    }
    both = "has(self.minIdle) && has(self.maxWorkers)"
    fits = rule(
        f"!({both}) || self.minIdle <= self.maxWorkers",
        "is more than maxWorkers: raise that or lower minIdle",
        ".minIdle",
    )
    return judged(table(fields), fits)


def triggers() -> Schema:
    kinds = ("topic", "cron", "resultOf")
    chosen = f"[{', '.join(f'has(self.{kind})' for kind in kinds)}].filter(each, each).size() == 1"
    trigger = judged(
        table(
            {
                "topic": told("Topic Filter: each message that matches, as edge/v1/+/devices/+/readings.", text(1024)),
                "cron": told("minute hour day month weekday, as */5 * * * *.", text(256)),
                "timeZone": told("Of cron: IANA name, as Europe/Dublin. UTC when absent.", text(64)),
                "resultOf": told("Name of a function: each of its results.", name()),
            }
        ),
        rule(chosen, "a trigger is exactly one of topic, cron, resultOf; start a new - item for each"),
        rule("!has(self.timeZone) || self.timeZone == '' || has(self.cron)", "timeZone goes with cron only; remove it"),
    )
    return judged(
        listed(trigger, 32),
        rule("self.all(one, self.exists_one(other, other == one))", "one of them is written twice"),
    )


def function_spec() -> Schema:
    fields = {
        "image": told("Container image for pods, as registry.edge.internal:5000/send-mail:1.0.0.", text(512)),
        "source": told(
            "Folder on the agent's machine, for the process runner. Functions of a cluster have an image.", text(4096)
        ),
        "command": told("What is started: the runtime client, as [python3, -m, awslambdaric].", listed(words(), 64)),
        "args": told("What follows it: the handler, as [send_mail.handler].", listed(words(), 64)),
        "isolation": told(
            "pod: a fresh pod for every event. process: a fresh process inside a long-lived pod; tidy, but no security "
            "boundary. shared: one worker serves many events. pod when absent.",
            one_of(("pod", "process", "shared")),
        ),
        "timeout": told("The longest one event may take, as 30s; at most 12h.", duration("more", LONGEST_TIMEOUT)),
        "memory": told("Limit of one worker, as 64Mi; at least 4Mi.", memory()),
        "cpu": told("Limit of one worker: 250m or 0.25 is a quarter of a core.", cores()),
        "pool": told("How many workers there are.", pool()),
        "env": told(
            "Environment variables. Names are letters, digits and _; AWS_LAMBDA_*, LAMBDA_* and _HANDLER are the agent's own.",
            {"type": "object", "maxProperties": 128, "additionalProperties": words()},
        ),
        "secrets": told("Names of secrets, mounted under /run/edge/secrets.", listed(name(), 32)),
        "egress": told(
            "What it may reach beside the agent: addresses, as 10.0.0.2:25 or 10.0.0.0/24. No names.",
            listed(address(), 64),
        ),
        "retry": told(
            "What happens when it fails.",
            table(
                {
                    "attempts": told("Hand-overs of one event, at most.", whole(1, 100)),
                    "maxAge": told("No attempt later than this after the event, as 6h.", duration("more")),
                }
            ),
        ),
        "ordered": told("One event of a device at a time, in the order recorded.", {"type": "boolean"}),
        "triggers": told("What it runs on beside the rules that name it.", triggers()),
    }
    agent = FunctionWire.model_json_schema()
    parts = agent["$defs"]
    same("a Function", fields, agent["properties"])
    same("its pool", fields["pool"]["properties"], parts["_Pool"]["properties"])
    same(
        "its schedule",
        fields["pool"]["properties"]["schedule"]["items"]["properties"],
        parts["_Schedule"]["properties"],
    )
    same("its retry", fields["retry"]["properties"], parts["_Retry"]["properties"])
    same("a trigger", fields["triggers"]["items"]["properties"], parts["_Trigger"]["properties"])
    says_image, says_source = "has(self.image) && self.image != ''", "has(self.source) && self.source != ''"
    image = rule(
        f"{says_image} || {says_source}",
        "needs an image, as image: registry.edge.internal:5000/send-mail:1.0.0",
        ".image",
    )
    starts = {"required": ["command"], "properties": {"command": {"minItems": 1}}}
    description = "What the function is and how it is run."
    return told(
        description,
        judged({**table(fields), "anyOf": [{"properties": {"source": {"maxLength": 0}}}, starts]}, image),
    )
