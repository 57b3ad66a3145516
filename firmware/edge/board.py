"""The board's life: look at the sensors, keep what they say, tell the appliance, do as one is told, start again when in doubt.

Enters: a configuration; time. Leaves: MQTT as INTERFACE has it. Guarantee: one `step` waits at most for one look for the time
and the broker and one connection attempt (14 s, without DNS), so the watchdog of 30 s barks for real faults only; whatever fails
in one part does not end the others; after five starts that did not last a minute the board comes up in safe mode: connected,
without sensors and actuators, so that its configuration can be changed from afar.
"""

import gc
import json
import struct
import sys
from binascii import unhexlify

from edge import chip
from edge.clock import Clock
from edge.finder import find
from edge.link import Link
from edge.outbox import Outbox
from edge.ring import Ring

VERSION = "0.1.0"
HEALTHY = 60_000
SILENT = 100_000  # three heartbeats of the appliance, and a bit
RETRY, RETRY_MOST = 1_000, 60_000
SYNC, ASK = 3_600_000, 30_000  # while the time is known, and until then
AWAKE = 20_000  # most of a sleeping board without luck
KEPT = "<BB8sIQq"


class Board:
    def __init__(self, config, net=None):
        gc.threshold(2048)  # collect before the heap is full: what stays is then put where there are no holes
        self.config = config
        self.c = c = config.values
        self.feed = chip.watchdog(30_000)
        self.net = net
        self.clock = Clock()
        self.lines = []
        crashes, boot, seq, up, offset = self._kept()
        self.safe = crashes >= 5
        flash = chip.flash(c["ring"])
        ram, window, most = (12, 24, 256) if chip.SMALL else (64, 200, 4096)
        self.outbox = Outbox(
            boot or chip.random(8), Ring(flash, self.feed) if flash else None, ram, window, min(c["batch"], most)
        )
        if boot:
            self.outbox.seq, self.clock._up = seq, up
            if offset:
                self.clock.offset = offset
                self.outbox.clock(offset)
        self.crashes = crashes + 1
        self._keep()
        base = "edge/v1/%s/" % c["site"]
        self.topic = base + "devices/%s/" % c["device"]
        self.beat = base + "appliance/status"
        self.link = Link(c["device"], c["user"], c["password"], (self.topic + "status", "offline"), c["keepalive"])
        self.link.window = 3 if chip.SMALL else 8
        self.link.heard = self._heard
        if c["ca"]:
            from edge.secure import secured

            self.link.tls = secured(c["ca"]), c["broker"]
        self.retry, self.next_try, self.next_sync, self.sync_turn = RETRY, 0, 0, 0
        self.last_beat = self.started = self.clock.now()
        self.sense, self.moves, self.waiting, self.told = [], {}, [], ("", None)
        self.trial_until = self.started + int(c["confirm"] * 1000) if config.trial else None
        if not self.safe:
            self._assemble()

    def _assemble(self):
        for name, options in self.c["actuators"].items():
            try:
                from edge.moves import Move

                module = __import__("edge.actuators." + options["kind"], None, None, ("Actuator",))
                self.moves[name] = Move(module.Actuator(options), options)
            except Exception as error:  # noqa: BLE001  one wrong line of the configuration is not the whole board
                self.log("%s: %s" % (name, error))
        for name, options in self.c["sensors"].items():
            try:
                from edge.sense import Sense

                self.sense.append(Sense(name, options, self.c["every"]))
            except Exception as error:  # noqa: BLE001
                self.log("%s: %s" % (name, error))

    def log(self, line):
        """Kept for `state/log`, the last few."""
        self.lines = self.lines[-4:] + [line[:80]]
        self._say("log")

    def run(self):
        while True:
            try:
                self.step(50)
            except Exception:
                for move in self.moves.values():
                    move.over("fault")
                self.outbox.spill()
                raise

    def step(self, wait=0):
        """Everything once; `wait` ms at most for the network."""
        self.feed()
        gc.collect()  # little and often: a heap of 28 KB is full of holes before it is full
        now = self.clock.now()
        if self.crashes and now - self.started > HEALTHY:
            self.crashes = 0
            self._keep()
        if self.trial_until and now > self.trial_until:
            self.restart()
        self._measure(now)
        if not self.net or self.net.step(now):
            self._connected(now, wait)
        elif self.link.up():
            self._lost("no network")
        for name, move in self.moves.items():
            if move.tick(now, self.link.up()):
                self._say(name)
        self._buzz(now)
        if self.c["sleep"] and not self.config.trial and (not self.outbox.pending or now - self.started > AWAKE):
            self._sleep()

    def restart(self):
        self.outbox.spill()
        self.link.close()  # without a goodbye: whether it comes back is not known yet, so its Will says "offline"
        chip.restart()

    # -- parts of a step

    def _measure(self, now):
        values = {}
        for sense in self.sense:
            if now >= sense.due:
                values.update(sense.read(now))
                if sense.news:
                    self.log(sense.news)
                    sense.news = ""
        if values:
            self.outbox.hold(json.dumps(values).encode(), now)

    def _connected(self, now, wait):
        if now >= self.next_sync:
            self._sync(now)
        try:
            if not self.link.up():
                if now < self.next_try:
                    return
                self._open()
            self.link.poll(wait)
            self._send()
        except OSError as error:
            self._lost(str(error))
        except MemoryError:
            self.outbox.size = max(128, self.outbox.size // 2)
            self._lost("no memory")

    def _open(self):
        self.next_try = self.clock.now() + self.retry
        self.retry = min(2 * self.retry, RETRY_MOST)
        self.link.open(find(self.c["broker"]), self.c["port"])
        self.link.subscribe(self.topic + "ack", self.topic + "cmd/+", self.beat)
        self.link.publish(self.topic + "status", b"online", True)
        self.waiting = ["about", "log", "config"] + list(self.moves)
        self.outbox.connected(self.clock.now())

    def _lost(self, why):
        self.link.close()
        self.outbox.disconnected()
        now = self.clock.now()
        # A dozen boards on one appliance that starts do not come in the same instant.
        self.next_try = now + self.retry // 2 + chip.random(1)[0] * self.retry // 512
        self.log("connection: " + why)

    def _send(self):
        while self.waiting and self.link.room() > 0:
            name = self.waiting.pop(0)
            if name == "about":
                self.link.publish(self.topic + "about", self.about().encode(), True)
            else:
                self.link.publish(self.topic + "state/" + name, self._state(name).encode(), True)
        self.feed()
        while self.link.room() > 0:
            packet = self.outbox.due(self.clock.now())
            if packet is None:
                break
            self.link.publish(self.topic + packet[0], packet[1])

    def _say(self, name):
        if name not in self.waiting and self.link.up():
            self.waiting.append(name)

    def _state(self, name):
        if name == "log":
            return json.dumps({"id": "", "value": "\n".join(self.lines)})
        if name == "config":
            said = {"id": self.told[0], "value": "trial" if self.config.trial else "kept"}
            if self.told[1]:
                said["error"] = self.told[1]
            return json.dumps(said)
        return self.moves[name].state()

    def about(self):
        readings = {}
        for sense in self.sense:
            readings.update(sense.about)
        gc.collect()
        return json.dumps(
            {
                "model": sys.implementation[2] if len(sys.implementation) > 2 else sys.platform,
                "firmware": VERSION + (" safe mode" if self.safe else ""),
                "readings": readings,
                "actuators": list(self.moves),
                "dropped": self.outbox.dropped,
                "flash": bool(self.outbox.ring),
            }
        )

    def _sync(self, now):
        servers = [self.c["broker"]] + self.c["ntp"]
        server = servers[self.sync_turn % len(servers)]
        self.sync_turn += 1
        host, _, port = server.partition(":")
        if self.clock.ask(find(host), int(port or 123), 1000):
            self.outbox.clock(self.clock.offset)
            self.sync_turn -= 1
            self.next_sync = now + SYNC
        else:
            self.next_sync = now + min(ASK * (1 + self.sync_turn // len(servers)), SYNC)
            if self.sync_turn < len(servers):
                self.next_sync = now

    def _buzz(self, now):
        move = self.moves.get(self.c["buzz"])
        if move and now - self.last_beat > SILENT:
            on = (now - self.last_beat) // 1000 % 30 == 0  # a second of every thirty
            if on != (move.value != move.thing.rest):
                move.told(json.dumps({"id": "", "value": on, "for": 2000}), now, None)
                self._say(self.c["buzz"])

    def _heard(self, topic, payload):
        now = self.clock.now()
        if topic == self.beat:
            self.outbox.attended = b"offline" not in payload
            if self.outbox.attended:
                self.last_beat = now
            return
        kind = topic[len(self.topic) :]
        if kind == "ack":
            try:
                ack = json.loads(payload)
                boot, seq = unhexlify(ack["boot"]), int(ack["seq"])
            except (ValueError, KeyError, TypeError):
                return
            self.outbox.acked(boot, seq, now)
            self.retry = RETRY
        elif kind == "cmd/config":
            self._configure(payload)
        elif kind.startswith("cmd/") and kind[4:] in self.moves:
            epoch = None if self.clock.offset is None else self.clock.offset + now
            self.moves[kind[4:]].told(payload, now, epoch)
            self._say(kind[4:])

    def _configure(self, payload):
        try:
            cmd = json.loads(payload)
            name, value = cmd["id"], cmd["value"]
        except (ValueError, KeyError, TypeError):
            return
        if name == self.told[0]:
            pass
        elif value == "keep":
            self.config.keep()
            self.trial_until = None
            self.told = (name, None)
        elif isinstance(value, dict):
            wrong = self.config.change(value)
            self.told = (name, "; ".join(wrong))
            if not wrong:
                self.crashes = 0  # in safe mode too: the new one is tried whole
                self._keep()
                self.restart()
        self._say("config")

    # -- over a restart

    def _keep(self, up=0):
        offset = self.clock.offset or 0
        chip.keep(struct.pack(KEPT, 0x45, min(self.crashes, 255), self.outbox.mine.raw, self.outbox.seq, up, offset))

    def _kept(self):
        kept = chip.keep()
        if len(kept) < struct.calcsize(KEPT) or kept[0] != 0x45:
            return 0, None, 0, 0, 0
        _, crashes, boot, seq, up, offset = struct.unpack(KEPT, kept)
        return (crashes, boot, seq, up, offset) if up else (crashes, None, 0, 0, 0)

    def _sleep(self):
        self.outbox.spill()
        self.link.close(True)
        ms = max(1000, int(self.c["every"] * 1000) - (self.clock.now() - self.started))
        self.crashes = 0
        # The next start is the same boot: a week of sleeping without Wi-Fi is one boot and one clock, not a thousand.
        self._keep(self.clock.now() + ms)
        chip.sleep(ms)
