"""Words that clients and servers of every revision share, so that all of them ask the same.

It is imported in the environments of several SDKs, so it imports nothing but the standard library.
"""

TOOLS = {
    "echo": {"text": {"type": "string"}},
    "steps": {},
    "log": {},
    "wait": {"label": {"type": "string"}},
    "await_begun": {"label": {"type": "string"}},
    "await_cancelled": {"label": {"type": "string"}},
    "sample": {},
    "elicit": {},
    "roots": {},
    "touch": {"text": {"type": "string"}},
    "grow": {"name": {"type": "string"}},
}
"""Name -> properties of its arguments; all of them are required."""

STEPS = 2
"""The number of progress notifications of `steps`."""

LOG = {"level": "warning", "data": "It is warm", "logger": "thermometer"}
QUIET_LOG = {"level": "debug", "data": "It is quiet", "logger": "thermometer"}
"""The tool `log` sends both, and the second only to those who want logs from `debug`."""

LOG_LEVEL = "info"
"""The level from which clients want logs."""

SAMPLE = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "whisper"}}],
    "maxTokens": 10,
}
SAMPLED = {
    "role": "assistant",
    "content": {"type": "text", "text": "WHISPER"},
    "model": "shouting",
}

FORM = {
    "message": "Who are you?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}
FORM_FILLED = {"action": "accept", "content": {"name": "Ada"}}

ROOTS = {"roots": [{"uri": "file:///work", "name": "work"}]}

FIXED = "note://matrix/fixed"
CHANGING = "note://matrix/changing"
"""The resources; the tool `touch` changes the second."""

FIXED_TEXT = "It stands"

PROMPT = "welcome"
PROMPT_ARGUMENT = "name"

NAMES = ["Ada", "Alan", "Grace"]
"""The completions of the prompt's argument."""


def logs_from(level):
    """Return the logs that are sent to those who want them from this level."""
    return [QUIET_LOG, LOG] if level == "debug" else [LOG]


def input_schema(tool):
    """Return the schema of a tool's arguments."""
    properties = TOOLS.get(tool, {})
    return {"type": "object", "properties": properties, "required": list(properties)}


def welcome(name):
    """Return the text of the prompt."""
    return f"Welcome, {name}!"


def completions(begun):
    """Return the names that begin so."""
    return [name for name in NAMES if name.startswith(begun)]
