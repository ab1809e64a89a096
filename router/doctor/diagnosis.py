"""Gathers the facts about a router and its surroundings, and has all rules judge them.

Invariants: nothing is started, and nothing is written; what cannot be looked at fails nothing. No
finding shows a secret that an entry has or refers to.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from router.client_files.clients.client import Machine
from router.client_files.clients.table import CLIENTS
from router.client_files.reading.discovery import read_clients
from router.config.options import merge, with_data_folder, with_log_folder
from router.config.settings import Settings, settings_as_written, settings_or_defaults
from router.doctor import login_rules
from router.doctor.facts import Facts, Running
from router.doctor.findings import worst_first
from router.doctor.rules import (
    clients,
    commands,
    installation,
    instances,
    names,
    ports,
    readable_files,
    service_variables,
    tokens,
    written_files,
)
from router.doctor.system.distributions import find_foreign
from router.doctor.system.processes import find_owners, find_routers
from router.doctor.system.readable_files import find_readable
from router.doctor.system.service_units import surroundings
from router.instance_files.catalogue_folder import CatalogueFolder
from router.instance_files.pin_file import read_pins
from router.instance_files.reader import load_instances
from router.instance_files.reference_uses import find_variable_uses
from router.logs.masks import Masks
from router.messages.errors import ConfigError
from router.secret_store.store import SecretStore
from router.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.config.options import Options, Paths
    from router.doctor.findings import Finding

RULES: Final = (
    written_files,
    service_variables,
    installation,
    ports,
    commands,
    tokens,
    names,
    instances,
    login_rules,
    readable_files,
    clients,
)


def diagnose(facts: Facts) -> list[Finding]:
    """Return all findings, each once, the worst first, with known secrets masked."""
    findings = [finding for rule in RULES for finding in rule.judge(facts)]
    masks = Masks()
    masks.add(facts.secrets)
    return worst_first(_masked(one, masks) for one in findings if not _is_said(one, findings))


def _masked(finding: Finding, masks: Masks) -> Finding:
    subject, problem = masks.mask(finding.subject), masks.mask(finding.problem)
    return replace(finding, subject=subject, problem=problem, fix=masks.mask(finding.fix))


def _is_said(finding: Finding, findings: Sequence[Finding]) -> bool:
    """Return whether an instance is down because of a command that is a finding of its own."""
    if finding.topic != "instances" or "command not found" not in finding.problem:
        return False
    return any(one.topic == "commands" and one.subject == finding.subject for one in findings)


def gather(
    paths: Paths,
    options: Options,
    environ: Mapping[str, str],
    running: Running,
    problems: Sequence[str],
    notes: Sequence[str],
) -> Facts:
    """Return the facts about the router of these files. Blocks on disk.

    Args:
        paths: of the files, as `options.locate` has them.
        options: of the command line.
        environ: the environment of this shell.
        running: the answer of the running router.
        problems: as `mcp-router check` finds them.
        notes: of the same.
    """
    written = _written(paths.config)
    settings = _resolved(paths.config, environ, options, written)
    paths = with_data_folder(paths, options, written.watcher.watch_path)
    paths = with_log_folder(paths, written.logging.directory)
    loaded = load_instances(paths.data, environ, secrets_file=paths.secrets)
    return Facts(
        config=paths.config,
        settings=settings,
        written=written,
        version=VERSION,
        problems=tuple(problems),
        notes=tuple(notes),
        specs=loaded.specs,
        known=CatalogueFolder(paths.cache).read(loaded.specs),
        surroundings=surroundings(paths.config, environ, Path.home()),
        variables=find_variable_uses(paths.config, paths.data),
        owners=find_owners(ports.wanted_ports(settings)),
        processes=find_routers(),
        running=running,
        readable=find_readable(paths, written),
        foreign=find_foreign(),
        clients=tuple(read_clients(CLIENTS, Machine.this_one())),
        secrets=loaded.secrets,
        secrets_problem=_problem_of_secrets(paths, environ),
        pins_problem=_problem_of_pins(paths, settings),
    )


def _written(config: Path) -> Settings:
    try:
        return settings_as_written(config)
    except ConfigError:
        return Settings()  # `problems` has the reason


def _resolved(
    config: Path, environ: Mapping[str, str], options: Options, written: Settings
) -> Settings:
    try:
        return merge(settings_or_defaults(config, environ), options)
    except ConfigError:
        return written


def _problem_of_secrets(paths: Paths, environ: Mapping[str, str]) -> str:
    try:
        SecretStore.open(paths, environ).names()
    except ConfigError as exc:
        return str(exc)
    return ""


def _problem_of_pins(paths: Paths, settings: Settings) -> str:
    if settings.security.pinning == "off":
        return ""
    try:
        read_pins(paths.pins)
    except ConfigError as exc:
        return str(exc)
    return ""
