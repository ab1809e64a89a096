"""Admits what comes through the local socket: everything there is of the user who runs the router.

The system lets nobody else connect, so no token is needed; see `router.app.listening.local_socket`.
A local port takes connections of everybody, so each request there needs its token. `Host` has to be
a name of this machine, and `Origin` must be absent: no page of a browser has any business there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from router.access.admission import LOOPBACK_NAMES, Admission, AdmissionRules
from router.config.security.tokens import digest_of
from router.messages.commands import LOCAL_USER, Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.access.refusals import Refusals
    from router.messages.commands import Permission

LOCAL: Final = Principal(LOCAL_USER)

_RULES: Final = AdmissionRules(
    hosts=LOOPBACK_NAMES,
    is_any_address_allowed=False,
    origins=frozenset(),
    are_loopback_origins_allowed=False,
    tokens=(),
)


class LocalAdmission(Admission):
    """Admits each request as `LOCAL`, by rules that never change."""

    @classmethod
    def reporting_to(cls, refusals: Refusals) -> LocalAdmission:
        """Return an admission whose refusals are reported there."""
        return cls(_RULES, refusals)

    def admit(
        self,
        headers: Mapping[str, str],
        address: str = "",
        path: str = "",
        permission: Permission = "call",
    ) -> Principal:
        """Admit a request, whatever token it has.

        Raises:
            HttpRefusal: 403 for its `Host` or `Origin`.
        """
        self.check_site(headers)
        return LOCAL

    def is_known(self, principal: Principal) -> bool:
        """Return whether this is `LOCAL`."""
        return principal == LOCAL


class LocalPortAdmission(Admission):
    """Admits each request with the token of the local port as `LOCAL`, and answers no other."""

    has_open_paths: ClassVar[bool] = False

    @classmethod
    def for_port(cls, port: int, token: str, refusals: Refusals) -> LocalPortAdmission:
        """Return the admission of a port; `Host` has to name that port."""
        rules = AdmissionRules(
            hosts=frozenset(f"{name}:{port}" for name in LOOPBACK_NAMES),
            is_any_address_allowed=False,
            origins=frozenset(),
            are_loopback_origins_allowed=False,
            tokens=((digest_of(token), LOCAL),),
        )
        return cls(rules, refusals)
