"""Makes a change on disk, and turns every way in which that can fail into an answer."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, TypeVar

from router.messages.errors import INTERNAL_ERROR, NOT_SAVED, ConfigError, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("mcp_router.instances")

T = TypeVar("T")


def try_to_save(save: Callable[[], T], what: str) -> T | RpcError:
    """Make a change; return the reason if it could not be made. Blocks on disk.

    Args:
        save: makes the change; it raises `RpcError`, `ConfigError` or `OSError` where it cannot.
        what: the kind of the change and its place, for the log.
    """
    try:
        return save()
    except RpcError as exc:
        return exc
    except ConfigError as exc:
        return RpcError(NOT_SAVED, f"Nothing was changed: {exc}")
    except OSError as exc:
        log.error("%s could not be saved: %s", what, exc)
        code = errno.errorcode.get(exc.errno or 0, "EIO")
        why = exc.strerror or type(exc).__name__
        return RpcError(NOT_SAVED, f"The change could not be saved: {why}", {"errno": code})
    except Exception:  # a bug must not end the task that saves
        log.exception("%s failed", what)
        return RpcError(INTERNAL_ERROR, "The change failed because of a fault in the router")
