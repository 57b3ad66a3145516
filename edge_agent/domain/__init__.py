"""What the house is about, in values: messages, readings, rules, invocations, alerts. No I/O, no clock, no threads."""
