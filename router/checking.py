"""What is wrong with the configuration, found without starting anything.

Job: read `config.json` and `data/` as a start would, and collect every problem. Neighbours: `cli`
prints what is found; `settings`, `auth` and `store` know what is right. Nothing is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from router.auth import check_exposures
from router.errors import ConfigError
from router.settings import Settings, merge, settings_at, with_data_folder
from router.store import load_instances, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from router.messages import InstanceSpec
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
    settings, wrong = _config(paths, options)
    paths = with_data_folder(paths, options, settings.watcher.watch_path)
    loaded = load_instances(paths.data, environ)
    problems = (*wrong, *_in_place(paths, options), *_in_data(loaded))
    return Findings(problems, _summary(paths, loaded, len(problems)))


def _config(paths: Paths, options: Options) -> tuple[Settings, list[str]]:
    """The settings, as far as they can be told, and what is wrong with them."""
    settings = Settings()
    try:
        settings = merge(settings_at(paths.config), options)
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


def _in_data(loaded: Loaded) -> Iterator[str]:
    for problem in loaded.problems:
        yield str(problem)
    for spec in loaded.specs:
        if spec.problem is not None:
            yield from _lines(spec)


def _lines(spec: InstanceSpec) -> list[str]:
    """Each problem of an entry in a line of its own."""
    return str(problem_of(spec)).replace(f"; {spec.source}: ", f"\n{spec.source}: ").splitlines()


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
