"""Renders the OpenAPI document as the page at `/docs`, with a form to try each route. Pure.

Invariants:

- The page loads nothing from another host, and has no style or script in its own text: the
  Content-Security-Policy forbids both.
- Without the script, everything can be read.
- The token that a person types in goes to this router only, in a header, and is stored nowhere.
- Where people log in, the page sees a name and no token: the browser sends a cookie by itself.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from transports.listen.rest.document.openapi import GENERAL_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json: TypeAlias = dict[str, Any]

_SAMPLES: Final[Json] = {
    "string": "…",
    "integer": 0,
    "number": 0.0,
    "boolean": True,
    "null": None,
}
"""Type -> a value of it for an example."""

_SECTION_PATHS: Final = (
    ("Instances", ("/api/instances", "/api/status")),
    (
        "Tools, resources, prompts",
        ("/api/tools", "/api/pins", "/api/call", "/api/resources", "/api/prompts"),
    ),
    ("Approvals", ("/api/approvals",)),
    ("Profiles", ("/api/profiles",)),
    ("Views and their costs", ("/api/costs", "/api/views")),
    ("The router", ("/", "/health", "/metrics", "/api/config")),
    ("Its log", ("/api/ws-ticket", "/ws")),
)
"""Title of a section -> the paths in it, with everything below them; `/` is only itself."""

_HEAD: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs.svg" type="image/svg+xml">
<link rel="stylesheet" href="docs.css">
<script src="docs.js" defer></script>
</head>
<body>
<header>
<h1>{title}</h1>
<p>Open a route to see what it takes and gives, and to try it. For programs, all of this is in
<a href="openapi.json">openapi.json</a>.</p>
<form id="access" class="live" hidden>
<label for="token">Token</label>
<input id="token" type="password" autocomplete="off" spellcheck="false"
 placeholder="security.bearer_token, where one is set">
<output id="access-state"></output>
</form>
{login}</header>
"""

_LOGIN: Final = """\
<p id="login" class="live" hidden><a id="log-in" href="login">Log in</a>
<span id="who"></span> <button id="log-out" type="button" hidden>Log out</button></p>
"""


def docs_page(document: Json, *, has_login: bool = False) -> str:
    """Return an OpenAPI document as HTML; with `has_login`, people can log in on it."""
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    return "".join(
        [
            _HEAD.format(title=title, login=_LOGIN if has_login else ""),
            "<main>\n",
            *_routes(document),
            _shared_answers(document),
            *_schemas(document["components"]["schemas"]),
            "</main>\n</body>\n</html>\n",
        ]
    )


# --- Routes ----------------------------------------------------------------------------------


def _routes(document: Json) -> Iterator[str]:
    for title, section_paths in _SECTION_PATHS:
        found = [
            (path, method, operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            if _is_in(path, section_paths)
        ]
        if found:
            yield f"<h2>{title}</h2>\n"
        for path, method, operation in found:
            yield _route(path, method.upper(), operation, document["components"]["schemas"])


def _is_in(path: str, section_paths: Iterable[str]) -> bool:
    return any(path == one or (one != "/" and path.startswith(f"{one}/")) for one in section_paths)


def _route(path: str, method: str, operation: Json, schemas: Json) -> str:
    wants_token = "" if operation.get("security") == [] else '<span class="token">token</span>'
    return (
        f'<details class="route" id="{operation["operationId"]}">\n<summary>'
        f'<span class="method {method.lower()}">{method}</span> <code>{escape(path)}</code> '
        f'<span class="what">{escape(operation["summary"])}</span> {wants_token}</summary>\n'
        f"{_parameters(operation)}{_body(operation)}{_form(path, method, operation)}"
        f"{_answers(operation, schemas)}</details>\n"
    )


def _parameters(operation: Json) -> str:
    rows = [
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{one['in']}{_values(one)}</td>"
        f"<td>{escape(one['description'])}</td></tr>\n"
        for one in operation["parameters"]
    ]
    return f"<h3>Parameters</h3>\n<table>\n{''.join(rows)}</table>\n" if rows else ""


def _values(parameter: Json) -> str:
    values = parameter["schema"].get("enum")
    return f": {escape(', '.join(values))}" if values else ""


def _body(operation: Json) -> str:
    if "requestBody" not in operation:
        return ""
    content = operation["requestBody"]["content"]["application/json"]
    name = _name_of(content["schema"])
    return f'<h3>Body: <a href="#{name}">{name}</a></h3>\n{_pre(content["example"])}'


def _form(path: str, method: str, operation: Json) -> str:
    """Return the form from which the script makes a request; hidden without the script."""
    fields = "".join(map(_field, operation["parameters"]))
    if "requestBody" in operation:
        example = operation["requestBody"]["content"]["application/json"]["example"]
        text = escape(_text(example))
        fields += (
            f'<label>body<textarea name="body" rows="{text.count(chr(10)) + 1}" spellcheck="false">'
            f"{text}</textarea></label>\n"
        )
    verb = "Follow" if path == "/ws" else "Send"
    return (
        f'<form class="try live" data-method="{method}" data-path="{escape(path)}" hidden>\n'
        f'<h3>Try it</h3>\n{fields}<p><button>{verb}</button> <code class="curl"></code></p>\n'
        '<pre class="got" tabindex="0" hidden></pre>\n</form>\n'
    )


def _field(parameter: Json) -> str:
    name, where, values = parameter["name"], parameter["in"], parameter["schema"].get("enum")
    needed = " required" if parameter.get("required") else ""
    given = f'name="{escape(name)}" data-in="{where}"{needed}'
    if not values:
        return f'<label>{escape(name)}<input {given} autocomplete="off"></label>\n'
    options = "".join(f"<option>{escape(value)}</option>" for value in ("", *values))
    return f"<label>{escape(name)}<select {given}>{options}</select></label>\n"


def _answers(operation: Json, schemas: Json) -> str:
    rows: list[str] = []
    for status, response in operation["responses"].items():
        if status in GENERAL_STATUSES:
            continue
        schema = response.get("content", {}).get("application/json", {}).get("schema")
        sample = _pre(_sample(schema, schemas)) if schema and status.startswith("2") else ""
        link = _link(schema) if status.startswith("2") else ""
        what = f"{escape(response['description'])}{link}{sample}"
        rows.append(f"<tr><td>{status}</td><td>{what}</td></tr>\n")
    return f"<h3>Answers</h3>\n<table>\n{''.join(rows)}</table>\n"


def _link(schema: Json | None) -> str:
    name = _name_of(schema or {}) or _name_of((schema or {}).get("items", {}))
    return f', <a href="#{name}">{name}</a>' if name else ""


def _shared_answers(document: Json) -> str:
    """Return the table of answers that all routes share."""
    responses: Json = {}
    for operations in document["paths"].values():
        for operation in operations.values():
            responses |= operation["responses"]
    rows = "".join(
        f"<tr><td>{status}</td><td>{escape(responses[status]['description'])}</td></tr>\n"
        for status in GENERAL_STATUSES
        if status in responses
    )
    return (
        "<h2>What every route may answer</h2>\n<p>An error is "
        '<code>{"detail": {"error": "…", "code": "…"}}</code>; 401, 403 and 413 have a text as '
        "<code>detail</code>, and 422 may have a list of what does not fit.</p>\n"
        f"<table>\n{rows}</table>\n"
    )


# --- Schemas ---------------------------------------------------------------------------------


def _schemas(schemas: Json) -> Iterator[str]:
    yield "<h2>Schemas</h2>\n"
    for name, schema in schemas.items():
        yield (
            f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>\n'
            f"{_pre(schema)}</details>\n"
        )


def _name_of(schema: Json) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _sample(schema: Json, schemas: Json) -> Any:
    """Return a value that fits a schema, to show its shape."""
    if name := _name_of(schema):
        return _sample(schemas[name], schemas)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if "allOf" in schema:
        parts = [_sample(part, schemas) for part in schema["allOf"]]
        return {key: value for part in parts for key, value in part.items()}
    return _sample_of_type(schema, schemas)


def _sample_of_type(schema: Json, schemas: Json) -> Any:
    kind = schema.get("type", "null")
    if isinstance(kind, list):
        return None
    if kind == "array":
        return [_sample(schema["items"], schemas)]
    if kind == "object":
        more: Any = schema.get("additionalProperties")
        found = {} if more in (None, True, False) else {"…": _sample(more, schemas)}
        properties = schema.get("properties", {})
        return {key: _sample(value, schemas) for key, value in properties.items()} | found
    return _SAMPLES[kind]


def _pre(value: Any) -> str:
    return f"<pre>{escape(_text(value))}</pre>\n"


def _text(value: Any) -> str:
    """Return JSON for people: a short value stays on one line."""
    short = json.dumps(value, ensure_ascii=False)
    return short if len(short) <= 72 else json.dumps(value, indent=2, ensure_ascii=False)
