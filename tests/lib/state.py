"""The whole content of a Redis as a dict, to be compared."""


def _value(client, key, kind):
    if kind == "string":
        return client.get(key)
    if kind == "hash":
        return client.hgetall(key)
    if kind == "set":
        return set(client.smembers(key))
    if kind == "zset":
        return dict(client.zrange(key, 0, -1, withscores=True))
    if kind == "list":
        return client.lrange(key, 0, -1)
    if kind == "stream":
        return client.xrange(key)
    raise AssertionError(f"{key} is a {kind}: teach state.py to read it")


def _read(client):
    content = {}
    for key in sorted(client.scan_iter(count=1000)):
        kind = client.type(key)
        if kind == "none":
            continue
        expiry = client.execute_command("PEXPIRETIME", key)
        content[key] = (kind, _value(client, key, kind), expiry if expiry >= 0 else None)
    return content


def dump(client, everything=False):
    """{key: (type, value, moment of expiry in ms since 1970 or None)} of what there is; with `everything` also of the history, which
    time alone adds to.

    Reading takes many commands, between which a late write may come: what is read twice alike was so at one moment. A fleet that
    never rests is read ten times at most.
    """
    content = None
    for _ in range(10):
        before, content = content, _read(client)
        if content == before:
            break
    return {key: found for key, found in content.items() if everything or not key.endswith(":history")}


def difference(before, after):
    """A readable account of how two dumps differ; empty when they don't."""
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            lines.append(f"{key}: {before.get(key)!r} -> {after.get(key)!r}")
    return "\n".join(lines)
