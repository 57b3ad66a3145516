"""Run with `make test`, or with pytest."""

import json
import unittest
from pathlib import Path

from handler import handler

EVENT = json.loads(Path(__file__).with_name("event.json").read_text(encoding="utf-8"))


class Handler(unittest.TestCase):
    def test_it_says_what_the_device_measured(self):
        self.assertEqual(handler(EVENT, None), {"message": "tank-1 says 18.2"})

    def test_an_event_without_data_is_an_error(self):
        with self.assertRaises(KeyError):
            handler({}, None)


if __name__ == "__main__":
    unittest.main()
