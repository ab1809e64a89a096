"""Checks the profiles of `config.json`: their names, their instances, and what refers to them.

Profiles and instances share one namespace, because each name is a place (`/mcp/{name}`).

Invariant: pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from router.config.strict import Check
from router.core.text.nearest_names import likely_meant
from router.files.json_files import quote_value
from router.files.names import NAME_RULE, is_name
from router.messages.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from router.config.security.oauth import Issuer
    from router.config.security.tokens import NamedToken
    from router.messages.instances.exposure import Profile

DEFAULT_VIEWS: Final = ("router", "direct", "search", "auto")
"""Views that need no definition, by the names that `server.view` and `--view` have for them."""

_NO_PROFILE: Final = ("router", "direct")
"""Those whose names no profile may have. Profiles called "search" and "auto" come before the views
of these names, which were added later."""

_GLOB_CHARACTERS: Final = frozenset("*?")


def is_profile_name(text: str) -> bool:
    """Return whether a profile may have this name."""
    return is_name(text) and text not in _NO_PROFILE


PROFILE_NAME_RULE: Final = (
    f'as its name {NAME_RULE.removeprefix("expected ")}, and not "router" or "direct"'
)
ProfileName: TypeAlias = Annotated[str, Check(PROFILE_NAME_RULE, is_profile_name)]


def find_profile_mistakes(profiles: Mapping[str, Profile], place: str) -> Iterator[ConfigError]:
    """Yield an error for each transparent profile that does not name exactly one instance.

    Args:
        profiles: `profiles`.
        place: of `profiles`, for messages.
    """
    for name, profile in profiles.items():
        if profile.expose != "transparent":
            continue
        found = profile.instances
        if len(found) != 1 or not found[0] or _GLOB_CHARACTERS & set(found[0]):
            problem = (
                'with "expose": "transparent", expected the name of exactly one instance, '
                "without * and ?"
            )
            yield ConfigError(f"{place}.{name}.instances", problem)


def find_unknown_profiles(
    view: str,
    tokens: Mapping[str, NamedToken],
    profiles: Collection[str],
    file: str,
    issuers: Sequence[Issuer] = (),
) -> Iterator[ConfigError]:
    """Yield an error for each reference to a profile that is not defined.

    Args:
        view: `server.view`.
        tokens: `security.tokens`.
        profiles: the names in `profiles`.
        file: the file's name in messages.
        issuers: `security.oauth.issuers`.
    """
    if view not in DEFAULT_VIEWS and view not in profiles:
        problem = (
            f'expected "router", "direct", "search", "auto" or the name of a profile '
            f"({_listed(profiles)}), got {quote_value(view)}"
        )
        yield ConfigError(f"{file}: server.view", problem)
    bound = {f"tokens.{name}": named.profile for name, named in tokens.items()}
    bound |= {f"oauth.issuers[{index}]": one.profile for index, one in enumerate(issuers)}
    for key, profile in bound.items():
        if profile is not None and profile not in profiles:
            problem = (
                f"expected the name of a profile ({_listed(profiles)}), got {quote_value(profile)}"
            )
            yield ConfigError(f"{file}: security.{key}.profile", problem)


def find_shared_names(
    profiles: Iterable[str], sources: Mapping[str, str], file: str
) -> Iterator[ConfigError]:
    """Yield an error for each name that a profile and an instance have.

    The place of that name shows the profile, so the instance has no place of its own.

    Args:
        profiles: the names in `profiles`.
        sources: the names of the instances, each with the file that it comes from.
        file: the name of the config file in messages.
    """
    for name in profiles:
        if name in sources:
            problem = (
                f"an instance has this name too (in {sources[name]}); rename one of them: "
                f"/mcp/{name} shows the profile"
            )
            yield ConfigError(f"{file}: profiles.{name}", problem)


def may_be_instance(view: str | None, profiles: Collection[str]) -> bool:
    """Return whether `--view` may name an instance, whatever else it may name."""
    return view is not None and view not in (*_NO_PROFILE, *profiles)


def find_unknown_view(
    view: str | None, profiles: Collection[str], instances: Collection[str]
) -> Iterator[ConfigError]:
    """Yield an error if `--view` names no view, or a kind of view and an instance as well.

    Such a name was that of the instance before there was this kind of view, which shows more.

    Args:
        view: the name; None if the option is not given.
        profiles: the names in `profiles`.
        instances: the names of the instances.
    """
    if view is None or not may_be_instance(view, profiles):
        return
    if view in DEFAULT_VIEWS and view in instances:
        problem = f'"{view}" is a kind of view, and an instance has this name too'
        way_out = "rename the instance, or name a profile that shows it"
        yield ConfigError("--view", f"{problem}; {way_out}")
    if view in (*DEFAULT_VIEWS, *instances):
        return
    names = (*DEFAULT_VIEWS, *profiles, *instances)
    meant = likely_meant(view, names)
    problem = f"there is no view {quote_value(view)}" + (
        f". Did you mean {meant}?"
        if meant
        else f"; there are {', '.join(DEFAULT_VIEWS)}, "
        f"profiles: {', '.join(profiles) or 'none'}; instances: {', '.join(instances) or 'none'}"
    )
    yield ConfigError("--view", problem)


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) if names else "there is none"
