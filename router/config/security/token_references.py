"""Resolves references such as `${ROUTER_TOKEN}` in the tokens of `config.json`.

Invariants: a token in force is never a reference that was taken literally, for everybody who reads
the documentation could guess it; no message quotes a token.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs
from msgspec import Struct

from router.config.security.oauth import OAuth
from router.config.security.tokens import TOKEN_RULE, find_repeated_tokens, is_token
from router.config.strict import join_errors
from router.files.names import SECRETS_FILE_NAME
from router.messages.errors import ConfigError
from router.references.expander import Unresolved
from router.references.secret_files import StoredSecrets, expander_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from router.config.security.oauth import Issuer
    from router.config.security.tokens import NamedToken
    from router.references.expander import Expander

WAYS_TO_GIVE_A_TOKEN: Final = (
    "write ${VAR}, ${secret:NAME}, ${file:/path} or ${credential:NAME}, or a token that nobody can "
    "guess, such as one from: openssl rand -hex 32"
)

_UNFILLED: Final = re.compile(
    r"\$[A-Z_][A-Z0-9_]*|\$\(.*\)|%[A-Za-z_][A-Za-z0-9_]*%|\{\{.*\}\}|<.*>"
)
"""A token that is nothing but a reference of a shell, of Windows or of a template language, or a
placeholder from documentation."""


def looks_like_reference(token: str) -> bool:
    """Return whether a token is one that was meant to be replaced by another text."""
    return "${" in token or _UNFILLED.fullmatch(token) is not None


def read_tokens(
    bearer_token: str,
    tokens: Mapping[str, NamedToken],
    path: Path,
    environ: Mapping[str, str],
    oauth: OAuth = OAuth(),  # noqa: B008 - frozen
) -> tuple[str, dict[str, NamedToken], OAuth]:
    """Return the tokens, and `oauth`, with their references resolved. Blocks on disk.

    Args:
        bearer_token: `security.bearer_token`.
        tokens: `security.tokens`.
        path: of the file, for relative paths and messages.
        environ: the router's environment.
        oauth: `security.oauth`, which has secrets of clients.

    Raises:
        ConfigError: for everything that is wrong, one problem a line.
    """
    # Of `x-${VAR}` an empty variable would leave a token that everybody can guess.
    stored = StoredSecrets(path.with_name(SECRETS_FILE_NAME), environ)
    expander = expander_for(path.parent, environ, stored=stored, may_be_empty=False)
    reader = _TokenReader(f"{path.name}: security", expander)
    bearer_token = reader.read(bearer_token, "bearer_token")
    found = {
        name: attrs.evolve(named, token=reader.read(named.token, f"tokens.{name}.token"))
        for name, named in tokens.items()
    }
    oauth = reader.read_secrets(oauth)
    errors = reader.errors or list(
        find_repeated_tokens(bearer_token, found, f"{reader.place}.tokens")
    )
    if errors:
        raise join_errors(errors)
    return bearer_token, found, oauth


class _TokenReader(Struct):
    """Resolves tokens, and notes what is wrong with them.

    Attributes:
        place: of the tokens in messages.
        expander: resolves their references.
        errors: of all tokens so far.
    """

    place: str
    expander: Expander
    errors: list[ConfigError] = []

    def read(self, token: str, key: str) -> str:
        """Return a token with its references resolved; as it is written where it is unusable."""
        try:
            resolved = self.expander.expand(token)
        except Unresolved as exc:
            return self._note(token, key, exc.problem)
        # No message quotes the text: besides references it may hold a part of the token, or a
        # default that is one.
        where = "" if resolved == token else " once its references are resolved"
        if token and not resolved:
            return self._note(token, key, f"is empty{where}; {WAYS_TO_GIVE_A_TOKEN}")
        if looks_like_reference(resolved):
            problem = f"still looks like a reference or a placeholder{where}"
            return self._note(token, key, f"{problem}; {WAYS_TO_GIVE_A_TOKEN}")
        if not is_token(resolved):
            return self._note(token, key, f"expected {TOKEN_RULE}{where and f',{where}'}")
        return resolved

    def read_secrets(self, oauth: OAuth) -> OAuth:
        """Return `security.oauth` with the references in its secrets resolved."""
        issuers: list[Issuer] = []
        for index, issuer in enumerate(oauth.issuers):
            asking = issuer.introspection
            if asking is not None:
                key = f"oauth.issuers[{index}].introspection.client_secret"
                secret = self.read(asking.client_secret, key)
                issuer = attrs.evolve(
                    issuer, introspection=attrs.evolve(asking, client_secret=secret)
                )
            login = issuer.login
            if login is not None:
                key = f"oauth.issuers[{index}].login.client_secret"
                secret = self.read(login.client_secret, key)
                issuer = attrs.evolve(issuer, login=attrs.evolve(login, client_secret=secret))
            issuers.append(issuer)
        return attrs.evolve(oauth, issuers=tuple(issuers))

    def _note(self, token: str, key: str, problem: str) -> str:
        self.errors.append(ConfigError(f"{self.place}.{key}", problem))
        return token
