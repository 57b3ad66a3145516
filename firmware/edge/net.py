"""Wi-Fi: one of several networks, again and again, without standing in the way of the sensors.

Enters: [{"ssid","password"}...] and the uptime. Leaves: whether there is a network. Guarantee: `step` never waits; each network
gets `TRY` ms, then the next has its turn; after a round without luck the pause doubles, up to `PAUSE_MOST`.
"""

import network

TRY = 20_000
PAUSE, PAUSE_MOST = 2_000, 120_000


class Net:
    def __init__(self, networks, name):
        self.networks = networks
        self.wlan = network.WLAN(network.STA_IF)
        self.wlan.active(True)
        try:
            self.wlan.config(dhcp_hostname=name)
            network.WLAN(network.AP_IF).active(False)  # an ESP8266 brings an open one up by itself
        except (OSError, ValueError, AttributeError):
            pass
        self.turn = -1
        self.until = 0
        self.pause = PAUSE
        self.trying = False

    def step(self, now):
        """Whether there is a network now."""
        if self.wlan.isconnected():
            self.pause = PAUSE
            self.trying = False
            return True
        if now < self.until or not self.networks:
            return False
        if self.trying and self.turn == len(self.networks) - 1:
            self.trying = False
            self.wlan.disconnect()
            self.until = now + self.pause
            self.pause = min(2 * self.pause, PAUSE_MOST)
            self.turn = -1
            return False
        self.turn = (self.turn + 1) % len(self.networks)
        this = self.networks[self.turn]
        try:
            self.wlan.disconnect()
            self.wlan.connect(this["ssid"], this.get("password", ""))
        except OSError:
            pass  # the driver is in the middle of something: its turn passes
        self.trying = True
        self.until = now + TRY
        return False

    def about(self):
        try:
            return self.wlan.status("rssi")
        except (OSError, ValueError, TypeError):
            return None
