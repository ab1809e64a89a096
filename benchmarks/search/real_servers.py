"""Names the real servers whose tools are searched, and how each of them is started.

They are installed by `make bench-search` at the versions of `servers/package-lock.json`. Their
credentials are made up: a server lists its tools before it uses them.

Invariant: a server gets no variable of the environment of this process but `PATH`, so that it has
no credentials of whoever measures.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / ".cache" / "bench-search"
"""The folder of what is installed and listed; nothing of it is committed."""

PACKAGES: Final = CACHE / "node_modules"
HOME: Final = CACHE / "home"
"""The home of all servers."""

FILES: Final = HOME / "files"
"""The folder that the servers for files may read and write."""


class MissingServerError(Exception):
    """The package of a server is not installed, or has no such program."""


@attrs.frozen
class Server:
    """A server on stdio.

    Attributes:
        name: the name of its instance.
        package: its npm package.
        arguments: those of its program.
        environment: its variables.
        program: the name of the program in its package; None for the only one, or the one that is
            called as the package.
    """

    name: str
    package: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = attrs.field(factory=dict[str, str], hash=False)
    program: str | None = None

    def command(self) -> list[str]:
        """Return the command that starts it.

        Raises:
            MissingServerError: it is not installed.
        """
        return ["node", str(self._program()), *self.arguments]

    def variables(self, home: Path = HOME) -> dict[str, str]:
        """Return all of its environment."""
        return {"PATH": os.environ["PATH"], "HOME": str(home), **self.environment}

    def moved_to(self, home: Path, files: Path) -> Server:
        """Return the same server with other folders."""

        def moved(text: str) -> str:
            return text.replace(str(FILES), str(files)).replace(str(HOME), str(home))

        return attrs.evolve(
            self,
            arguments=tuple(map(moved, self.arguments)),
            environment={name: moved(value) for name, value in self.environment.items()},
        )

    def _program(self) -> Path:
        folder = PACKAGES / self.package
        try:
            programs = json.loads((folder / "package.json").read_text())["bin"]
        except (OSError, KeyError) as error:
            raise MissingServerError(f"{self.package} is not installed") from error
        if isinstance(programs, str):
            return folder / programs
        wanted = self.program or self.package.rpartition("/")[2]
        if wanted not in programs and len(programs) > 1:
            raise MissingServerError(f"{self.package} has no program {wanted}")
        return folder / programs.get(wanted, next(iter(programs.values())))


_OFFICIAL: Final = "@modelcontextprotocol/server-"

SERVERS: Final = (
    Server("everything", f"{_OFFICIAL}everything"),
    Server("filesystem", f"{_OFFICIAL}filesystem", (str(FILES),)),
    Server(
        "memory",
        f"{_OFFICIAL}memory",
        environment={"MEMORY_FILE_PATH": str(HOME / "memory.jsonl")},
    ),
    Server("thinking", f"{_OFFICIAL}sequential-thinking"),
    Server("github", f"{_OFFICIAL}github", environment={"GITHUB_PERSONAL_ACCESS_TOKEN": "made-up"}),
    Server("gitlab", f"{_OFFICIAL}gitlab", environment={"GITLAB_PERSONAL_ACCESS_TOKEN": "made-up"}),
    Server(
        "slack",
        f"{_OFFICIAL}slack",
        environment={"SLACK_BOT_TOKEN": "xoxb-made-up", "SLACK_TEAM_ID": "T1"},
    ),
    Server(
        "google-maps", f"{_OFFICIAL}google-maps", environment={"GOOGLE_MAPS_API_KEY": "made-up"}
    ),
    Server("playwright", "@playwright/mcp", ("--headless",)),
    Server("chrome-devtools", "chrome-devtools-mcp", program="chrome-devtools-mcp"),
    Server("notion", "@notionhq/notion-mcp-server", environment={"NOTION_TOKEN": "ntn_made-up"}),
    Server("chart", "@antv/mcp-server-chart"),
    Server("context7", "@upstash/context7-mcp"),
    Server("firecrawl", "firecrawl-mcp", environment={"FIRECRAWL_API_KEY": "made-up"}),
    Server("tavily", "tavily-mcp", environment={"TAVILY_API_KEY": "made-up"}),
    Server(
        "git",
        "@cyanheads/git-mcp-server",
        environment={"MCP_TRANSPORT_TYPE": "stdio", "LOGS_DIR": str(HOME / "git-logs")},
    ),
    Server("kubernetes", "mcp-server-kubernetes"),
    Server(
        "hubspot", "@hubspot/mcp-server", environment={"PRIVATE_APP_ACCESS_TOKEN": "pat-made-up"}
    ),
    Server("amap", "@amap/amap-maps-mcp-server", environment={"AMAP_MAPS_API_KEY": "made-up"}),
    Server(
        "baidu-map", "@baidumap/mcp-server-baidu-map", environment={"BAIDU_MAP_API_KEY": "made-up"}
    ),
    Server("desktop-commander", "@wonderwhy-er/desktop-commander"),
    Server(
        "task-master",
        "task-master-ai",
        environment={"TASK_MASTER_TOOLS": "all", "ANTHROPIC_API_KEY": "made-up"},
        program="task-master-mcp",
    ),
    Server(
        "lark",
        "@larksuiteoapi/lark-mcp",
        ("mcp", "-a", "cli_made-up", "-s", "made-up", "-l", "zh"),
    ),
    Server(
        "brave",
        "@brave/brave-search-mcp-server",
        ("--transport", "stdio"),
        {"BRAVE_API_KEY": "made-up"},
    ),
    Server(
        "jira",
        "@aashari/mcp-server-atlassian-jira",
        environment={
            "ATLASSIAN_SITE_NAME": "made-up",
            "ATLASSIAN_USER_EMAIL": "a@b.c",
            "ATLASSIAN_API_TOKEN": "made-up",
        },
    ),
    Server(
        "mongodb",
        "mongodb-mcp-server",
        environment={
            "MDB_MCP_TELEMETRY": "disabled",
            "MDB_MCP_CONNECTION_STRING": "mongodb://localhost/made-up",
            "MDB_MCP_API_CLIENT_ID": "made-up",
            "MDB_MCP_API_CLIENT_SECRET": "made-up",
        },
    ),
)
