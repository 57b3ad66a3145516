"""The function engine: recorded invocations become outcomes. Workers pull their events (the Lambda Runtime API)."""
