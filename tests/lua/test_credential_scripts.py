"""Users, tokens, ended sessions, signing keys, the audit, and limits that hold over all instances."""

import pytest
import redis as redis_module

WHO = {"who": "user:anna", "from": "192.0.2.7", "by": "here"}


def put(scripts, member, mode="new", most=10, ends_at="", keep_admin="0", **fields):
    pairs = [text for pair in fields.items() for text in pair]
    return scripts.call("credential_put", *pairs, member=member, mode=mode, max=most, ends_at=ends_at, keep_admin=keep_admin,
                        action="test", **WHO)


def remove(scripts, member, keep_admin="0"):
    return scripts.call("credential_remove", member=member, keep_admin=keep_admin, action="test", **WHO)


def read(scripts, version="", after="", most=100, prune="1"):
    version, more, *rows = scripts.call("credentials", version=version, after=after, max=most, prune=prune)
    members = {member: dict(zip(fields[::2], fields[1::2])) for member, fields in zip(rows[::2], rows[1::2]) if fields}
    return version, more == "1", members


def sign(scripts, kid, mode="first", keep=90_000):
    return scripts.call("signing_key", kid=kid, pem=f"pem of {kid}", mode=mode, keep=keep, **WHO)


def refused(word, call, *args, **how):
    with pytest.raises(redis_module.ResponseError, match=f"^{word}"):
        call(*args, **how)


def test_two_histories_have_no_version_in_common(scripts):
    """A failover loses the last change, or a backup is restored: whoever has read the lost one must read again."""
    scripts.at(0)
    put(scripts, "user:anna", role="admin")
    version, _, _ = read(scripts)
    scripts.redis.flushall()
    scripts.at(1)
    put(scripts, "user:bert", role="admin")
    assert read(scripts, version=version)[2].keys() == {"user:bert"}
    scripts.at(0)
    newer = read(scripts)[0]
    put(scripts, "user:carl", role="user")
    assert int(read(scripts)[0]) == int(newer) + 1, "it grows, though the clock has been set back"


def test_what_is_put_is_read(scripts):
    put(scripts, "user:anna", role="admin", password="$y$secret")
    put(scripts, "token:abc", kind="join", digest="d")
    _, more, members = read(scripts)
    assert not more
    assert members.keys() == {"user:anna", "token:abc"}
    assert members["token:abc"]["kind"] == "join" and members["token:abc"]["created_by"] == "user:anna"
    assert members["user:anna"]["role"] == "admin"
    assert "password" not in members["user:anna"] and "$y$secret" not in str(members)
    tag = members["user:anna"]["password_tag"]
    put(scripts, "user:anna", mode="old", password="$y$other")
    assert len(tag) == 16 and read(scripts)[2]["user:anna"]["password_tag"] not in ("", tag)


def test_nothing_is_read_again_until_something_has_changed(scripts):
    put(scripts, "user:anna", role="admin")
    version, _, _ = read(scripts)
    assert read(scripts, version=version) == (version, False, {})
    put(scripts, "user:anna", mode="old", role="viewer")
    newer, _, members = read(scripts, version=version)
    assert newer != version and members["user:anna"]["role"] == "viewer"
    remove(scripts, "user:anna")
    assert read(scripts, version=newer)[2] == {}


def test_pages(scripts):
    for i in range(7):
        put(scripts, f"user:u{i}", role="viewer")
    found, after, pages = [], "", 0
    while True:
        _, more, members = read(scripts, after=after, most=3)
        found += members
        pages += 1
        if not more:
            break
        after = found[-1]
    assert found == [f"user:u{i}" for i in range(7)] and pages == 3


def test_a_name_is_taken_once_and_only_what_is_there_changes(scripts):
    put(scripts, "user:anna", role="admin")
    refused("EXISTS", put, scripts, "user:anna", role="viewer")
    refused("NOSUCH", put, scripts, "user:bert", mode="old", role="viewer")
    refused("NOSUCH", remove, scripts, "user:bert")
    assert read(scripts)[2].keys() == {"user:anna"} and read(scripts)[2]["user:anna"]["role"] == "admin"


def test_one_admin_stays(scripts):
    put(scripts, "token:api", role="admin")
    put(scripts, "user:anna", role="admin")
    put(scripts, "user:otto", role="operator")
    for role in ("viewer", "operator", "", "Admin"):
        before = scripts.state()
        refused("LASTADMIN", put, scripts, "user:anna", mode="old", keep_admin="1", role=role, password="$y$other")
        refused("LASTADMIN", remove, scripts, "user:anna", keep_admin="1")
        assert scripts.state() == before
    put(scripts, "user:anna", mode="old", keep_admin="1", role="admin", password="$y$other")
    put(scripts, "user:otto", mode="old", keep_admin="1", role="admin")
    put(scripts, "user:anna", mode="old", keep_admin="1", role="user")
    refused("LASTADMIN", remove, scripts, "user:otto", keep_admin="1")
    remove(scripts, "user:anna", keep_admin="1")
    put(scripts, "token:api", mode="old", keep_admin="1", role="viewer", revoked_at="1")
    remove(scripts, "token:api", keep_admin="1")
    put(scripts, "user:otto", mode="old", role="viewer")
    put(scripts, "user:otto", mode="old", role="admin")
    remove(scripts, "user:otto")
    assert read(scripts)[2] == {}


def test_a_field_is_taken_away_by_an_empty_value(scripts):
    put(scripts, "token:a", name="site", tiers="1,2")
    put(scripts, "token:a", mode="old", tiers="")
    assert "tiers" not in read(scripts)[2]["token:a"] and read(scripts)[2]["token:a"]["name"] == "site"


def test_there_are_no_more_of_a_kind_than_there_may_be(scripts):
    for i in range(3):
        put(scripts, f"token:t{i}", most=3)
    refused("TOOMANY", put, scripts, "token:t3", most=3)
    put(scripts, "token:t0", mode="old", most=3, name="renamed")
    put(scripts, "user:t3", most=3)  # another kind
    remove(scripts, "token:t1")
    put(scripts, "token:t3", most=3)


def test_what_ends_by_itself_leaves_the_index(scripts):
    put(scripts, "session:s1", ends_at=scripts.now() + 60_000, user="anna")
    assert read(scripts)[2].keys() == {"session:s1"}
    scripts.at(61)
    assert read(scripts, prune="0")[2] == {}
    assert scripts.redis.zcard("{rma}:credentials") == 1, "a replica takes no writes"
    assert read(scripts)[2] == {} and scripts.redis.zcard("{rma}:credentials") == 0


@pytest.mark.parametrize("member", ["", "user", "user:", ":anna", "user:an na", "user:{x}", "USER:anna", "user:a\nb", "user:a:b"])
def test_malformed_members(scripts, member):
    before = scripts.state()
    refused("BADCALL", put, scripts, member)
    assert scripts.state() == before


def test_one_key_signs_however_many_make_one_at_once(scripts):
    assert [sign(scripts, f"k{i}") for i in range(10)] == ["k0"] * 10
    members = read(scripts)[2]
    assert members.keys() == {"key:k0"} and members["key:k0"]["pem"] == "pem of k0"


def test_a_key_that_is_replaced_is_known_until_its_tokens_have_ended(scripts):
    sign(scripts, "old")
    assert sign(scripts, "new", mode="rotate", keep=90_000) == "new"
    assert read(scripts)[2].keys() == {"key:old", "key:new"}
    assert "retired_at" in read(scripts)[2]["key:old"] and "retired_at" not in read(scripts)[2]["key:new"]
    assert sign(scripts, "later") == "new"
    scripts.at(89)
    assert "key:old" in read(scripts)[2]
    scripts.at(91)
    assert read(scripts)[2].keys() == {"key:new"}


def test_the_audit_has_all_of_it(scripts):
    put(scripts, "user:anna", role="admin")
    sign(scripts, "k")
    remove(scripts, "user:anna")
    scripts.call("audit", action="login", target="user:bert", outcome="refused", **WHO)
    entries = [entry for _, entry in scripts.redis.xrange("{rma}:audit")]
    assert [(entry["action"], entry["target"], entry["outcome"]) for entry in entries] == [
        ("test", "user:anna", "done"), ("key.make", "k", "done"), ("test", "user:anna", "done"), ("login", "user:bert", "refused")]
    assert all((entry["who"], entry["from"], entry["by"]) == tuple(WHO.values()) for entry in entries)


def test_strangers_do_not_wash_out_the_audit(scripts):
    """What they are refused has so many entries, and then one a minute. All that is done has one."""
    def note(outcome, times=1):
        return [scripts.call("audit", action="login", target="user:bert", outcome=outcome, **WHO) for _ in range(times)]
    put(scripts, "user:anna", role="admin")
    assert note("refused", 1003) == ["1"] * 1000 + ["0"] * 3
    assert note("done") == note("admitted") == ["1"]
    scripts.at(60)
    assert note("refused", 2) == ["1", "0"]
    assert scripts.redis.xlen("{rma}:audit") == 1 + 1000 + 2 + 1


# -- limits ------------------------------------------------------------------------------------------------------------------------


def take(scripts, *names, interval=12_000, burst=3):
    return scripts.call("limit", *(f"test:{name}" for name in names), interval=interval, burst=burst)


def test_a_burst_and_then_one_an_interval(scripts):
    assert [take(scripts, "a") for _ in range(3)] == [0, 0, 0]
    assert take(scripts, "a") == 12_000
    scripts.at(5)
    assert take(scripts, "a") == 7_000
    scripts.at(12)
    assert take(scripts, "a") == 0 and take(scripts, "a") == 12_000
    assert take(scripts, "b") == 0
    scripts.at(3600)
    assert [take(scripts, "a") for _ in range(4)] == [0, 0, 0, 12_000]


def test_where_one_is_empty_nothing_is_taken_from_the_others(scripts):
    for _ in range(3):
        take(scripts, "empty")
    assert take(scripts, "full", "empty") == 12_000
    assert [take(scripts, "full") for _ in range(3)] == [0, 0, 0]


def test_a_full_bucket_needs_no_room(scripts):
    take(scripts, "a")
    assert scripts.redis.exists("{rma}:limit:test:a") == 1
    scripts.at(13)
    assert scripts.redis.exists("{rma}:limit:test:a") == 0


def test_a_clock_that_jumps_back_locks_nobody_out_for_long(scripts):
    scripts.at(86_400)
    for _ in range(3):
        take(scripts, "a")
    scripts.at(0)
    assert take(scripts, "a") <= 4 * 12_000


def test_so_many_keys_are_known_at_once_and_no_more(scripts):
    sign(scripts, "k0")
    for number in range(1, 60):
        sign(scripts, f"k{number}", mode="rotate")
    refused("TOOMANY", sign, scripts, "k60", mode="rotate")
    assert len(read(scripts)[2]) == 60 and read(scripts)[2]["key:k59"].get("retired_at") is None
    scripts.at(91)
    assert sign(scripts, "k61", mode="rotate") == "k61"


def test_what_has_expired_takes_no_room(scripts):
    for number in range(3):
        put(scripts, f"session:s{number}", most=3, ends_at=scripts.now() + 1500)
    refused("TOOMANY", put, scripts, "session:s3", most=3)
    scripts.at(2)
    put(scripts, "session:s3", most=3)
    assert read(scripts)[2].keys() == {"session:s3"}


def test_a_full_kind_costs_little(scripts):
    """Expired ones at both ends of 1,000 are found, yet no call looks at all of them."""
    kept, gone = [f"token:k{number:03d}" for number in range(1000)], ["token:a", "token:z"]
    for member in kept:
        scripts.redis.hset(f"{{rma}}:credential:{member}", "name", "x")
    scripts.redis.zadd("{rma}:credentials", dict.fromkeys(kept + gone, 0))
    scripts.redis.config_resetstat()
    put(scripts, "token:b", most=1002)
    put(scripts, "token:y", most=1002)
    refused("TOOMANY", put, scripts, "token:k0005", most=1002)
    assert scripts.redis.info("commandstats")["cmdstat_exists"]["calls"] < 400
    assert scripts.redis.zcard("{rma}:credentials") == 1002


def test_keys_that_are_forgotten_are_known_no_more(scripts):
    for number in range(60):
        sign(scripts, f"k{number}", mode="rotate")
    put(scripts, "user:anna", role="viewer")
    assert sign(scripts, "new", mode="forget") == "new"
    assert read(scripts)[2].keys() == {"key:new", "user:anna"} and scripts.redis.keys("*key:k*") == []
    assert sign(scripts, "later") == "new" and sign(scripts, "next", mode="rotate") == "next"
