"""`python -m router`: the same as the command `mcp-router`."""

import sys

try:
    from router.entry_point import main
except ModuleNotFoundError:
    # The wheel has that file under another name (see `tool.hatch` in pyproject.toml).
    from mcp_router_entry_point import main  # pyright: ignore[reportMissingTypeStubs]

if __name__ == "__main__":
    sys.exit(main())
