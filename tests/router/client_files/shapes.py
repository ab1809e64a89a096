"""Files as the clients write them, with the same servers and the settings of somebody in them.

Each file has the server `files`, a command with a variable. Those of clients that speak HTTP have
`docs` as well, a URL with a header. The ways to write JSON differ: comments, trailing commas, a
byte order mark, CRLF, tabs, no line break at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from router.client_files.clients.client import Machine
from router.client_files.clients.table import client_named, files_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILES_ENTRY: Final[dict[str, Any]] = {
    "command": "npx",
    "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
    "env": {"LOG_LEVEL": "debug"},
}
DOCS_ENTRY: Final[dict[str, Any]] = {
    "url": "https://mcp.example.com/mcp",
    "headers": {"X-Team": "blue"},
}


class Shape(Struct, frozen=True):
    """The first file of a client.

    Attributes:
        client: the client's name.
        data: the content.
        speaks_http: True if the file has `docs`.
    """

    client: str
    data: bytes
    speaks_http: bool = True

    def put(self, machine: Machine) -> Path:
        """Write the file where the client has it, and return its path."""
        path = files_of(client_named(self.client), machine)[0].path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data)
        return path

    @property
    def entries(self) -> Mapping[str, dict[str, Any]]:
        """The servers in it, in the router's own keys."""
        docs = {"docs": DOCS_ENTRY} if self.speaks_http else {}
        return {"files": FILES_ENTRY, **docs}


def machine_at(folder: Path, **environ: str) -> Machine:
    """Return a Linux machine whose home and project are below a folder."""
    home, project = folder / "home", folder / "project"
    for path in (home, project):
        path.mkdir(exist_ok=True)
    return Machine("linux", environ, home, project)


_CLAUDE_DESKTOP: Final = b"""\
{
  "globalShortcut": "Ctrl+Space",
  "mcpServers": {
    "files": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
      "env": { "LOG_LEVEL": "debug" }
    }
  },
  "preferences": { "menuBarEnabled": false, "launchAtLogin": 1.0 }
}"""

_CLAUDE_CODE: Final = rb"""{
  "numStartups": 214,
  "tipsHistory": {
    "shift-enter": 201
  },
  "userID": "f00d\u00e9\ud83d\ude00",
  "projects": {
    "/home/somebody/shop": {
      "allowedTools": [],
      "history": [
        {
          "display": "why does \"mcpServers\" fail? // really",
          "pastedContents": {}
        }
      ],
      "mcpServers": {},
      "hasTrustDialogAccepted": true
    }
  },
  "mcpServers": {
    "files": {
      "type": "stdio",
      "command": "npx",
      "args": [
        "-y",
        "@modelcontextprotocol/server-filesystem",
        "/srv/docs"
      ],
      "env": {
        "LOG_LEVEL": "debug"
      }
    },
    "docs": {
      "type": "http",
      "url": "https://mcp.example.com/mcp",
      "headers": {
        "X-Team": "blue"
      }
    }
  },
  "bypassPermissionsModeAccepted": false
}"""

_CURSOR: Final = b"""{
\t"mcpServers": {
\t\t"files": {
\t\t\t"command": "npx",
\t\t\t"args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
\t\t\t"env": {"LOG_LEVEL": "debug"}
\t\t},
\t\t"docs": {
\t\t\t"url": "https://mcp.example.com/mcp",
\t\t\t"headers": {"X-Team": "blue"}
\t\t}
\t}
}
"""

_VSCODE: Final = b"""\
// Servers of this user. See the documentation of VS Code.
{
\t"inputs": [
\t\t{
\t\t\t"type": "promptString",
\t\t\t"id": "github_token", // asked for once
\t\t\t"description": "GitHub token",
\t\t\t"password": true,
\t\t},
\t],
\t"servers": {
\t\t/* read only */
\t\t"files": {
\t\t\t"type": "stdio",
\t\t\t"command": "npx",
\t\t\t"args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs",],
\t\t\t"env": { "LOG_LEVEL": "debug" },
\t\t},
\t\t"docs": {
\t\t\t"type": "http",
\t\t\t"url": "https://mcp.example.com/mcp", // not a comment: the // before it
\t\t\t"headers": { "X-Team": "blue" },
\t\t},
\t},
}
"""

_WINDSURF: Final = (
    b"\xef\xbb\xbf"
    + b"""\
{
    "mcpServers": {
        "files": {
            "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
            "command": "npx",
            "disabled": false,
            "disabledTools": [],
            "env": {"LOG_LEVEL": "debug"}
        },
        "docs": {
            "disabled": false,
            "serverUrl": "https://mcp.example.com/mcp",
            "headers": {"X-Team": "blue"}
        }
    }
}
""".replace(b"\n", b"\r\n")
)

_ZED: Final = b"""\
// Zed settings
//
// For information on how to configure Zed, see the Zed
// documentation: https://zed.dev/docs/configuring-zed
{
  "telemetry": { "metrics": false },
  "ui_font_size": 16,
  "theme": {
    "mode": "system",
    "light": "One Light",
    "dark": "One Dark", // at night
  },
  "context_servers": {
    "files": {
      "source": "custom",
      "enabled": true,
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
      "env": { "LOG_LEVEL": "debug" },
    },
    "docs": {
      "url": "https://mcp.example.com/mcp",
      "headers": { "X-Team": "blue" },
    },
  },
  "lsp": { "rust-analyzer": { "initialization_options": { "check": { "command": "clippy" } } } },
}
"""

_CODEX: Final = b"""\
# Codex of somebody
model = "gpt-5"   # the default
approval_policy = "on-request"

[projects."/home/somebody/shop"]
trust_level = "trusted"

[mcp_servers.files]
command = "npx"
args = [
  "-y",  # without asking
  "@modelcontextprotocol/server-filesystem",
  "/srv/docs",
]

[mcp_servers.files.env]
LOG_LEVEL = "debug"

[mcp_servers.docs]
url = "https://mcp.example.com/mcp"
http_headers = { "X-Team" = "blue" }

[tui]
notifications = true
"""

_GEMINI: Final = b"""\
{
  // chosen at the first start
  "security": { "auth": { "selectedType": "oauth-personal" } },
  "ui": { "theme": "Default" },
  "mcpServers": {
    "files": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
      "env": { "LOG_LEVEL": "debug" }
    },
    "docs": {
      "httpUrl": "https://mcp.example.com/mcp",
      "headers": { "X-Team": "blue" }
    }
  }
}
"""

_OPENCODE: Final = b"""\
{
  "$schema": "https://opencode.ai/config.json",
  "theme": "opencode",
  // "autoupdate": false,
  "mcp": {
    "files": {
      "type": "local",
      "command": ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
      "enabled": true,
      "environment": { "LOG_LEVEL": "debug" },
    },
    "docs": {
      "type": "remote",
      "url": "https://mcp.example.com/mcp",
      "headers": { "X-Team": "blue" },
    },
  },
}
"""

OPENCODE_2: Final = Shape(
    "opencode",
    b"""\
{
  "mcp": {
    "timeout": { "startup": 30000 },
    "servers": {
      "files": {
        "type": "local",
        "command": ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
        "environment": { "LOG_LEVEL": "debug" }
      },
      "docs": {
        "type": "remote",
        "url": "https://mcp.example.com/mcp",
        "headers": { "X-Team": "blue" }
      }
    }
  }
}
""",
)
"""opencode's file in its second version."""

_CLINE: Final = b"""\
{
  "mcpServers": {
    "files": {
      "autoApprove": [],
      "disabled": false,
      "type": "stdio",
      "command": "npx",
      "args": [
        "-y",
        "@modelcontextprotocol/server-filesystem",
        "/srv/docs"
      ],
      "env": {
        "LOG_LEVEL": "debug"
      }
    },
    "docs": {
      "disabled": false,
      "type": "streamableHttp",
      "url": "https://mcp.example.com/mcp",
      "headers": {
        "X-Team": "blue"
      }
    }
  }
}"""

_JUNIE: Final = b"""\
{
  "mcpServers": {
    "files": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
      "env": {"LOG_LEVEL": "debug"}
    }
  }
}
"""

_COPILOT_JETBRAINS: Final = b"""\
{
    "servers": {
        // Add your servers here
        "files": {
            "type": "stdio",
            "command": "npx",
            "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/docs"],
            "env": {"LOG_LEVEL": "debug"}
        },
        "docs": {
            "url": "https://mcp.example.com/mcp",
            "requestInit": {
                "headers": {"X-Team": "blue"}
            }
        }
    }
}
""".replace(b"\n", b"\r\n")

_LM_STUDIO: Final = b"""\
{
  "mcpServers": {
    "files": {
      "command": "npx",
      "args": [
        "-y",
        "@modelcontextprotocol/server-filesystem",
        "/srv/docs"
      ],
      "env": {
        "LOG_LEVEL": "debug"
      }
    },
    "docs": {
      "url": "https://mcp.example.com/mcp",
      "headers": {
        "X-Team": "blue"
      }
    }
  }
}"""

SHAPES: Final = (
    Shape("claude-desktop", _CLAUDE_DESKTOP, speaks_http=False),
    Shape("claude-code", _CLAUDE_CODE),
    Shape("cursor", _CURSOR),
    Shape("vscode", _VSCODE),
    Shape("windsurf", _WINDSURF),
    Shape("zed", _ZED),
    Shape("codex", _CODEX),
    Shape("gemini", _GEMINI),
    Shape("opencode", _OPENCODE),
    Shape("cline", _CLINE),
    Shape("junie", _JUNIE, speaks_http=False),
    Shape("copilot-jetbrains", _COPILOT_JETBRAINS),
    Shape("lm-studio", _LM_STUDIO),
)
"""One file of each client."""
