"""Words how it is with a login, for a person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from router.cli.text_columns import safe_line


def login_line(login: dict[str, Any]) -> str:
    """Return a line about a login, such as `github: logged in at https://…, scopes …, until …`.

    Args:
        login: as `GET /api/instances/{name}/login` shows it.
    """
    name = safe_line(login["instance"])
    whose = f" for {safe_line(login['person'])}" if login.get("person") else ""
    if not login["logged_in"]:
        problem = login.get("problem")
        return f"{name}: not logged in{whose}" + (f": {safe_line(problem)}" if problem else "")
    parts = [f"{name}: logged in{whose} at {safe_line(login['issuer'] or 'its server')}"]
    if login["scopes"]:
        parts.append(f"scopes {safe_line(' '.join(login['scopes']))}")
    expires_at_s = login.get("expires_at_s")
    if login.get("renewed"):
        parts.append("renewed by itself")
    elif expires_at_s is not None:
        parts.append(f"until {_time(expires_at_s)}")
    return ", ".join(parts)


def _time(unix_s: float) -> str:
    """Return a time as the clock of this machine shows it."""
    try:
        return datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M %Z").strip()
    except (OverflowError, OSError, ValueError):  # no calendar has that year
        return "a time far away"
