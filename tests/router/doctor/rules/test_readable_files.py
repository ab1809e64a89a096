"""Files that others may read."""

from __future__ import annotations

from pathlib import Path

from router.doctor.facts import ReadableFile
from router.doctor.rules.readable_files import judge
from tests.router.doctor.made_facts import facts, lines


def test_file_counts_if_it_holds_what_is_not_for_others() -> None:
    files = (
        ReadableFile("config", Path("/c/config.json")),
        ReadableFile("instances", Path("/c/data/p/x.json"), ("env.A", "env.B", "env.C", "env.D")),
        ReadableFile("log", Path("/c/logs/x.log")),
        ReadableFile("secrets", Path("/c/secrets.json")),
    )
    readable = "other users of this machine may read it, and it holds"
    assert lines(judge, facts(readable=files)) == [
        f"warning /c/data/p/x.json: {readable} a secret (env.A, env.B, env.C, …) -> chmod 600 "
        "/c/data/p/x.json",
        f"warning /c/logs/x.log: {readable} what clients and servers said -> chmod 600 "
        "/c/logs/x.log",
        f"note /c/secrets.json: {readable} the names of all secrets -> chmod 600 /c/secrets.json",
    ]
