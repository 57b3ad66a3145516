"""An actuator under command: what it is told, how long, and when it rests by itself.

Enters: commands as `functions/actuate/README.md` has them, the uptime in ms. Leaves: states to publish. Guarantee: away from rest
no longer than the command's `for` and its own `longest`, and no longer than `alone` without a connection; a command that is
repeated moves nothing; one more than a minute old is refused by a board that knows the time.
"""

import json

LATE = 60_000


class Move:
    """One actuator. `thing` has `rest` (a value) and `set(value)`, which raises ValueError with a sentence."""

    def __init__(self, thing, options):
        self.thing = thing
        self.longest = int(options.get("longest", 3600) * 1000)
        self.alone = int(options.get("alone", 60) * 1000)
        self.value = thing.rest
        self.id = ""
        self.error = self.ended = None
        self.until = None
        self.lost = None
        thing.set(thing.rest)

    def told(self, payload, now, epoch):
        """Carry a command out; `epoch` is None while the time is unknown."""
        try:
            cmd = json.loads(payload)
            name, value = cmd["id"], cmd["value"]
            if not isinstance(name, str) or len(name) > 256:
                return
        except (ValueError, KeyError, TypeError):
            return  # nobody to answer to
        if name == self.id and name:
            return
        self.id, self.error = name, None
        limit, given = cmd.get("for", self.longest), cmd.get("t")
        try:
            if epoch and isinstance(given, int) and epoch - given > LATE:
                raise ValueError("the command is %d s old" % ((epoch - given) // 1000))
            resting = value == self.thing.rest
            if not resting and (isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= self.longest):
                raise ValueError("for is 1 to %d ms here" % self.longest)
            self.thing.set(value)
        except (ValueError, TypeError) as error:
            self.error = str(error)
            return
        self.value, self.ended = value, None
        self.until = None if resting else now + limit

    def tick(self, now, online):
        """Whether it moved by itself."""
        self.lost = None if online else self.lost if self.lost is not None else now
        if self.until is None:
            return False
        if now >= self.until:
            return self.over("time")
        if self.lost is not None and now - self.lost >= self.alone:
            return self.over("contact")
        return False

    def over(self, why):
        """Rest now."""
        self.until = None
        self.thing.set(self.thing.rest)
        self.value, self.ended = self.thing.rest, why
        return True

    def state(self):
        said = {"id": self.id, "value": self.value}
        if self.error:
            said["error"] = self.error
        if self.ended:
            said["ended"] = self.ended
        return json.dumps(said)
