"""The version of this program, and nothing else.

Neighbours: `pyproject.toml` reads it at build time, `cli` prints it, MCP peers are told it.
A constant, since `importlib.metadata` costs more to import than all of the command line.
"""

from typing import Final

VERSION: Final = "2.0.0"
