"""Recognises commands that may first install what they run, such as `npx -y @scope/package`.

Pure. Package managers download on the first start, which takes minutes where a start takes a
second. And two that install the same package at once can spoil each other's files.

Invariant: a command that is not understood is no such command. Then nothing is lost but time.
"""

from __future__ import annotations

import re
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN: Final = re.compile(r"[@\w./:=+,~<>^ -]{1,100}")


class PackageCommand(Struct, frozen=True):
    """A command that runs a package and may install it before.

    Attributes:
        program: the command, such as `npx` or `uv tool run`.
        manager: the package manager behind it; commands of one manager share its cache.
        package: the package, as it is written in the command. It may hold a secret.
    """

    program: str
    manager: str
    package: str

    def __repr__(self) -> str:
        # Without the package.
        return f"PackageCommand({self.program!r}, {self.manager!r})"

    @property
    def shown_package(self) -> str:
        """The package, for people; a URL, which may hold a secret, is not shown."""
        is_plain = _SHOWN.fullmatch(self.package) and "://" not in self.package
        return self.package if is_plain else "a package"


class _Syntax(Struct, frozen=True):
    """The form of a command: it names a package by an option, or by its first argument.

    Attributes:
        manager: see `PackageCommand`.
        subcommands: the words after the program; none for a program that does nothing else.
        valued: the options that take a value.
        naming: those of them that name the package.
        flags: the options without a value; if there are any, all others take one.
        only: the form of an argument that is a package; other arguments are files.
    """

    manager: str
    subcommands: tuple[str, ...] = ()
    valued: frozenset[str] = frozenset()
    naming: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    only: re.Pattern[str] = re.compile("")

    def takes_value(self, option: str) -> bool:
        """Return whether the argument after this option is its value."""
        if self.flags:
            is_joined = re.fullmatch("-[a-zA-Z]+", option) is not None
            return not (
                option in self.flags or (is_joined and {f"-{f}" for f in option[1:]} <= self.flags)
            )
        return option in self.valued


_NPM: Final = frozenset(
    ("-p", "--package", "-c", "--call", "-w", "--workspace", "--registry", "--cache", "--prefix")
) | {"--userconfig", "--globalconfig", "--loglevel", "--script-shell", "--before", "--tag"}
_NPM_NAMING: Final = frozenset(("-p", "--package"))

_UV: Final = frozenset(
    (
        *("--from", "-w", "--with", "--with-editable", "--with-requirements", "--python", "-p"),
        *("-c", "--constraints", "-b", "--build-constraints", "--overrides", "--env-file"),
        *("--index", "--default-index", "-i", "--index-url", "--extra-index-url", "-f"),
        *("--find-links", "--index-strategy", "--keyring-provider", "-P", "--upgrade-package"),
        *("--resolution", "--prerelease", "--fork-strategy", "--exclude-newer", "--link-mode"),
        *("--reinstall-package", "-C", "--config-setting", "--no-build-isolation-package"),
        *("--no-build-package", "--no-binary-package", "--cache-dir", "--refresh-package"),
        *("--color", "--allow-insecure-host", "--directory", "--project", "--config-file"),
        *("--python-platform", "--torch-backend", "--python-preference", "--extra", "--group"),
        *("--no-extra", "--no-group", "--only-group", "--package", "-m", "--module"),
    )
)
_UV_TOOL_NAMING: Final = frozenset(
    ("--from", "-w", "--with", "--with-editable", "--with-requirements")
)
_UV_RUN_NAMING: Final = _UV_TOOL_NAMING | {"--directory", "--project", "--package"}

_DOCKER_FLAGS: Final = frozenset(
    (
        *("-i", "--interactive", "-t", "--tty", "-d", "--detach", "--rm", "--init", "-q"),
        *("--quiet", "--privileged", "--read-only", "-P", "--publish-all", "--sig-proxy"),
        *("--no-healthcheck", "--oom-kill-disable", "--disable-content-trust"),
    )
)

_SYNTAXES: Final[dict[str, tuple[_Syntax, ...]]] = {
    "npx": (_Syntax("npm", (), _NPM, _NPM_NAMING),),
    "npm": (
        _Syntax("npm", ("exec",), _NPM, _NPM_NAMING),
        _Syntax("npm", ("x",), _NPM, _NPM_NAMING),
    ),
    "pnpx": (_Syntax("pnpm", (), _NPM, frozenset({"--package"})),),
    "pnpm": (_Syntax("pnpm", ("dlx",), _NPM | {"-C", "--dir"}, frozenset({"--package"})),),
    "yarn": (_Syntax("yarn", ("dlx",), _NPM, _NPM_NAMING),),
    "bunx": (_Syntax("bun", (), _NPM, _NPM_NAMING),),
    "bun": (_Syntax("bun", ("x",), _NPM | {"--cwd"}, _NPM_NAMING),),
    "uvx": (_Syntax("uv", (), _UV, _UV_TOOL_NAMING),),
    "uv": (
        _Syntax("uv", ("tool", "run"), _UV, _UV_TOOL_NAMING),
        _Syntax("uv", ("run",), _UV, _UV_RUN_NAMING),
    ),
    "pipx": (
        _Syntax(
            "pipx",
            ("run",),
            frozenset(("--spec", "--python", "-i", "--index-url", "--pip-args", "--with")),
            frozenset(("--spec",)),
        ),
    ),
    "docker": (
        _Syntax("docker", ("run",), flags=_DOCKER_FLAGS),
        _Syntax("docker", ("container", "run"), flags=_DOCKER_FLAGS),
    ),
    "deno": (_Syntax("deno", ("run",), only=re.compile(r"(?:npm|jsr|https?):")),),
    "go": (_Syntax("go", ("run",), only=re.compile(r".*@")),),
}
_SAME_AS: Final = {"podman": "docker", "nerdctl": "docker"}


def package_command(command: str, args: Sequence[str]) -> PackageCommand | None:
    """Return the package that a command runs; None if it is no command of a package manager.

    Args:
        command: the program, perhaps with its path.
        args: its arguments.
    """
    program, args = _unwrapped(_program_name(command), list(args))
    for syntax in _SYNTAXES.get(_SAME_AS.get(program, program), ()):
        before, rest = _options(args, syntax)
        words = syntax.subcommands
        if tuple(rest[: len(words)]) != words:
            continue
        named, rest = _options(rest[len(words) :], syntax)
        package = " ".join([*before, *named]) or next(iter(rest), "")
        if package and syntax.only.match(package):
            return PackageCommand(" ".join([program, *words]), syntax.manager, package)
    return None


def _program_name(command: str) -> str:
    name = PureWindowsPath(command).name.lower()  # knows both kinds of slashes
    stem, _, extension = name.rpartition(".")
    return stem if stem and extension in {"exe", "cmd", "bat", "ps1"} else name


def _unwrapped(program: str, args: list[str]) -> tuple[str, list[str]]:
    """Return the command that `env` or `cmd /c` runs, and any other command as it is."""
    if program == "env":
        rest = [arg for arg in args if "=" not in arg or arg.startswith("-")]
    elif program == "cmd":
        rest = [arg for arg in args if not arg.startswith("/")]
    else:
        return program, args
    if not rest or rest[0].startswith("-"):
        return program, args
    return _program_name(rest[0]), args[args.index(rest[0]) + 1 :]


def _options(args: Sequence[str], syntax: _Syntax) -> tuple[list[str], list[str]]:
    """Return the packages that the options name, and the arguments after the options."""
    named: list[str] = []
    rest = list(args)
    while rest and rest[0].startswith("-"):
        option, has_value, value = rest.pop(0).partition("=")
        if option == "--":
            break
        if syntax.takes_value(option) and not has_value:
            value = rest.pop(0) if rest else ""
        if option in syntax.naming and value:
            named.append(value)
    return named, rest
