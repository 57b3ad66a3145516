"""Asks the agent for events and has the handler answer them: the AWS Lambda Runtime API, with nothing to install.

    python3 bootstrap.py MODULE.FUNCTION

AWS's own client does the same: pip install awslambdaric, and `command: [python3, -m, awslambdaric]` in the manifest.
"""

import http.client
import importlib
import json
import os
import sys
import time
import traceback


class Context:
    """What AWS Lambda tells a handler about the invocation."""

    def __init__(self, headers):
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))


agent = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, body=None):
    """One call of the Runtime API: the answer's headers and body."""
    agent.request(method, f"/2018-06-01/runtime/{path}", body)
    answer = agent.getresponse()
    return answer.headers, answer.read()


def told(error):
    """An exception as AWS Lambda tells it; the stack trace goes into the log too."""
    traceback.print_exception(error)
    lines = traceback.format_tb(error.__traceback__)
    return json.dumps({"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": lines})


def main(name):
    sys.stdout.reconfigure(line_buffering=True)
    try:
        module, _, function = name.rpartition(".")
        handler = getattr(importlib.import_module(module), function)
    except BaseException as error:
        call("POST", "init/error", told(error))
        sys.exit(1)
    while True:
        headers, event = call("GET", "invocation/next")
        context = Context(headers)
        try:
            answer = json.dumps(handler(json.loads(event), context)).encode()
        except Exception as error:
            call("POST", f"invocation/{context.aws_request_id}/error", told(error))
        else:
            call("POST", f"invocation/{context.aws_request_id}/response", answer)


if __name__ == "__main__":
    main(sys.argv[1])
