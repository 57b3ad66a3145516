"""Back to where the last life of the agent ended, however it ended.

The journal's rows give exact states up to some commit, and the samples of later commits are shown again to watermarks and
rules, silently: whatever they caused then is already on record.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from edge_agent.app.parts import Parts
from edge_agent.domain.function import FunctionSpec
from edge_agent.errors import EdgeError
from edge_agent.ports import Entries

log = logging.getLogger(__name__)


def begin(parts: Parts) -> None:
    """Watermarks and devices; rules follow once they are declared (`rules`)."""
    parts.pipeline.watermarks.load(parts.journal.watermarks())
    try:
        latest = parts.history.latest()
    except EdgeError as error:
        log.warning("starting without the last values, for the history does not answer: %s", error)
        latest = {}
    known = parts.journal.devices()
    parts.devices.begin(latest, known)
    for _, about in known.values():
        if about is not None:
            parts.pipeline.rules.learn(about)
    again = 0
    for _, _, samples in parts.journal.every_batch():
        for sample in samples:
            if parts.pipeline.watermarks.admit(sample):
                again += 1
            parts.pipeline.touched.add((sample.device, sample.boot))
            parts.devices.saw(sample)
    parts.pipeline.watermarks.duplicates = 0
    if again:
        log.info("%d samples of the last life are still to go to the history", again)


def rules(parts: Parts) -> None:
    """What each rule remembers, exactly as it was when the last commit was made."""
    book = parts.pipeline.rules
    book.restore(parts.journal.rule_states())
    for number, _, samples in parts.journal.every_batch():
        for sample in samples:
            book.remember(sample, number)


def triggers(parts: Parts, functions: Mapping[str, FunctionSpec]) -> None:
    """How far each schedule got, and what the broker is to send."""
    pipeline = parts.pipeline
    pipeline.crons.restore(parts.journal.crons())
    marks = pipeline.crons.replace(functions, parts.clock())
    if marks:
        parts.journal.commit(Entries(crons=marks))
    pipeline.triggers.replace(functions)
    parts.subscriptions.change(pipeline.triggers.subscriptions())
