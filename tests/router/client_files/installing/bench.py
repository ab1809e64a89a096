"""A machine with clients on it, and the two commands without their terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router.client_files.clients.table import client_named
from router.client_files.installing.carry_out import carry_out_install, carry_out_uninstall
from router.client_files.installing.entries import entry_for
from router.client_files.installing.ledger import Ledger
from router.client_files.installing.linked_router import LinkedRouter
from router.client_files.installing.plans import FilePlan, plan_install
from router.client_files.installing.targets import Target, target_of
from router.client_files.installing.undo import plan_uninstall
from tests.router.client_files.shapes import machine_at

if TYPE_CHECKING:
    from collections.abc import Collection

    from router.client_files.clients.client import Machine

NOW: Final = datetime(2026, 11, 30, 12, tzinfo=UTC)
ROUTER: Final = LinkedRouter(
    ("/opt/mcp-router/bin/mcp-router",),
    Path("/home/somebody/router/config.json"),
    "http://127.0.0.1:3000/mcp",
)


class Bench(Struct, frozen=True):
    """One user's clients, and what was done to them.

    Attributes:
        machine: has the files of the clients.
        ledger: of the user.
    """

    machine: Machine
    ledger: Ledger

    @classmethod
    def at(cls, folder: Path) -> Bench:
        """Return a user with no client."""
        return cls(machine_at(folder), Ledger(folder / "state" / "clients"))

    def target(self, client: str) -> Target:
        """Return the file of a client that is written to."""
        return target_of(client_named(client), self.machine)

    def plan(
        self, client: str, router: LinkedRouter = ROUTER, moved: Collection[str] = ()
    ) -> FilePlan:
        """Return what `install` would do."""
        return plan_install(self.target(client), entry_for(client_named(client), router), moved)

    def install(
        self, client: str, router: LinkedRouter = ROUTER, moved: Collection[str] = ()
    ) -> FilePlan:
        """Put the router into a client."""
        plan = self.plan(client, router, moved)
        if not plan.is_nothing:
            carry_out_install(plan, self.ledger, NOW)
        return plan

    def uninstall(self, client: str) -> FilePlan:
        """Take the router out of a client that has it."""
        rows = [row for row in self.ledger.rows() if row.client == client]
        plan = plan_uninstall(self.ledger, rows)
        carry_out_uninstall(plan, self.ledger, rows)
        return plan
