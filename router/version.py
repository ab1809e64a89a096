"""The version of this program, as a constant: `importlib.metadata` is slow to import.

`pyproject.toml` reads it at build time.
"""

from typing import Final

VERSION: Final = "2.0.0"
