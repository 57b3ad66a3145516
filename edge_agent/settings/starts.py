"""The settings of `[functions.starts]`: how quickly workers may be started on this machine, and when they had better wait.

What is not set depends on the machine and on the runner: `engine.functions.limits` has the numbers.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from edge_agent.domain.quantities import parse_size
from edge_agent.settings.fields import Section


class Starts(Section):
    """When workers may be started. Starts that have to wait are delayed, never dropped."""

    per_second: Annotated[float, Field(ge=0, le=10_000)] | None = None
    """Starts of workers in a second, of all functions together, beside what `burst` allows at once; 0 is no limit. Default:
    with Kubernetes 2 for each core of this machine, which is a little more than two cores were measured to do, so that
    they always have one to do; processes 200 for each core."""
    burst: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Starts at once after a quiet time. Workers that only wait in advance leave a quarter of it to events. Default: what
    `per_second` allows in five seconds with Kubernetes, in one second with processes."""
    memory_reserve: Annotated[int | None, BeforeValidator(parse_size)] = None
    """Memory that starts leave free; bytes. A worker starts when its declared `memory` fits into what is available beside
    this; 0 does not look. Default: a twelfth of the machine's memory, 64 MiB at least and 512 MiB at most. Not looked at
    with Kubernetes, where a worker may run on another machine and the scheduler sees to memory."""
    hot: Annotated[float, Field(ge=0, le=150)] = 80.0
    """From this temperature on, or while the firmware slows the board down or its supply is too weak, events get one worker
    every 10 seconds, and workers in advance one a minute; degrees Celsius; 0 does not look. A Raspberry Pi slows itself
    down from 80 degrees on. With several nodes it is the gateway's temperature: 0 if the others do the work."""
    pressure: bool = True
    """Whether starts slow down while the kernel says that work stands still for want of memory, disk or processor
    (/proc/pressure; Raspberry Pi kernels need psi=1 in cmdline.txt). The limits are fixed: 10 % of the time for memory,
    50 % for the disk; a processor that somebody waits for 95 % of the time slows workers in advance alone, to one a second."""
