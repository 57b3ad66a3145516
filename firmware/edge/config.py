"""The one configuration of a board, `config.json`, and how it is changed without anybody having to fetch the ladder.

Enters: JSON. Leaves: a dict with every default filled in. Guarantee: a change is written to `config.try` and tried once: it
becomes `config.json` when somebody who sees the board again says so (`keep`); any start without that (power cut, crash, time
over) is with the old one. A configuration that cannot be used is refused with what is wrong with it.
"""

import gc
import json
import os

DEFAULTS = {
    "site": "home",
    "device": None,
    "networks": [],
    "broker": "edge.local",
    "port": 1883,
    "user": None,
    "password": None,
    "ca": None,  # PEM of the one CA that the broker's certificate has to be of; None: no TLS
    "ntp": ["pool.ntp.org"],
    "every": 60,  # seconds between readings
    "keepalive": 30,
    "batch": 1024,
    "sleep": False,
    "ring": None,
    "sensors": {},
    "actuators": {},
    "buzz": None,  # the actuator that sounds when the appliance is silent
    "confirm": 180,  # seconds a changed configuration is tried
}
NAME = "abcdefghijklmnopqrstuvwxyz0123456789-"


def faults(config):
    """What is wrong with it, a list of sentences."""
    wrong = ["%s is no setting" % key for key in config if key not in DEFAULTS]
    for key in ("site", "device"):
        name = config.get(key)
        if not isinstance(name, str) or not 0 < len(name) < 64 or any(c not in NAME for c in name):
            wrong.append("%s is a name of a-z, 0-9 and -" % key)
    for key, low, high in (("port", 1, 65535), ("every", 0.05, 86400), ("keepalive", 5, 3600), ("confirm", 10, 3600)):
        value = config.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            wrong.append("%s is a number from %s to %s" % (key, low, high))
    if config.get("ca") is not None and "-----BEGIN CERTIFICATE-----" not in str(config["ca"]):
        wrong.append("ca is a certificate in PEM")
    for key, kind in (("networks", list), ("ntp", list), ("sensors", dict), ("actuators", dict)):
        if not isinstance(config.get(key), kind):
            wrong.append("%s is a %s" % (key, "list" if kind is list else "table"))
        elif key == "networks" and not all(isinstance(n, dict) and n.get("ssid") for n in config[key]):
            wrong.append("a network has an ssid")
    return wrong


def merged(old, change):
    new = dict(DEFAULTS)
    new.update(old)
    new.update(change)
    return new


class Config:
    """`folder` holds `config.json`. `trial` is whether this start is with a changed one."""

    def __init__(self, folder=""):
        self.path = folder + "config.json"
        self.next = folder + "config.try"
        self.trial = False
        self.values = None
        change = self._read(self.next)
        if change is not None:
            os.remove(self.next)  # before it is tried: a change that kills the board is tried once
            change = merged(change, {})
            if not faults(change):
                self.trial = True
                self.values = change
        if self.values is None:
            self.values = merged(self._read(self.path) or {}, {})
        gc.collect()  # before what stays is put behind what does not: holes are what a heap of 28 KB dies of

    def change(self, patch):
        """Put a change in place for the next start; what is wrong with it, empty when it was taken."""
        new = merged(self.values, patch)
        wrong = faults(new)
        if not wrong:
            self._write(self.next, new)
        return wrong

    def keep(self):
        """Somebody has seen the board with its new configuration."""
        if self.trial:
            self._write(self.path + ".new", self.values)
            os.rename(self.path + ".new", self.path)
            self.trial = False

    def _read(self, path):
        try:
            with open(path) as file:
                return json.load(file)
        except (OSError, ValueError):
            return None

    def _write(self, path, values):
        with open(path, "w") as file:
            json.dump({key: value for key, value in values.items() if value != DEFAULTS.get(key, 0)}, file)
