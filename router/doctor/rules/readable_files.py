"""Judges files that other users of the machine may read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.doctor.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.doctor.facts import Facts, FileKind, ReadableFile

_WHAT: Final[dict[FileKind, str]] = {
    "config": "a token",
    "instances": "a secret",
    "secrets": "the names of all secrets",
    "log": "what clients and servers said",
}

_SHOWN: Final = 3


def judge(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each file that others may read and that is not for them."""
    for file in facts.readable:
        # Files without literal secrets tell nothing that matters.
        if file.secrets or file.kind in ("log", "secrets"):
            yield _finding(file)


def _finding(file: ReadableFile) -> Finding:
    shown = ", ".join(file.secrets[:_SHOWN]) + (", …" if len(file.secrets) > _SHOWN else "")
    where = f" ({shown})" if shown else ""
    problem = f"other users of this machine may read it, and it holds {_WHAT[file.kind]}{where}"
    severity = "note" if file.kind == "secrets" else "warning"
    return Finding(severity, "readable files", str(file.path), problem, f"chmod 600 {file.path}")
