"""Keeps apart the worker threads that import libraries while the router runs.

Modules of the MCP SDK import each other. Where two threads import such modules at once, Python does
not let them wait for each other for ever: one of them gets a module that is only half there, and
fails.

Invariant: whatever imports the SDK, or a library that it uses, in a worker thread holds `IMPORTING`
meanwhile.
"""

from __future__ import annotations

from threading import RLock
from typing import Final

IMPORTING: Final = RLock()
"""Held by the one thread that imports."""
