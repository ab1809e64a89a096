"""The features of the matrix, each shown by one client on one connection.

A client of any SDK gives a `Peer` (see `client_handshake` and `client_2026`). The scenario is the
same for all of them. It imports nothing of an SDK.
"""

import itertools
import json
import sys
import uuid

import anyio
import words

LIMIT_S = 20.0
"""For one feature: far beyond what it takes, even on a busy machine."""

OK = "ok"
CLIENT_LACKS = "client lacks it"
SERVER_LACKS = "server lacks it"
"""Outcomes; any other one is the text of an error."""


class Notes:
    """Remembers the notifications that a client got, and waits for one."""

    def __init__(self):
        self.seen = []
        self._news = anyio.Event()

    def take(self, kind, value=None):
        """Note a notification."""
        self.seen.append((kind, value))
        self._news.set()
        self._news = anyio.Event()

    def values(self, kind):
        """Return the values of all notifications of a kind, in the order in which they came."""
        return [value for its_kind, value in self.seen if its_kind == kind]

    async def wait_for(self, kind, value=None, count=1):
        """Wait until a kind of notification has come with a value, or with any, so many times."""
        while True:
            values = [one for one in self.values(kind) if value is None or one == value]
            if len(values) >= count:
                return values
            await self._news.wait()


def expect(actual, expected):
    """Fail unless a value is as expected, and name both."""
    if actual != expected:
        raise AssertionError(f"got {actual!r} where {expected!r} was expected")


# --- Features ----------------------------------------------------------------------------------


async def list_tools(peer):
    listed = await peer.tools()
    expect([name for name in words.TOOLS if name not in listed and name != "elicit"], [])


async def call(peer):
    expect(await peer.call("echo", text="zażółć 🦜"), "zażółć 🦜")


async def progress(peer):
    expect(await peer.call("steps", _progress=True), "done")
    steps = list(range(1, words.STEPS + 1))
    await peer.notes.wait_for("progress", count=len(steps))
    expect(sorted(peer.notes.values("progress")), steps)


async def log(peer):
    await peer.set_log_level(words.LOG_LEVEL)
    expect(await peer.call("log"), "logged")
    await peer.notes.wait_for("log", words.LOG)
    expect(peer.notes.values("log"), [words.LOG])


async def cancel(peer):
    label = str(uuid.uuid4())
    async with peer.cancelled_at_exit("wait", label=label):
        expect(await peer.call("await_begun", label=label), "begun")
    expect(await peer.call("await_cancelled", label=label), "cancelled")


async def sampling(peer):
    expect(await peer.call("sample"), words.SAMPLED["content"]["text"])


async def elicitation(peer):
    if "elicit" not in await peer.tools():
        return SERVER_LACKS
    if peer.has_elicitation:
        expect(json.loads(await peer.call("elicit")), words.FORM_FILLED)
        return OK
    try:
        answer = await peer.call("elicit")
    except Exception as error:  # each SDK has errors of its own
        if "not support elicitation" in text_of(error):
            return CLIENT_LACKS
        raise
    raise AssertionError(f"A question was answered that no client got: {answer}")


async def roots(peer):
    expect(await peer.call("roots"), words.ROOTS["roots"][0]["uri"])


async def resource_read(peer):
    expect(await peer.resources(), [words.FIXED, words.CHANGING])
    expect(await peer.read(words.FIXED), words.FIXED_TEXT)


async def resource_update(peer):
    text = str(uuid.uuid4())
    async with peer.subscribed(words.CHANGING):
        expect(await peer.call("touch", text=text), "touched")
        await peer.notes.wait_for("updated", words.CHANGING)
    expect(await peer.read(words.CHANGING), text)
    expect(peer.notes.values("updated"), [words.CHANGING])


async def list_change(peer):
    name = f"grown-{uuid.uuid4()}"
    async with peer.told_of_tools():
        expect(await peer.call("grow", name=name), "grown")
        for count in itertools.count(1):
            await peer.notes.wait_for("tools", count=count)
            if name in await peer.tools():
                return


async def prompt(peer):
    expect(await peer.prompts(), [words.PROMPT])
    expect(await peer.prompt(words.PROMPT, "Ada"), words.welcome("Ada"))


async def completion(peer):
    expect(await peer.complete(words.PROMPT, "A"), ["Ada", "Alan"])


FEATURES = {
    "list": list_tools,
    "call": call,
    "progress": progress,
    "log": log,
    "cancel": cancel,
    "sampling": sampling,
    "elicitation": elicitation,
    "roots": roots,
    "resource read": resource_read,
    "resource update": resource_update,
    "list change": list_change,
    "prompt": prompt,
    "completion": completion,
}


# --- Playing them ------------------------------------------------------------------------------


def text_of(error):
    """Return an error in words; of a group, its first one."""
    while hasattr(error, "exceptions"):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def _outcome(feature, peer):
    try:
        with anyio.fail_after(LIMIT_S):
            return await feature(peer) or OK
    except Exception as error:  # whatever it is, the matrix is to show it
        return text_of(error)


async def _visit(connect, address):
    """Show all features at one address; return the outcome of each."""
    outcomes = {}
    try:
        with anyio.fail_after(LIMIT_S * len(FEATURES)):
            async with connect(*address) as peer:
                for name, feature in FEATURES.items():
                    outcomes[name] = await _outcome(feature, peer)
    except Exception as error:
        reason = f"connection: {text_of(error)}"
        return {name: outcomes.get(name, reason) for name in FEATURES}
    return outcomes


def play(connect, backend="asyncio"):
    """Visit the addresses on stdin and print the outcomes.

    Stdin has a JSON object: a name -> `["http", URL]`, `["sse", URL]` or `["stdio", COMMAND,
    ARGUMENT...]`. `connect(*address)` is an asynchronous context manager that gives a `Peer`.
    """

    async def visit_all():
        addresses = json.load(sys.stdin)
        return {name: await _visit(connect, address) for name, address in addresses.items()}

    print(json.dumps(anyio.run(visit_all, backend=backend)))
