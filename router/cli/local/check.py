"""Finds every problem of `config.json` and `data/` by reading them as a start would.

Invariant: nothing is started, and nothing is written.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from router.access.admission import check_exposures
from router.cli.local.login_checks import login_notes
from router.config.code_extra import PROBLEM, find_missing_extra, how_to_install
from router.config.options import merge, with_data_folder
from router.config.profiles import find_shared_names, find_unknown_view, may_be_instance
from router.config.security.tokens import SHORTEST_TOKEN, find_short_tokens
from router.config.settings import Settings, settings_or_defaults
from router.core.names.exposed_catalog import expose
from router.core.text.nearest_names import did_you_mean
from router.instance_files.catalogue_folder import CatalogueFolder
from router.instance_files.reader import load_instances, problem_of
from router.messages.errors import ConfigError
from router.messages.instances.exposure import EVERYTHING, matches_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.config.options import Options, Paths
    from router.instance_files.reader import LoadedInstances
    from router.messages.instances.instance_spec import InstanceSpec


class Findings(Struct, frozen=True):
    """The result of a check.

    Attributes:
        problems: one line each, with the file and the path in it.
        profiles: one line each, with the instances that it shows.
        summary: one line that counts the problems and the usable instances.
        notes: one line each, about what may be a mistake, or is none and may surprise.
    """

    problems: tuple[str, ...]
    profiles: tuple[str, ...]
    summary: str
    notes: tuple[str, ...] = ()


def check(paths: Paths, options: Options, environ: Mapping[str, str]) -> Findings:
    """Read everything that a start with these options would read.

    Args:
        paths: of the files.
        options: of the command line.
        environ: the variables that `${VAR}` refers to, and where the credentials are.
    """
    settings, problems = _read_settings(paths, options, environ)
    paths = with_data_folder(paths, options, settings.watcher.watch_path)
    if options.data is not None and not paths.data.is_dir():
        problems.append(str(ConfigError("--data", f"there is no folder {paths.data}")))
    loaded = load_instances(paths.data, environ, secrets_file=paths.secrets)
    problems += map(str, loaded.problems)
    for spec in loaded.specs:
        if spec.problem is not None:
            # The reader joins the problems of one entry; here each has a line.
            joined = str(problem_of(spec))
            problems += joined.replace(f"; {spec.source}: ", f"\n{spec.source}: ").splitlines()
    sources = {spec.name: spec.source for spec in loaded.specs}
    problems += map(str, find_shared_names(settings.profiles, sources, paths.config.name))
    problems += map(str, find_unknown_view(options.view, settings.profiles, sources))
    profiles = tuple(_shown_by_profiles(settings, loaded))
    summary = _summary(paths, loaded, len(problems))
    absent = _absent_instances(settings, loaded, paths.config.name)
    short = () if problems else _short_tokens(settings, paths.config.name)
    logins = login_notes(paths, settings, loaded.specs)
    extra = _missing_extra(settings, paths.config.name)
    notes = (*short, *extra, *_notes(loaded), *logins, *absent, *_unknown_names(paths, loaded))
    return Findings(tuple(problems), profiles, summary, notes)


def check_view(
    options: Options, settings: Settings, paths: Paths, environ: Mapping[str, str]
) -> None:
    """Check that there is one view that `--view` names. Blocks on disk where it is no profile.

    Raises:
        ConfigError: there is none, or an instance has the name too; its text names the way out.
    """
    view = options.view
    if not may_be_instance(view, settings.profiles):
        return
    specs = load_instances(paths.data, environ, secrets_file=paths.secrets).specs
    for error in find_unknown_view(view, settings.profiles, [spec.name for spec in specs]):
        raise error


def _read_settings(
    paths: Paths, options: Options, environ: Mapping[str, str]
) -> tuple[Settings, list[str]]:
    """Return the settings, or the defaults if they cannot be read, and their problems."""
    settings = Settings()
    try:
        settings = merge(settings_or_defaults(paths.config, environ), options)
        hosts = {"config.json: server.host": settings.server.host}
        if settings.api.enabled:
            hosts["config.json: api.host"] = settings.api.host
        check_exposures(hosts, settings.security)
    except ConfigError as exc:
        return settings, str(exc).splitlines()
    return settings, []


def _shown_by_profiles(settings: Settings, loaded: LoadedInstances) -> Iterator[str]:
    for name, profile in settings.profiles.items():
        shown = [spec.name for spec in loaded.specs if matches_any(spec.name, profile.instances)]
        yield f"Profile {name} ({profile.expose}) shows {', '.join(shown) or 'no instance'}"


def _short_tokens(settings: Settings, file: str) -> Iterator[str]:
    """Yield a note for each token that is good enough only because nobody else can try it."""
    security = settings.security
    for error in find_short_tokens(security.bearer_token, security.tokens, f"{file}: security"):
        problem = f"is shorter than {SHORTEST_TOKEN} characters, which is for this machine alone"
        yield f"Note: {error.place}: {problem}; behind a reverse proxy use a longer one"


def _missing_extra(settings: Settings, file: str) -> Iterator[str]:
    for name in find_missing_extra(settings.profiles):
        yield f"Warning: {file}: profiles.{name}: {PROBLEM}; run: {how_to_install()}"


def _notes(loaded: LoadedInstances) -> Iterator[str]:
    for spec in loaded.specs:
        yield from (f"Warning: {warning}" for warning in spec.warnings)
        yield from _sandbox_problems(spec)
    ignored = [place for spec in loaded.specs for place in spec.ignored]
    if ignored:
        why = "no effect here, since each client decides which tools it runs without asking"
        yield f"Note: {why}: {', '.join(ignored)}"


def _sandbox_problems(spec: InstanceSpec) -> Iterator[str]:
    if spec.sandbox is None:
        return
    # For start-up time: few instances have a sandbox.
    from transports.connect.stdio.command import environment
    from transports.connect.stdio.sandbox.confinement import sandbox_problems

    for problem in sandbox_problems(spec, environment(os.environ, spec.env)):
        yield f"Warning: {spec.source}: {spec.name}: {problem}"


def _absent_instances(settings: Settings, loaded: LoadedInstances, file: str) -> Iterator[str]:
    """Yield a note for each instance that a profile or a token names and that is not there yet."""
    names = [spec.name for spec in loaded.specs]
    lists = {f"profiles.{name}": one.instances for name, one in settings.profiles.items()}
    for name, token in settings.security.tokens.items():
        lists[f"security.tokens.{name}"] = tuple(token.instances or ())
    for index, issuer in enumerate(settings.security.oauth.issuers):
        lists[f"security.oauth.issuers[{index}]"] = tuple(issuer.instances or ())
    for place, instances in lists.items():
        for name in instances:
            if name not in names and not {"*", "?"} & set(name):
                problem = f"there is no instance '{name}' yet" + did_you_mean(name, names)
                yield f"Note: {file}: {place}.instances: {problem}"


def _unknown_names(paths: Paths, loaded: LoadedInstances) -> Iterator[str]:
    """Yield a note for each name in a filter that the server did not offer when it was last asked.

    A server that was never ready, or whose lists are not kept, is not judged.
    """
    filtered = [spec for spec in loaded.specs if spec.exposure != EVERYTHING]
    known = CatalogueFolder(paths.cache).read(filtered)
    for spec in filtered:
        if spec.name in known:
            for problem in expose(known[spec.name].catalog, spec.exposure).unknown:
                yield f"Note: {spec.source}: {problem} (by its last known lists)"


def _summary(paths: Paths, loaded: LoadedInstances, problems: int) -> str:
    where = f"{paths.config} and {paths.data}"
    if not paths.config.exists():
        where = f"{paths.data} ({paths.config} is not there: it would have the defaults)"
    usable = [spec for spec in loaded.specs if spec.problem is None]
    inactive = sum(not spec.is_active for spec in usable)
    instances = f"{_count(len(usable), 'instance')} that can be started"
    if inactive:
        instances += f", {inactive} of them inactive"
    return f"{_count(problems, 'problem') if problems else 'No problem'} in {where}; {instances}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
