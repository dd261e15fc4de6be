"""deploy/backup.sh and restore.sh: the append-only file, saved while Redis serves, and brought back elsewhere."""

import gzip
import io
import os
import signal
import subprocess
import tarfile

import pytest
import redis as redis_library

import processes
import project
from load import Load
from waiting import PATIENCE, wait_until

BACKUP = project.ROOT / "deploy" / "backup.sh"
RESTORE = project.ROOT / "deploy" / "restore.sh"


def run(script, *arguments, **settings):
    return subprocess.run([str(script), *map(str, arguments)], env={"PATH": os.environ["PATH"], **settings}, capture_output=True,
                          text=True, timeout=60)


def succeeds(script, *arguments, **settings):
    result = run(script, *arguments, **settings)
    assert result.returncode == 0, result
    return result


def refusal(script, *arguments, **settings):
    """The one line of a refusal."""
    result = run(script, *arguments, **settings)
    assert result.returncode == 1, result
    assert result.stdout == "" and len(result.stderr.splitlines()) == 1, result
    assert result.stderr.startswith(f"{script.name}: "), result
    return result.stderr


def client(data):
    return redis_library.Redis(unix_socket_path=str(data / "redis.sock"), decode_responses=True)


def percentage(redis):
    return redis.config_get("auto-aof-rewrite-percentage")["auto-aof-rewrite-percentage"]


@pytest.fixture
def data(directory):
    return directory / "data"


@pytest.fixture
def embedded(data, start_coordinator):
    """A coordinator with a Redis of its own in `data`."""
    return start_coordinator(DATA_DIR=data)


@pytest.fixture
def archive(embedded, data, directory):
    """A backup of five workers."""
    for number in range(5):
        embedded.register(f"w{number}")
    path = directory / "backup.tar.gz"
    succeeds(BACKUP, data, path)
    return path


def test_under_load_all_that_was_acknowledged_before_is_in_the_backup(data, directory, start_coordinator):
    coordinator = start_coordinator(DATA_DIR=data)
    load = Load([coordinator], threads=4)
    redis = client(data)
    redis.config_set("auto-aof-rewrite-percentage", 70)
    with load.running():
        wait_until(lambda: len(load.registered) > 100, what="there is something to save")
        redis.bgrewriteaof()
        before = Load([coordinator])
        before.registered, before.beats = set(load.registered), dict(load.beats)
        succeeds(BACKUP, data, directory / "backup.tar.gz")
        at_end = len(load.registered)
        wait_until(lambda: len(load.registered) > at_end, what="the load goes on")
    assert not load.failures, "nobody noticed the backup"
    assert percentage(redis) == "70"
    assert not list(data.glob("backup.work.*")) and not (data / "backup.percentage").exists()

    succeeds(RESTORE, directory / "backup.tar.gz", directory / "restored")
    restored = start_coordinator(DATA_DIR=directory / "restored")
    before.assert_nothing_acknowledged_is_lost(restored)


def test_a_redis_of_its_own_with_a_password(directory, start_redis, start_coordinator):
    password = 'p@ss:w/ord%"\\'
    redis = start_redis()
    redis.client.config_set("requirepass", password)
    redis.client = redis_library.Redis(unix_socket_path=str(redis.socket), password=password, decode_responses=True)
    url = f"redis://:p%40ss%3Aw%2Ford%25%22%5C@127.0.0.1:{redis.port}/0"
    start_coordinator(REDIS_URL=url).register("kept")

    archive = directory / "backup.tar.gz"
    assert "does not answer" in refusal(BACKUP, redis.directory, archive, REDIS_URL=redis.url)
    succeeds(BACKUP, redis.directory, archive, REDIS_URL=url)
    succeeds(RESTORE, archive, directory / "restored")
    assert "kept" in start_coordinator(DATA_DIR=directory / "restored").workers()


def test_the_backup_of_an_empty_redis_can_be_restored(embedded, data, directory, start_coordinator):
    succeeds(BACKUP, data, directory / "backup.tar.gz")
    succeeds(RESTORE, directory / "backup.tar.gz", directory / "restored")
    assert start_coordinator(DATA_DIR=directory / "restored").workers() == {}


def test_it_waits_for_a_rewrite_and_rewrites_stay_off_no_longer_than_it_runs(embedded, data, directory):
    redis = client(data)
    redis.config_set("rdb-key-save-delay", 20000)  # µs for each key: a rewrite that takes its time
    for number in range(30):
        embedded.register(f"w{number}")
    redis.bgrewriteaof()
    succeeds(BACKUP, data, directory / "backup.tar.gz")
    assert redis.info("persistence")["aof_rewrite_in_progress"] == 0
    assert percentage(redis) == "100"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_one_that_is_broken_off_leaves_no_archive_and_rewrites_go_on(embedded, data, directory, number):
    redis = client(data)
    redis.config_set("rdb-key-save-delay", 1000000)
    for worker in range(20):
        embedded.register(f"w{worker}")
    redis.bgrewriteaof()
    archive = directory / "backup.tar.gz"
    # a shell starts what runs in its background, as these tests may, without SIGINT
    backup = subprocess.Popen([str(BACKUP), str(data), str(archive)], stderr=subprocess.DEVNULL, start_new_session=True,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    wait_until(lambda: percentage(redis) == "0", what="the backup waits for the rewrite")
    assert "another backup" in refusal(BACKUP, data, directory / "second.tar.gz")
    os.killpg(backup.pid, number)
    assert backup.wait(PATIENCE) != 0
    assert not archive.exists()
    if number == signal.SIGKILL:
        assert percentage(redis) == "0", "nobody could switch it on again"
        redis.config_set("rdb-key-save-delay", 0)
        for rewrite in processes.children(redis.info("server")["process_id"]):
            os.kill(rewrite, signal.SIGKILL)
        succeeds(BACKUP, data, archive)
    assert percentage(redis) == "100"
    assert not list(data.glob("backup.work.*")) and not (data / "backup.percentage").exists()


def test_it_refuses_what_would_be_no_backup(archive, data, directory, start_redis):
    assert "exists already" in refusal(BACKUP, data, archive)
    assert "there is no directory" in refusal(BACKUP, directory / "nowhere", directory / "new")
    assert "there is no directory" in refusal(BACKUP, data, directory / "nowhere" / "new")
    assert "usage" in refusal(BACKUP, data)
    assert "must begin with" in refusal(BACKUP, data, directory / "new", REDIS_URL="http://127.0.0.1")
    redis = start_redis()
    redis.client.set("large", os.urandom(100000))
    redis.client.bgrewriteaof()
    wait_until(lambda: redis.client.info("persistence")["aof_base_size"] > 50000, what="the other Redis has much")
    assert "not its directory" in refusal(BACKUP, data, directory / "new", REDIS_URL=redis.url)
    assert percentage(redis.client) == "100"
    (directory / "empty").mkdir()
    assert "is it the directory" in refusal(BACKUP, directory / "empty", directory / "new", REDIS_URL=redis.url)
    redis.client.config_set("appendonly", "no")
    assert "appendonly is off" in refusal(BACKUP, redis.directory, directory / "new", REDIS_URL=redis.url)
    redis.kill()
    assert "does not answer" in refusal(BACKUP, redis.directory, directory / "new", REDIS_URL=redis.url)
    assert not list(directory.glob("new*"))


def test_a_restore_overwrites_nothing(archive, directory):
    there = directory / "there"
    there.mkdir()
    (there / "precious").write_text("x")
    assert "is not empty" in refusal(RESTORE, archive, there)
    assert [path.name for path in there.iterdir()] == ["precious"]
    assert "is no directory" in refusal(RESTORE, archive, there / "precious")
    (directory / "dangling").symlink_to(directory / "nowhere")
    assert "is no directory" in refusal(RESTORE, archive, directory / "dangling")


def test_a_new_volume_is_as_good_as_an_empty_directory(archive, directory, start_coordinator):
    volume = directory / "volume"
    (volume / "lost+found").mkdir(parents=True)
    succeeds(RESTORE, archive, volume)
    assert len(start_coordinator(DATA_DIR=volume).workers()) == 5


def repacked(archive, path, change):
    """Writes another archive: change({name: bytes}) as it likes."""
    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    change(files)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def flip(files, suffix, place):
    name = next(name for name in files if name.endswith(suffix))
    content = bytearray(files[name])
    content[place] ^= 0x20
    files[name] = bytes(content)


def sums_of_today(files):
    import hashlib
    files["SHA256SUMS"] = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()
                                  if name != "SHA256SUMS").encode()


def garble_and_sum(files):
    flip(files, ".incr.aof", 1)
    sums_of_today(files)


def put_outside(files):
    files["../escaped"] = b"x"
    sums_of_today(files)


def put_besides(files):
    files["appendonlydir/besides"] = b"x"


def lose(suffix):
    return lambda files: files.pop(next(name for name in files if name.endswith(suffix)))


@pytest.mark.parametrize(("change", "why"), [
    (lambda files: flip(files, ".incr.aof", -5), ": FAILED"), (lambda files: flip(files, ".manifest", 3), ": FAILED"),
    (lose(".base.rdb"), "No such file"), (lose(".manifest"), "No such file"), (lose("SHA256SUMS"), "no list of its files"),
    (garble_and_sum, "redis-check-aof"), (put_outside, "it has a file ../escaped"), (put_besides, "its list and its files differ")],
    ids=["flipped", "flipped manifest", "no base", "no manifest", "no sums", "garbled", "outside", "besides"])
def test_a_changed_archive_is_refused(archive, directory, change, why):
    changed = repacked(archive, directory / "changed.tar.gz", change)
    message = refusal(RESTORE, changed, directory / "restored")
    assert "is damaged or no archive" in message and why in message
    assert not (directory / "restored").exists() and not (directory / "escaped").exists()


def test_a_cut_archive_is_refused_wherever_it_is_cut(archive, directory):
    whole = archive.read_bytes()
    cut = directory / "cut.tar.gz"
    for length in [0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 9, len(whole) - 1]:
        cut.write_bytes(whole[:length])
        assert "is damaged or no archive" in refusal(RESTORE, cut, directory / "restored"), length
    # cut before it was compressed: gzip finds nothing wrong
    cut.write_bytes(gzip.compress(gzip.decompress(whole)[:2048]))
    assert "is damaged or no archive" in refusal(RESTORE, cut, directory / "restored")
    assert not (directory / "restored").exists()
    assert "there is no archive" in refusal(RESTORE, directory / "nowhere", directory / "restored")
