"""Worker threads that import libraries at once do not get in each other's way."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from threading import Barrier, Thread
from router.oauth.client.protocol import sdk as logins
from router.oauth.resource_server import resource_server as people
from transports.connect.remote import sdk as servers
from transports.outbound import fetching

def run(load):
    barrier.wait()
    load()
    print("loaded")

loads = [logins._import, servers._import, fetching._import_send, people._import_signed_tokens]
barrier = Barrier(len(loads))
for load in loads:
    Thread(target=run, args=(load,)).start()
"""


def test_logins_servers_and_requests_may_load_their_libraries_at_once() -> None:
    # In a process of its own, where nothing is imported yet.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.count("loaded"), done.stderr) == (4, "")
