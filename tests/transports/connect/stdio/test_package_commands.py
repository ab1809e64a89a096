"""Commands that may first install what they run."""

from __future__ import annotations

import pytest

from transports.connect.stdio.package_commands import PackageCommand, package_command


@pytest.mark.parametrize(
    ("line", "manager", "package"),
    [
        ("npx -y @scope/pkg@1 --flag", "npm", "@scope/pkg@1"),
        ("npx @scope/pkg /srv/files", "npm", "@scope/pkg"),
        ("/usr/local/bin/npx --yes -- pkg", "npm", "pkg"),
        ("npx -y --registry https://npm.example pkg", "npm", "pkg"),
        ("npx --registry=https://npm.example pkg", "npm", "pkg"),
        ("npx -y -p @scope/pkg -p other server --port 1", "npm", "@scope/pkg other"),
        ("npx --package=@scope/pkg -c server", "npm", "@scope/pkg"),
        ("npx.cmd -y pkg", "npm", "pkg"),
        (r"C:\Program~1\nodejs\npx.CMD -y pkg", "npm", "pkg"),
        ("cmd /c npx -y pkg", "npm", "pkg"),
        ("cmd.exe /d /s /c npx -y pkg /x", "npm", "pkg"),
        ("env -y A=1 npx pkg", None, None),
        ("env A=1 B=2 npx -y pkg a=b", "npm", "pkg"),
        ("/usr/bin/env npx pkg", "npm", "pkg"),
        ("npm exec -y -- @scope/pkg --flag", "npm", "@scope/pkg"),
        ("npm --prefix /srv x pkg", "npm", "pkg"),
        ("pnpm dlx pkg@latest", "pnpm", "pkg@latest"),
        ("pnpm --package=a dlx b", "pnpm", "a"),
        ("pnpx pkg", "pnpm", "pkg"),
        ("yarn dlx -p a b", "yarn", "a"),
        ("bunx pkg", "bun", "pkg"),
        ("bun x --bun pkg", "bun", "pkg"),
        ("uvx mcp-server-fetch", "uv", "mcp-server-fetch"),
        ("uvx --python 3.12 mcp-server-time@latest --x", "uv", "mcp-server-time@latest"),
        ("uvx --from git+https://x.example/r mcp", "uv", "git+https://x.example/r"),
        ("uvx --from a --with b mcp", "uv", "a b"),
        ("uv tool run --index-url https://x.example ruff", "uv", "ruff"),
        ("uv run --with mcp[cli] mcp run server.py", "uv", "mcp[cli]"),
        ("uv run --with=mcp mcp run server.py", "uv", "mcp"),
        ("uv --directory /srv/project run server.py", "uv", "/srv/project"),
        ("uv run --project /srv/project server", "uv", "/srv/project"),
        ("uv run server.py", "uv", "server.py"),
        ("pipx run --spec git+https://x.example/r tool", "pipx", "git+https://x.example/r"),
        ("pipx run tool --flag", "pipx", "tool"),
        ("docker run -i --rm mcp/fetch", "docker", "mcp/fetch"),
        ("docker run -i --rm -e TOKEN -v /a:/b --env=A=1 x.io/y:1 stdio", "docker", "x.io/y:1"),
        ("docker --context remote run -it --network host image", "docker", "image"),
        ("docker container run --init image", "docker", "image"),
        ("podman run -i --rm image", "docker", "image"),
        ("deno run -A npm:@scope/pkg", "deno", "npm:@scope/pkg"),
        ("deno run --allow-net jsr:@scope/pkg", "deno", "jsr:@scope/pkg"),
        ("go run example.com/tool@latest", "go", "example.com/tool@latest"),
    ],
)  # fmt: skip
def test_the_manager_and_the_package_are_recognised(
    line: str, manager: str | None, package: str | None
) -> None:
    command, *args = line.split(" ")
    found = package_command(command, args)
    assert (found and found.manager, found and found.package) == (manager, package)


@pytest.mark.parametrize(
    "line",
    [
        "python -m server",
        "node server.js",
        "npx",
        "npx -y",
        "npx --package",
        "npm run start",
        "npm install pkg",
        "pnpm exec server",
        "yarn start",
        "bun server.ts",
        "uv",
        "uv tool list",
        "uv pip install x",
        "docker compose run x",
        "docker exec -i x server",
        "docker run",
        "deno run -A server.ts",
        "go run .",
        "cmd /c",
        "cmd /c node server.js",
        "env",
        "env A=1",
        "/opt/npx/server",
        "sh -c npx",
    ],
)
def test_any_other_command_installs_nothing(line: str) -> None:
    command, *args = line.split(" ")
    assert package_command(command, args) is None


def test_the_program_is_named_as_a_person_would() -> None:
    found = package_command("/usr/bin/uv", ["--quiet", "tool", "run", "ruff"])
    assert found == PackageCommand("uv tool run", "uv", "ruff")


@pytest.mark.parametrize(
    ("package", "shown"),
    [
        ("@scope/pkg@^1.2", "@scope/pkg@^1.2"),
        ("ghcr.io/x/y:1", "ghcr.io/x/y:1"),
        ("git+https://user:s3cret@x.example/r", "a package"),
        ("x" * 101, "a package"),
        ("two\nlines", "a package"),
    ],
)
def test_a_package_is_shown_unless_it_may_hold_a_secret(package: str, shown: str) -> None:
    assert PackageCommand("npx", "npm", package).shown_package == shown
    assert package not in repr(PackageCommand("npx", "npm", package))
