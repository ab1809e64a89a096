"""Carries out `mcp.router.run`: has code run, and answers when it has ended.

The calls that the code makes come in as those of a client of its own.

Invariants:

- A run that was begun gets exactly one answer, unless its client cancelled it or is gone; then it
  is ended at once.
- Nothing runs but for clients of a view that exposes code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.calls import forwarding
from router.core.protocol.own_tools.search_tools import run_arguments_of
from router.core.state.clients import Awaiting
from router.messages.errors import NOT_ALLOWED, OVERLOADED, RpcError
from router.messages.own_tools.code_runs import MAX_RUNS, EndCode, RunCode
from router.messages.params import given

if TYPE_CHECKING:
    from router.core.state.clients import ClientRequest
    from router.core.state.routing_state import RoutingState
    from router.messages.own_tools.code_runs import CodeEnded


def run(state: RoutingState, request: ClientRequest) -> None:
    """Have code run; the request is answered after that.

    Raises:
        RpcError: -32016, the view exposes no code, or nothing that runs it is installed; -32013,
            the router is stopping; -32015, too much code runs; -32602, an argument is wrong.
    """
    client, settings = request.client, state.settings
    if state.view_of(client).expose != "code":
        problem = 'run is off: a profile with "expose": "code" offers it'
        raise RpcError(NOT_ALLOWED, problem)
    if not settings.can_run_code:
        problem = "run is off: install mcp-router[code] where the router is, and restart it"
        raise RpcError(NOT_ALLOWED, problem)
    asked = run_arguments_of(given(request.params.members, "arguments"), settings.timeout_s)
    forwarding.check_not_draining(state)
    if len(state.code_runs) >= MAX_RUNS:
        raise RpcError(OVERLOADED, "Too many runs of code wait for their turn; try again later")
    key = state.next_key()
    state.code_runs[key] = client.awaited[request.id] = Awaiting(request)
    effect = RunCode(
        key, asked.code, asked.timeout_s, client.principal, client.place, client.address
    )
    state.effects.append(effect)


def code_ended(state: RoutingState, event: CodeEnded) -> None:
    """Answer the request behind a run, if it still waits."""
    run = state.code_runs.pop(event.key, None)
    if run is not None:
        del run.request.client.awaited[run.request.id]
        forwarding.answer(state, run.request, event.result)


def end_forgotten(state: RoutingState) -> None:
    """End the runs whose clients have gone, or have cancelled them."""
    for key, run in list(state.code_runs.items()):
        if not state.is_awaited(run):
            del state.code_runs[key]
            state.effects.append(EndCode(key, "Nobody waits for the result any more"))


def end_all(state: RoutingState) -> None:
    """End all runs, which could call nothing any more; each is answered with what it has done."""
    state.effects += [EndCode(key, forwarding.STOPPING) for key in state.code_runs]
