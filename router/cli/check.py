"""What is wrong with the configuration, found without starting anything.

Job: read `config.json` and `data/` as a start would, and collect every problem. Neighbours: `cli`
prints what is found; `settings`, `auth` and `store` know what is right. Nothing is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from router.access.admission import check_exposures
from router.config.options import merge, with_data_folder
from router.config.settings import Settings, settings_or_defaults
from router.instance_files.reader import load_instances, problem_of
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.config.options import Options, Paths
    from router.instance_files.reader import LoadedInstances
    from router.messages.instance_spec import InstanceSpec


@attrs.frozen
class Findings:
    """What was found.

    Attributes:
        problems: one line each, with the file and the path in it.
        summary: one line for a person.
    """

    problems: tuple[str, ...]
    summary: str


def check(paths: Paths, options: Options, environ: Mapping[str, str]) -> Findings:
    """Read everything that a start with these options would read.

    Args:
        paths: of the files.
        options: of the command line.
        environ: what `${VAR}` stands for.
    """
    settings, wrong = _config(paths, options)
    paths = with_data_folder(paths, options, settings.watcher.watch_path)
    loaded = load_instances(paths.data, environ)
    problems = (*wrong, *_in_place(paths, options), *_in_data(loaded))
    return Findings(problems, _summary(paths, loaded, len(problems)))


def _config(paths: Paths, options: Options) -> tuple[Settings, list[str]]:
    """The settings, as far as they can be told, and what is wrong with them."""
    settings = Settings()
    try:
        settings = merge(settings_or_defaults(paths.config), options)
        hosts = {"config.json: server.host": settings.server.host}
        if settings.api.enabled:
            hosts["config.json: api.host"] = settings.api.host
        check_exposures(hosts, settings.security)
    except ConfigError as exc:
        return settings, str(exc).splitlines()
    return settings, []


def _in_place(paths: Paths, options: Options) -> Iterator[str]:
    if options.data is not None and not paths.data.is_dir():
        yield str(ConfigError("--data", f"there is no folder {paths.data}"))


def _in_data(loaded: LoadedInstances) -> Iterator[str]:
    for problem in loaded.problems:
        yield str(problem)
    for spec in loaded.specs:
        if spec.problem is not None:
            yield from _lines(spec)


def _lines(spec: InstanceSpec) -> list[str]:
    """Each problem of an entry in a line of its own."""
    return str(problem_of(spec)).replace(f"; {spec.source}: ", f"\n{spec.source}: ").splitlines()


def _summary(paths: Paths, loaded: LoadedInstances, problems: int) -> str:
    where = f"{paths.config} and {paths.data}"
    if not paths.config.exists():
        where = f"{paths.data} ({paths.config} is not there: it would have the defaults)"
    usable = [spec for spec in loaded.specs if spec.problem is None]
    inactive = sum(not spec.is_active for spec in usable)
    instances = f"{_counted(len(usable), 'instance')} that can be started"
    if inactive:
        instances += f", {inactive} of them inactive"
    return f"{_counted(problems, 'problem') if problems else 'No problem'} in {where}; {instances}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
