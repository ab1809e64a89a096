"""Names the file that keeps the last known lists of an instance, and converts its content. No I/O.

Invariants:

- A file belongs to one entry as it is configured. A changed entry has another file, so the lists of
  another server are never taken for its own.
- The entry is in the file as a hash only, since it holds secrets.
- Content is taken whole or not at all. It is then as sound as what a server sends: UTF-8 and JSON,
  with items that have keys.
- An item comes out as the bytes that went in.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from router.messages.catalog import Catalog, Item, KnownServer
from router.messages.revisions import REVISIONS

if TYPE_CHECKING:
    from router.messages.instances.instance_spec import InstanceSpec

FORMAT: Final = 1
"""The version of the file; another one is not read."""

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""Thousands of tools take a few megabytes."""

SPARE_LEVELS: Final = 100
"""Levels of nesting that a file has to leave unused. msgspec counts its own levels and the calls
around it against one limit, and there are more calls around it where the lists are used."""

_NAME_DIGITS: Final = 32
_OURS: Final = re.compile(rf"[0-9a-f]{{{_NAME_DIGITS}}}\.json")
_TEMPORARY: Final = re.compile(rf"\.{_OURS.pattern}\.[0-9a-f]+\.tmp")


class UnusableCatalogue(ValueError):
    """The content of a file cannot be used; the message says why."""


# --- Names -----------------------------------------------------------------------------------


def hash_entry(spec: InstanceSpec) -> str:
    """Return the SHA-256, in hex, of everything in an entry that may decide what is offered."""
    # `ascii` keeps values apart whatever is in them, and takes the lone surrogates that stand for
    # undecodable bytes of the environment.
    identity = ascii(
        (
            *(spec.name, spec.type, spec.protocol),
            *(spec.command, spec.args, spec.cwd, sorted(spec.env.items())),
            *(spec.url, sorted(spec.headers.items())),
        )
    )
    return hashlib.sha256(identity.encode("ascii")).hexdigest()


def name_file(entry: str) -> str:
    """Return the name of the file for the entry with this hash."""
    return f"{entry[:_NAME_DIGITS]}.json"


def is_file_name(name: str) -> bool:
    """Return whether `name_file` makes such names."""
    return _OURS.fullmatch(name) is not None


def is_temporary_name(name: str) -> bool:
    """Return whether a file has this name while it is written (see `SafeFolder.write`)."""
    return _TEMPORARY.fullmatch(name) is not None


# --- Content ---------------------------------------------------------------------------------


class _File(Struct, gc=False):
    format: int
    entry: str
    revision: str
    capabilities: Raw
    server_info: Raw
    instructions: str | None
    tools: list[Raw]
    prompts: list[Raw]
    resources: list[Raw]
    templates: list[Raw]


class _Named(Struct, gc=False):
    """A tool or a prompt."""

    key: str = msgspec.field(name="name")


class _Resource(Struct, gc=False):
    key: str = msgspec.field(name="uri")


class _Template(Struct, gc=False):
    key: str = msgspec.field(name="uriTemplate")


_file: Final = msgspec.json.Decoder(_File)
_raw: Final = msgspec.json.Decoder(Raw)
_object: Final = msgspec.json.Decoder(dict[str, Raw])
_named: Final = msgspec.json.Decoder(_Named)
_resource: Final = msgspec.json.Decoder(_Resource)
_template: Final = msgspec.json.Decoder(_Template)


def encode_catalogue(entry: str, known: KnownServer) -> bytes:
    """Return the content of a file; equal servers have equal content.

    Args:
        entry: the hash of the entry.
        known: its server.

    Raises:
        UnusableCatalogue: the content could not be read again, such as for its size.
    """
    catalog = known.catalog
    file = _File(
        format=FORMAT,
        entry=entry,
        revision=known.revision,
        capabilities=known.capabilities,
        server_info=known.server_info,
        instructions=known.instructions,
        tools=[item.raw for item in catalog.tools],
        prompts=[item.raw for item in catalog.prompts],
        resources=[item.raw for item in catalog.resources],
        templates=[item.raw for item in catalog.templates],
    )
    data = msgspec.json.encode(file)
    decode_catalogue(data, entry)
    return data


def decode_catalogue(data: bytes, entry: str) -> KnownServer:
    """Return the server that a file describes. Its raw parts keep `data` alive.

    Args:
        data: the whole content.
        entry: the hash of the entry that the file is to belong to.

    Raises:
        UnusableCatalogue: the content is damaged, of another format, or of another entry.
    """
    if len(data) > MAX_FILE_BYTES:
        raise UnusableCatalogue(f"it is larger than {MAX_FILE_BYTES // (1024 * 1024)} MB")
    try:
        return _decode(data, entry)
    except UnicodeDecodeError:
        raise UnusableCatalogue("it is not UTF-8") from None
    except msgspec.MsgspecError as exc:
        raise UnusableCatalogue(str(exc)) from None
    except RecursionError:
        raise UnusableCatalogue("it is nested too deeply") from None


def _decode(data: bytes, entry: str) -> KnownServer:
    data.decode("utf-8")  # msgspec checks the syntax of raw parts, but not their UTF-8
    _raw.decode(b"[" * SPARE_LEVELS + data + b"]" * SPARE_LEVELS)
    file = _file.decode(data)
    if file.format != FORMAT:
        raise UnusableCatalogue(f"its format is {file.format}, not {FORMAT}")
    if file.entry != entry:
        raise UnusableCatalogue("it is of another entry")
    if file.revision not in REVISIONS:
        raise UnusableCatalogue("its protocol revision is unknown")
    _object.decode(file.capabilities)
    return KnownServer(
        file.revision,
        file.capabilities,
        file.server_info,
        file.instructions,
        Catalog(
            tools=_items(file.tools, _named),
            prompts=_items(file.prompts, _named),
            resources=_items(file.resources, _resource),
            templates=_items(file.templates, _template),
        ),
    )


def _items(
    raws: list[Raw],
    decoder: msgspec.json.Decoder[_Named]
    | msgspec.json.Decoder[_Resource]
    | msgspec.json.Decoder[_Template],
) -> tuple[Item, ...]:
    items = tuple(Item(decoder.decode(raw).key, raw) for raw in raws)
    if not all(item.key for item in items):
        raise UnusableCatalogue("an item has an empty key")
    return items
