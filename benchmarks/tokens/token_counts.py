"""Counts the tokens of texts, by the tokenizer of GPT (o200k) that an npm package ships."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.search.real_servers import CACHE, PACKAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM: Final = Path(__file__).with_name("count_tokens.cjs")
"""Reads texts and writes their numbers of tokens, in a folder that has the package."""

LIMIT_S: Final = 60.0


def is_installed() -> bool:
    """Return whether that package is there."""
    return (PACKAGES / "gpt-tokenizer").exists()


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Return the tokens of each text.

    Raises:
        OSError: there is no `node`.
        CalledProcessError: the package is not installed.
    """
    ended = subprocess.run(
        ["node", str(PROGRAM)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        cwd=CACHE,
        timeout=LIMIT_S,
    )
    return json.loads(ended.stdout)
