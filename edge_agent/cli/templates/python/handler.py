"""What @NAME@ does with an event."""


def handler(event, context):
    """`event` is a CloudEvent as a dict; what is returned is the answer, as JSON. An exception is a failed attempt."""
    data = event["data"]
    message = f"{data.get('device', 'somebody')} says {data['value']}"
    print(message)
    return {"message": message}
