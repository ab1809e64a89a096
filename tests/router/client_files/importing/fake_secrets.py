"""Secrets in memory, in the place of the file of secrets."""

from __future__ import annotations

from msgspec import Struct, field


def _no_secrets() -> dict[str, str]:
    return {}


class FakeSecrets(Struct):
    """Keeps secrets in memory.

    Attributes:
        values: the secrets by name.
    """

    values: dict[str, str] = field(default_factory=_no_secrets)

    def names(self) -> tuple[str, ...]:
        return tuple(self.values)

    def get(self, name: str) -> str:
        return self.values[name]

    def set(self, name: str, value: str) -> None:
        self.values[name] = value

    def remove(self, name: str) -> None:
        del self.values[name]
