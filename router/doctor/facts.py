"""Defines the facts that the rules of `mcp-router doctor` judge. Data only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

    from router.client_files.reading.discovery import ReadFile
    from router.config.settings import Settings
    from router.messages.catalog import KnownServer
    from router.messages.instances.instance_spec import InstanceSpec

FileKind: TypeAlias = Literal["config", "instances", "secrets", "log"]


class Process(Struct, frozen=True):
    """A process of this machine that serves as an MCP Router.

    Attributes:
        pid: its number.
        command: its words.
        is_deleted: True if its program is not on disk any more.
        version: of the package that lies where it was started from; empty if that is not known.
        is_outdated: True if that package was installed after the process had started.
        config: the config file that it reads; None if that is not known.
    """

    pid: int
    command: tuple[str, ...] = ()
    is_deleted: bool = False
    version: str = ""
    is_outdated: bool = False
    config: Path | None = None


class PortOwner(Struct, frozen=True):
    """A socket that listens on a port.

    Attributes:
        port: the port.
        pid: of a process that has it; None if the system does not say.
        command: the words of that process.
    """

    port: int
    pid: int | None = None
    command: tuple[str, ...] = ()


class Surroundings(Struct, frozen=True):
    """The surroundings that a router gets from a unit of systemd, or from this shell.

    Attributes:
        whose: the path of the unit, or "this shell".
        path: `PATH`, in which the commands of servers are looked for.
        variables: the names of the variables that the unit sets.
        credentials: the names of the credentials that the unit passes.
        is_unit: True for a unit; of a shell, the variables are not listed.
    """

    whose: str
    path: str
    variables: frozenset[str] = frozenset()
    credentials: frozenset[str] = frozenset()
    is_unit: bool = False


class ReadableFile(Struct, frozen=True):
    """A file that other users of the machine may read.

    Attributes:
        kind: what it is.
        path: the file.
        secrets: the places in it that hold a literal secret.
    """

    kind: FileKind
    path: Path
    secrets: tuple[str, ...] = ()


class InstanceState(Struct, frozen=True):
    """An instance as a running router shows it.

    Attributes:
        unapproved: the names of its tools that are not as they were approved.
    """

    name: str
    state: str
    reason: str = ""
    retry_in_s: float | None = None
    unapproved: tuple[str, ...] = ()


class Login(Struct, frozen=True):
    """A login at a remote server, as a running router shows it.

    Attributes:
        instance: its name.
        logged_in: there is a token.
        expires_at_s: Unix time at which it expires; None if that is not known.
        renewed: a new one is had without a person.
        problem: why it could not be renewed; empty if it could.
    """

    instance: str
    logged_in: bool = False
    expires_at_s: float | None = None
    renewed: bool = False
    problem: str = ""


class Running(Struct, frozen=True):
    """The answer of a running router.

    Attributes:
        url: where it was asked.
        version: as it says; empty if it did not answer.
        instances: their states.
        logins: at those of its instances that are remote and have one login for everybody.
        problem: the reason why it did not answer.
    """

    url: str = ""
    version: str = ""
    instances: tuple[InstanceState, ...] = ()
    logins: tuple[Login, ...] = ()
    problem: str = ""


class Facts(Struct, frozen=True):
    """All facts.

    Attributes:
        problems: of config.json and data/, one line each, as `mcp-router check` has them.
        notes: of the same, which may be no mistakes.
        settings: the settings with their tokens resolved, as far as they can be read.
        written: the settings as they are written.
        config: the path of `config.json`.
        specs: the instances.
        known: name -> the last known server of an instance.
        surroundings: those of the services of this router, else that of this shell.
        variables: name of a variable that is referred to without a default -> its places.
        owners: who listens on the ports of this router.
        processes: routers that run on this machine.
        running: the answer of the router.
        readable: files that others may read.
        foreign: sentences about packages of other distributions that have the names of ours.
        clients: the files of clients.
        version: of this program.
        secrets: values that must not be shown.
        secrets_problem: the reason why the file of secrets is refused; empty if it is not.
        pins_problem: the reason why the file of approved tools cannot be used; empty if it can, or
            if tools are not pinned.
    """

    config: Path
    settings: Settings
    written: Settings
    version: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    specs: tuple[InstanceSpec, ...] = ()
    known: dict[str, KnownServer] = {}
    surroundings: tuple[Surroundings, ...] = ()
    variables: dict[str, tuple[str, ...]] = {}
    owners: tuple[PortOwner, ...] = ()
    processes: tuple[Process, ...] = ()
    running: Running = Running()
    readable: tuple[ReadableFile, ...] = ()
    foreign: tuple[str, ...] = ()
    clients: tuple[ReadFile, ...] = ()
    secrets: frozenset[str] = frozenset()
    secrets_problem: str = ""
    pins_problem: str = ""

    @property
    def own_processes(self) -> tuple[Process, ...]:
        """The routers that read this config file, or may do so."""
        own = (None, self.config.resolve())
        return tuple(process for process in self.processes if process.config in own)
