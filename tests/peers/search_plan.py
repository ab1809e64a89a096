"""The calls that every Python client makes at views that search.

`ASKED` in the environment of a client is a JSON object:

- `places`: each a transport and a URL, or `stdio` and a command.
- `search` and `call_tool`: the names of these tools.
- `query`, and `arguments` of the tool that is found.
- `directly`: true if the client can call a tool that it was not listed.
"""

import json


async def at_each_place(asked, search):
    """Return what a function sees at each place: transport -> an object."""
    return {place[0]: await search(*place) for place in asked["places"]}


async def play(asked, saw, call):
    """Make the calls by a function that awaits the text of an answer; return what was seen."""
    plan = calls(asked, saw)
    step = next(plan)
    while True:
        try:
            step = plan.send(await call(*step))
        except StopIteration:
            return saw


def calls(asked, saw):
    """Yield the name and the arguments of each call; is sent the text of its answer."""
    saw["found"] = json.loads((yield asked["search"], {"query": asked["query"]}))
    name = saw["found"]["tools"][0]["name"]
    wanted = {"name": name, "arguments": asked["arguments"]}
    saw["called"] = yield asked["call_tool"], wanted
    if asked["directly"]:
        saw["called_directly"] = yield name, asked["arguments"]
