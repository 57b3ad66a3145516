"""What MicroPython runs at every start. A fault ends in a restart, not in silence."""

import sys


def main():
    from edge import chip
    from edge.board import Board
    from edge.config import Config
    from edge.net import Net

    config = Config()
    net = Net(config.values["networks"], config.values["device"])
    try:
        Board(config, net).run()
    except Exception as error:
        sys.print_exception(error)
        chip.restart()


main()
