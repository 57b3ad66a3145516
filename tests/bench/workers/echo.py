"""A function that does nothing, so that what is measured is the way there and back."""


def handler(event: dict, context: object) -> dict:
    return {"id": event["id"]}
