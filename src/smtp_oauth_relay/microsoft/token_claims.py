"""What a token of Entra ID says about itself, unverified: Graph verifies it, nobody else can."""

import base64
import json

from smtp_oauth_relay.model import BearerToken


def roles_of(token: BearerToken) -> frozenset[str] | None:
    """Return the application permissions in a token.

    Returns:
        None of them if the claim is missing, as Entra ID does; `None` if the token is no JWT,
        which its receivers must not rely on.
    """
    parts = token.value.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    roles = claims.get("roles", []) if isinstance(claims, dict) else None
    if not isinstance(roles, list):
        return None
    return frozenset(role for role in roles if isinstance(role, str))
