"""A measurement that failed, by name: `silent`, `crc`, `late`, `range`, `stuck`, `wrong`. It is counted, and never a reading."""


class Fault(OSError):
    """`name` is one of the above; the text says what to look at."""

    def __init__(self, name, text):
        super().__init__(text)
        self.name = name
        self.text = text

    def __str__(self):
        return self.text
