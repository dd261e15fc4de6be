"""Writes tokens and users directly to Redis, for tests that need credentials."""

import base64
import hashlib
import secrets

PREFIX = "{rma}:"


def token_text(kind="api", token_id="testtesttest", secret=None):
    """Returns the text of a token. It is the same for the same id, unless a secret is given."""
    secret = hashlib.sha256(token_id.encode()).digest() if secret is None else secret
    return f"rma{kind[0]}_{token_id}_{base64.urlsafe_b64encode(secret).rstrip(b'=').decode()}"


def put(client, member, **fields):
    """Writes a credential as the coordinator's scripts do."""
    client.hset(PREFIX + "credential:" + member, mapping={"created_at": 1, "changed_at": 1, "created_by": "nobody", **fields})
    client.zadd(PREFIX + "credentials", {member: 0})
    client.hincrby(PREFIX + "credential:", "version", 1)


def make_token(client, kind="api", token_id=None, role="admin", **fields):
    """Makes a token and returns its text."""
    token_id = token_id or "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(12))
    text = token_text(kind, token_id)
    given = {"kind": kind, "digest": hashlib.sha256(text.encode()).hexdigest(), "name": "test", **fields}
    put(client, f"token:{token_id}", **(given if kind == "join" else {"role": role, **given}))
    return text


def bearer(token):
    return {"Authorization": f"Bearer {token}"}
