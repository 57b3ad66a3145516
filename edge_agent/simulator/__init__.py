"""Boards that are not there: real MQTT clients that keep the board's side of the promise (`edge_agent.decode.native`).

`board` is the logic, without a socket or a clock; `fleet` runs many boards over links it is given
(`adapters.board_paho`); `profiles` are what they measure, one file each, found by being there; `faults` is what goes
wrong with real ones; `replay` plays a recorded series.
"""
