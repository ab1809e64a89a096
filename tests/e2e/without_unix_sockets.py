"""The program on a system without Unix sockets, such as Windows.

Run as `python -P without_unix_sockets.py WORDS…`; the words are those of `python -m router`.
"""

from __future__ import annotations

import sys

from router.files import local_sockets

if __name__ == "__main__":
    local_sockets.has_local_sockets = lambda: False
    # Modules that ask take the function as it is now.
    from router.cli.main import main

    sys.exit(main())
