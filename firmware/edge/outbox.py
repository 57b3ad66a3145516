"""What was measured and no `ack` of the agent covers yet: new in RAM, in flash when it has to wait.

Enters: readings as JSON, acks, what the link does, the uptime in ms. Leaves: payloads for the topics `readings` and
`readings/batch`, oldest first. Guarantee: a reading is held until an ack of its own boot covers it, or until flash (without
flash: RAM) is full and it is the oldest; then `dropped` counts it and the agent is told (`oldest`). What waits longer than
`SPILL` ms, or has no room in RAM, is in flash and survives a power cut, under its old boot and seq. The contract is the one of
`edge_agent/decode/native.py`.

Time: `at` is uptime. Where a boot learnt the time, at any moment of it, all its readings have an exact `t`. Where it never did,
`age` says how old a reading is at least, and `after` (epoch ms) before when it was not measured, if that is known. An age is
true at the moment of sending: with an agent away the reading would grow old in the broker, so it waits here, if there is flash.
"""

import struct
from binascii import hexlify

from edge.ring import HEAD

SPILL = 5_000
RESEND, RESEND_MOST = 10_000, 60_000
BOOTS = 24  # power cuts whose readings are told apart; beyond, the oldest are given up


class Boot:
    def __init__(self, raw, offset=None):
        self.raw = raw
        self.offset = offset  # epoch ms at uptime 0; None: it never knew
        self.acked = 0
        self.held = 0
        self.last_at = 0
        self.first = None  # seq of the oldest held, where known
        self.say = False


class Outbox:
    """`raw` is this boot's 8 random bytes. `ram` readings at most in RAM, `window` on their way, `bytes` in a batch."""

    def __init__(self, raw, ring=None, ram=32, window=64, size=1024):
        self.mine = Boot(raw)
        self.ring = ring
        self.ram = []  # (seq, at, text)
        self.most = ram
        self.window = window
        self.size = size
        self.seq = 0
        self.dropped = 0
        self.online = False
        self.attended = False  # the agent is there, as far as is known
        self.ahead = 0  # in flash and on their way
        self.cursor = None  # of the first in flash that is not
        self.index = 0  # of the first in RAM that is not on its way
        self.progress = 0
        self.patience = RESEND
        self.known = 0
        self.boots = [self.mine]
        self.named = False  # in flash: whose the records are from here on
        self.acking = False
        if ring:
            self._find()

    @property
    def sent(self):
        return self.ahead + self.index

    @property
    def pending(self):
        """Readings held."""
        return len(self.ram) + sum(boot.held for boot in self.boots)

    def clock(self, offset):
        """The time is known: epoch ms at uptime 0."""
        old = self.mine.offset
        self.mine.offset = offset
        if self.named and (old is None or abs(old - offset) > 500):
            self.ring.append(b"C" + struct.pack("<q", offset))
        if self.ring:
            self.ring.about = self._about()

    def hold(self, text, at):
        """Take a reading in, JSON in bytes; its seq."""
        if len(self.ram) >= self.most:
            if self.ring:
                self.spill()
            else:
                self.ram.pop(0)
                self.dropped += 1
                self.mine.say = True
                self.index = max(0, self.index - 1)
                self.mine.first = self.ram[0][0] if self.ram else None
        self.seq += 1
        self.ram.append((self.seq, at, text))
        self.mine.last_at = at
        return self.seq

    def spill(self):
        """Put into flash what is in RAM."""
        if not self.ring or not self.ram:
            return
        if not self.named:
            self.ring.about = self._about()
            self.ring.append(b"B" + self.mine.raw)
            if self.mine.offset is not None:
                self.ring.append(b"C" + struct.pack("<q", self.mine.offset))
            self.named = True
        ram, going = self.ram, self.index
        self.ram, self.index = [], 0
        for i, (seq, at, text) in enumerate(ram):
            where = self.ring.append(b"R" + struct.pack("<IIB", seq, at & 0xFFFFFFFF, at >> 32) + text)
            self.mine.held += 1
            if i < going:
                self.ahead += 1
            elif self.cursor is None:
                self.cursor, self.whose = where, self.mine

    def connected(self, now):
        """The link is up: all goes out again, for a broker that was killed has forgotten what it acknowledged."""
        self.online = True
        self.patience = RESEND
        self._rewind(now)

    def disconnected(self):
        self.online = self.attended = False

    def acked(self, raw, seq, now):
        """The agent has all of the boot `raw` up to `seq` on its disk; how many readings that covers."""
        boot = self._known(raw)
        if boot is None:
            return 0
        boot.acked = max(boot.acked, seq)
        before = self.pending
        if self.ring:
            self._trim()
        while self.ram and self.ram[0][0] <= self.mine.acked:
            self.ram.pop(0)
            self.index = max(0, self.index - 1)
        if self.ram and not self.mine.held:
            self.mine.first = self.ram[0][0]
        if boot.first and boot.first > seq + 1 and (boot.held or boot is self.mine and self.ram):
            boot.say = True  # an agent that lost its memory waits for readings that are long gone from here
        covered = before - self.pending
        if covered:
            self.progress = now
            self.patience = RESEND
        return covered

    def due(self, now):
        """The next publication, (topic, parts of the payload), or None; its readings count as on their way from here on."""
        if self.ring and self.ram and now - self.ram[0][1] > SPILL:
            self.spill()
        if not self.online:
            return None
        if self.sent and now - self.progress >= self.patience:
            self.patience = min(2 * self.patience, RESEND_MOST)
            self._rewind(now)
        if not self.sent:
            self.progress = now
        out, size, count = [], 0, 0
        while self.sent < self.window:
            item = self._peek()
            if item is None or item[0].offset is None and self.ring and not self.attended:
                break
            text = self._encode(item, now)
            if out and size + len(text) > self.size:
                break
            self._step(item)
            out.append(b"," if out else b"[")
            out.append(text)
            size += len(text) + 1
            count += 1
        if not out:
            return None
        if count == 1:
            return "readings", out[1:]
        out.append(b"]")
        return "readings/batch", out

    # -- what goes out

    def _peek(self):
        """(boot, seq, at, text, place or None) of the next that is not on its way."""
        while self.ring and self.cursor is not None:
            got = self.ring.read(self.cursor)
            if got is None:
                self.cursor = None
                break
            place, body, about = got
            self.whose = self._whose(about, body, self.whose)
            if body[0] == 82 and self.whose:
                seq, low, high = struct.unpack_from("<IIB", body, 1)
                if seq > self.whose.acked:
                    return self.whose, seq, low | high << 32, bytes(memoryview(body)[10:]), self.ring.after(place, body)
            self.cursor = self.ring.after(place, body)
        if self.index < len(self.ram):
            return (self.mine,) + self.ram[self.index] + (None,)
        return None

    def _step(self, item):
        item[0].say = False
        if item[4] is None:
            self.index += 1
        else:
            self.cursor = item[4]
            self.ahead += 1

    def _encode(self, item, now):
        boot, seq, at, text, _ = item
        if boot.first is None:
            boot.first = seq
            boot.say = seq > 1
        oldest = ""
        if boot.say and boot.first <= seq:
            oldest = '"oldest":%d,' % boot.first
        head = '{"boot":"%s","seq":%d,%s,%s"readings":' % (
            hexlify(boot.raw).decode(), seq, self._time(boot, at, now), oldest)  # fmt: skip
        return b"".join((head.encode(), text, b"}"))

    def _time(self, boot, at, now):
        if boot.offset is not None:
            return '"t":%d' % (boot.offset + at)
        if boot is self.mine:
            return '"t":null,"age":%d' % max(0, now - at)
        i = self.boots.index(boot)
        age, clock = boot.last_at - at, self.mine.offset
        for later in self.boots[i + 1 :]:
            if later.offset is not None and clock is not None:
                age += now + clock - later.offset
                break
            age += now if later is self.mine else later.last_at
        after = self.known
        for earlier in self.boots[:i]:
            if earlier.offset is not None:
                after = earlier.offset + earlier.last_at
            elif after:
                after += earlier.last_at
        return '"t":null,"age":%d' % max(0, age) + (',"after":%d' % (after + at) if after else "")

    def _rewind(self, now):
        for boot in self.boots:
            boot.first = None
        self.index = self.ahead = 0
        self.progress = now
        if self.ring:
            self.cursor, self.whose = self.ring.tail, self.owner

    # -- flash

    def _about(self):
        return self.mine.raw + struct.pack("<q", self.mine.offset or 0)

    def _find(self):
        """Learn from flash what it holds."""
        ring = self.ring
        ring.lost = self._evict
        ring.about = self._about()
        self.cursor = self.whose = self.owner = None
        where, boot, self.boots = ring.tail, None, []
        while True:
            got = ring.read(where)
            if got is None:
                break
            place, body, about = got
            boot = self._whose(about, body, boot, True)
            if body[0] == 82 and boot:
                seq, low, high = struct.unpack_from("<IIB", body, 1)
                boot.held += 1
                boot.last_at = low | high << 32
            elif body[0] == 65:
                self._boot(bytes(body[1:9])).acked = struct.unpack_from("<I", body, 9)[0]
            where = ring.after(place, body)
        self.boots.append(self.mine)
        for old in self.boots[: -1 - BOOTS]:
            old.acked = 0xFFFFFFFF
            self.dropped += old.held
        self._trim()
        self.acking = False
        self.cursor, self.whose = ring.tail, self.owner

    def _boot(self, raw, offset=None):
        for boot in self.boots:
            if boot.raw == raw:
                return boot
        boot = Boot(raw, offset)
        self.boots.append(boot)
        return boot

    def _whose(self, about, body, boot, learn=False):
        """Whose the record is: its sector's boot, the boot it names, else `boot` as before."""
        if about and (learn or boot is None or boot.raw != about[:8]):
            boot = self._known(about[:8], learn)
        if about and learn:
            offset = struct.unpack("<q", about[8:])[0]
            boot.offset = offset or boot.offset
        if body[0] == 66:
            boot = self._known(bytes(body[1:9]), learn)
        elif body[0] == 67 and learn and boot:
            boot.offset = struct.unpack_from("<q", body, 1)[0]
        return boot

    def _known(self, raw, learn=False):
        if learn:
            return self._boot(raw)
        for boot in self.boots:
            if boot.raw == raw:
                return boot
        return None  # nothing of it is held

    def _pass(self, place, body, boot):
        """The tail goes on over a record; what was on its way is so no longer."""
        if body[0] == 82 and boot:
            boot.held -= 1
            self.ahead = max(0, self.ahead - 1)
        self.ring.tail, self.owner = self.ring.after(place, body), boot

    def _trim(self):
        """Move the tail over all that is acked."""
        ring = self.ring
        while True:
            got = ring.read(ring.tail)
            if got is None:
                break
            place, body, about = got
            boot = self._whose(about, body, self.owner)
            if body[0] == 82 and boot:
                seq = struct.unpack_from("<I", body, 1)[0]
                if seq > boot.acked:
                    boot.first = seq
                    break
                self.acking = True
            self._pass(place, body, boot)
        if not self.ahead:
            self.cursor, self.whose = ring.tail, self.owner
        if self.acking and not any(boot.held for boot in self.boots):
            self.acking = False  # once per outage, so that a restart does not send it all again
            last = self.owner or self.mine
            ring.append(b"A" + last.raw + struct.pack("<I", last.acked))
        self._forget()

    def _forget(self):
        for boot in self.boots[:]:
            if boot is not self.mine and not boot.held:
                if boot.offset is not None:
                    self.known = boot.offset + boot.last_at
                self.boots.remove(boot)

    def _evict(self, sector):
        """The ring needs this sector, its oldest: what it holds is lost."""
        ring = self.ring
        while True:
            got = ring.read(ring.tail)
            if got is None or got[0][0] != sector:
                break
            place, body, about = got
            boot = self._whose(about, body, self.owner)
            if body[0] == 82 and boot:
                seq = struct.unpack_from("<I", body, 1)[0]
                if seq > boot.acked:
                    self.dropped += 1
                    boot.say, boot.first = True, seq + 1
            self._pass(place, body, boot)
        if not self.ahead or self.cursor and self.cursor[0] == sector:
            self.ahead = 0
            self.cursor, self.whose = ((sector + 1) % ring.count, HEAD), self.owner
        self._forget()
