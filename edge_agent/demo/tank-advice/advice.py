"""A function with nothing but Python's standard library: how much water a tank needs.

`advise` is the function. The lines below it speak the Lambda Runtime API by hand, so that it runs wherever Python does;
with `awslambdaric` installed they are not needed.
"""

import http.client
import json
import os

LITRES = float(os.environ.get("TANK_LITRES", "1000"))


def advise(event):
    """What to do about one event (a CloudEvent as a dict)."""
    data = event["data"]
    missing = round(LITRES * (100 - float(data["value"])) / 100)
    return {"device": data.get("device"), "missing_litres": missing, "advice": f"fill in {missing} litres"}


appliance = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def call(method, path, body=None):
    """One call of the Runtime API: the answer's headers and body."""
    appliance.request(method, f"/2018-06-01/runtime/invocation/{path}", body and json.dumps(body))
    answer = appliance.getresponse()
    return answer.headers, answer.read()


while True:
    headers, event = call("GET", "next")
    request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        answer = advise(json.loads(event))
    except (KeyError, TypeError, ValueError) as error:
        call("POST", f"{request_id}/error", {"errorType": type(error).__name__, "errorMessage": str(error)})
    else:
        print(answer["advice"], flush=True)
        call("POST", f"{request_id}/response", answer)
