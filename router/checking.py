"""What is wrong with the configuration, found without starting anything.

Job: read `config.json` and `data/` as a start would, and collect every problem. Neighbours: `cli`
prints what is found; `settings`, `auth` and `store` know what is right. Nothing is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from router.auth import check_exposure
from router.errors import ConfigError
from router.settings import merge, settings_at
from router.store import load_instances, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.settings import Options, Paths
    from router.store import Loaded


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
    loaded = load_instances(paths.data, environ)
    problems = (*_in_config(paths, options), *_in_data(loaded))
    return Findings(problems, _summary(paths, loaded, len(problems)))


def _in_config(paths: Paths, options: Options) -> Iterator[str]:
    try:
        settings = merge(settings_at(paths.config), options)
        hosts = {"server": settings.server.host}
        if settings.api.enabled:
            hosts["api"] = settings.api.host
        for host in hosts.values():
            check_exposure(host, settings.security)
    except ConfigError as exc:
        yield from str(exc).splitlines()


def _in_data(loaded: Loaded) -> Iterator[str]:
    for problem in loaded.problems:
        yield str(problem)
    for spec in loaded.specs:
        if spec.problem is not None:
            yield str(problem_of(spec))


def _summary(paths: Paths, loaded: Loaded, problems: int) -> str:
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
