"""The configuration of an instance as it is shown to people."""

from __future__ import annotations

import json

from router.instance_files.entry.described_entries import HIDDEN, described_entry
from router.messages.instances.exposure import Exposure, NameFilter
from router.messages.instances.instance_spec import InstanceSpec
from router.messages.instances.oauth_login import OAuthLogin
from router.messages.instances.run_policy import RunPolicy


def test_only_what_differs_from_the_defaults_is_shown() -> None:
    spec = InstanceSpec("files", "acme", command="npx", args=("-y", "server"), source="data/x")
    assert described_entry(spec) == {
        "provider": "acme",
        "type": "stdio",
        "command": "npx",
        "args": ["-y", "server"],
        "source": "data/x",
        "isActive": True,
    }


def test_filters_and_policies_are_shown_where_they_are_set() -> None:
    shown = described_entry(
        InstanceSpec(
            "files",
            "acme",
            exposure=Exposure(tools=NameFilter(deny=("drop",))),
            run_policy=RunPolicy(replicas=2),
            catalogue_cache=False,
            allow_private=False,
        )
    )
    assert json.loads(json.dumps(shown["tools"])) == {"allow": ["*"], "deny": ["drop"]}
    assert (shown["replicas"], shown["catalogue_cache"]) == (2, False)
    assert shown["allow_private"] is False


def test_tools_that_need_a_yes_are_shown() -> None:
    tools = NameFilter(approve=("drop",))
    shown = described_entry(InstanceSpec("files", "acme", exposure=Exposure(tools=tools)))
    assert shown["tools"]["approve"] == ("drop",)


def test_secrets_are_shown_nowhere() -> None:
    shown = described_entry(
        InstanceSpec(
            "files",
            "acme",
            type="http",
            command="canary-0",
            args=("--token=canary-1", "--api-key", "canary-2", "x-canary-6-y"),
            env={"A_TOKEN": "canary-3"},
            url="https://user:canary-4@host/mcp?key=canary-5",
            headers={"Authorization": "Bearer canary-7"},
            oauth=OAuthLogin(
                "me",
                "canary-8",
                "canary-9",
                scopes=("read",),
                idp_client_secret="canary-10",
                per_user=True,
            ),
        ),
        ["canary-0", "canary-6", ""],
    )
    assert "canary" not in json.dumps(shown)
    assert (shown["env"], shown["headers"]) == (
        {"A_TOKEN": {"set": True}},
        {"Authorization": {"set": True}},
    )
    mask = {"set": True}
    assert shown["oauth"] == {
        "client_id": "me",
        "client_secret": mask,
        "private_key": mask,
        "scopes": ("read",),
        "idp_client_secret": mask,
        "per_user": True,
    }
    assert shown["args"] == [f"--token={HIDDEN}", "--api-key", HIDDEN, f"x-{HIDDEN}-y"]


def test_what_keeps_the_router_from_logging_in_is_shown() -> None:
    shown = described_entry(InstanceSpec("a", "a", may_log_in=False, allow_private=False))
    assert (shown["oauth"], shown["allow_private"]) == (False, False)


def test_a_short_value_is_masked_where_it_stands_alone() -> None:
    spec = InstanceSpec("a", "a", args=("1", "port1"), env={"LEVEL": "1"})
    assert described_entry(spec)["args"] == [HIDDEN, "port1"]
