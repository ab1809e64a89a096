"""Carries a plan out: backup, row of the ledger, file of the client, in this order.

Whenever it is stopped, the client has its old or its new file, and `undo` can bring the old one
back. All functions block on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.client_files.installing.file_writes import (
    check_unchanged,
    remove_content,
    write_content,
)
from router.client_files.installing.ledger import Row, sha256_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from router.client_files.installing.ledger import Ledger
    from router.client_files.installing.plans import FilePlan


def carry_out_install(plan: FilePlan, ledger: Ledger, now: datetime) -> None:
    """Change the file of a client as planned, with a row in the ledger.

    Args:
        plan: with something to do.
        ledger: of this user.
        now: the time, in UTC.

    Raises:
        ConfigError: the file has changed since it was read, or cannot be written.
        OSError: the backup or the ledger cannot be written; the file is as it was.
    """
    content, after = plan.content, plan.after
    sha256_after = sha256_of(after)
    assert after is not None  # nothing is removed by `install`
    assert sha256_after is not None
    with ledger.locked():
        check_unchanged(content)
        backup = None
        if content.data is not None:
            backup = ledger.save_backup(plan.client, content.path, content.data, now)
        ledger.add(
            Row(
                plan.client,
                str(content.path),
                plan.format,
                now.isoformat(timespec="seconds"),
                sha256_after,
                list(plan.changes),
                sha256_of(content.data),
                backup,
                [str(folder) for folder in plan.made_folders],
            )
        )
        write_content(content, after)


def carry_out_uninstall(plan: FilePlan, ledger: Ledger, rows: Sequence[Row]) -> None:
    """Change the file of a client back as planned, and forget the rows.

    A file that is exactly as it was needs no backups any more; they would only keep its tokens.

    Raises:
        ConfigError: the file has changed since it was read, or cannot be written.
        OSError: the ledger cannot be written; running the command again is then enough.
    """
    with ledger.locked():
        if not plan.is_nothing:
            if plan.after is None:
                remove_content(plan.content, plan.made_folders)
            else:
                write_content(plan.content, plan.after)
        ledger.write([row for row in ledger.rows() if row not in rows])
        if sha256_of(plan.after) == rows[0].sha256_before:
            ledger.remove_backups(rows)
