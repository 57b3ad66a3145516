"""The contract's function (../README.md) on `awslambdaric`."""

import os
import sys
import time

if os.environ.get("CONTRACT_INIT") == "fail":
    raise RuntimeError("no driver for größe")

served = 0


class PumpDry(Exception):
    pass


def drain_the_tank():
    raise PumpDry("no water: größer 🌡")


def handler(event, context):
    global served
    served += 1
    data = event["data"]
    match data["do"]:
        case "echo":
            return event
        case "who":
            time.sleep(data.get("seconds", 0))
            return {"pid": os.getpid(), "served": served, "id": event["id"]}
        case "context":
            return {
                "request": context.aws_request_id,
                "function": context.function_name,
                "version": context.function_version,
                "arn": context.invoked_function_arn,
                "memory": int(context.memory_limit_in_mb),
                "group": context.log_group_name,
                "stream": context.log_stream_name,
                "left": context.get_remaining_time_in_millis(),
                "trace": os.environ.get("_X_AMZN_TRACE_ID"),
                "identity": context.identity and context.identity.cognito_identity_id,
                "client": context.client_context,
            }
        case "fail":
            print("about to fail: größe")
            drain_the_tank()
        case "sleep":
            time.sleep(data["seconds"])
            return "awake"
        case "length":
            return len(event["pad"])
        case "fill":
            return "x" * data["count"]
        case "print":
            print("to standard output: größe")
            print("to standard error: größe", file=sys.stderr)
            sys.stdout.flush()
            os._exit(3)
        case "raw":
            return bytes(range(256))
    return None
