"""The whole content of a Redis as a dict, for comparisons."""


# How the value of a key of each type is read, and shown.
_READ = {
    "string": (lambda pipe, key: pipe.get(key), lambda value: value),
    "hash": (lambda pipe, key: pipe.hgetall(key), lambda value: value),
    "set": (lambda pipe, key: pipe.smembers(key), set),
    "zset": (lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True), dict),
    "list": (lambda pipe, key: pipe.lrange(key, 0, -1), lambda value: value),
    "stream": (lambda pipe, key: pipe.xrange(key), lambda value: value),
}


def _all(client, ask, items):
    """Returns the replies to ask(pipe, item) for all items."""
    pipe = client.pipeline(transaction=False)
    for item in items:
        ask(pipe, item)
    return pipe.execute()


def _read(client):
    keys = sorted(set(client.scan_iter(count=1000)))
    kinds = [(key, kind) for key, kind in zip(keys, _all(client, lambda pipe, key: pipe.type(key), keys)) if kind != "none"]
    for key, kind in kinds:
        assert kind in _READ, f"{key} is a {kind}: teach state.py to read it"
    values = _all(client, lambda pipe, item: _READ[item[1]][0](pipe, item[0]), kinds)
    expiries = _all(client, lambda pipe, item: pipe.execute_command("PEXPIRETIME", item[0]), kinds)
    return {key: (kind, _READ[kind][1](value), expiry if expiry >= 0 else None)
            for (key, kind), value, expiry in zip(kinds, values, expiries) if expiry != -2}


def dump(client, everything=False):
    """{key: (type, value, moment of expiry in ms since 1970 or None)} of all keys. Keys that change with time alone (the history,
    and the signs that coordinators serve) are only included with `everything`.

    Reading takes many commands, and a write may come between them. So the content is read until two readings are the same, at most
    ten times.
    """
    content = None
    for _ in range(10):
        before, content = content, _read(client)
        if content == before:
            break
    return {key: found for key, found in content.items() if everything
            or not key.endswith((":history", ":alive", ":life", ":instances"))}


def difference(before, after):
    """Returns a readable list of how two dumps differ; empty if they are equal."""
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            lines.append(f"{key}: {before.get(key)!r} -> {after.get(key)!r}")
    return "\n".join(lines)
