"""The workers of the simulated week, and the truth about them: who lives, who was heard when, as what."""

import functools
import json

import credentials
import project

AGENTS = json.loads((project.ROOT / "tests/system/fixtures/agent-requests.json").read_text())
TIMEOUT, REMOVAL, INTERVAL = 300, 1800, 120  # seconds
SLICES = 4  # a quarter of the fleet beats in each half minute
BULK = 1000


class Machine:
    """A machine, and the program on it that is a worker. `heard`: the last moment, in Redis's time, at which a heartbeat was
    acknowledged."""

    path = "/api/worker"
    token = None  # its own; without one it comes with the join token of its site

    def __init__(self, world, name, region, body, **heartbeat):
        self.world, self.name, self.region, self.body, self.heartbeat = world, name, region, body, heartbeat
        self.worker_id, self.earlier_ids = None, set()
        self.lives, self.heard, self.died, self.silent_until = False, -1e9, None, -1e9
        self.heard_before = -1e9

    # -- truth ---------------------------------------------------------------------------------------------------------------------

    def must_be_online(self, redis_time):
        """It was heard, and has not been silent for long enough to be told offline. Half a minute is for the moments in between."""
        return self.worker_id is not None and self.lives and redis_time < max(self.heard + TIMEOUT - 30, self.silent_until)

    def was_heard_before(self, redis_time):
        """So that nobody was to tell it offline at that moment."""
        return self.lives and self.died is None and (redis_time < self.silent_until or any(
            heard < redis_time < heard + TIMEOUT - 30 for heard in (self.heard, self.heard_before)))

    def may_be_online(self, redis_time):
        return self.worker_id is not None and redis_time <= max(self.heard + TIMEOUT + 30, self.silent_until)

    # -- what it does --------------------------------------------------------------------------------------------------------------

    def live(self):
        self.lives, self.died = True, None

    def die(self):
        """At once, and says nothing."""
        self.lives, self.died = False, self.world.now()

    def forget(self):
        """A restart of an agent that keeps nothing."""
        self.earlier_ids.add(self.worker_id)
        self.worker_id = None

    def note_heard(self, moment=None):
        self.heard_before, self.heard = self.heard, self.world.redis_time() if moment is None else moment

    def register(self, **more):
        status, answer = self.world.ask("POST", f"{self.path}/register", {**self.body, **more}, self.region,
                                        self.world.sites[self.region])
        if status == 200:
            self.worker_id, self.token = answer["worker_id"], answer.get("token")
            self.earlier_ids.discard(self.worker_id)
            self.note_heard()
        return status

    def beat(self, **more):
        """One heartbeat; a registration where it has no id yet. 404: like the agents in the field, it goes on with heartbeats until
        somebody starts it anew. 401: its token has ended, and it registers with the join token of its site."""
        if self.worker_id is None:
            return self.register()
        status, answer = self.world.ask("POST", f"{self.path}/heartbeat", {"worker_id": self.worker_id, **self.heartbeat, **more},
                                        self.region,
                                        credentials.bearer(self.token) if self.token else self.world.sites[self.region])
        if status == 200:
            self.token = answer.get("token", self.token)
            self.note_heard()
        elif status == 401:
            if self.world.redis_is_up():
                self.world.judge.note("401", detail=f"{self.name}: {answer}")
            self.register(worker_id=self.worker_id)
        elif status == 404:
            self.world.judge.note("404")
            self.world.judge.note("human")
            self.forget()
            self.register()
        return status


class Container(Machine):
    """Alike others behind the same address; it tells no id."""

    def __init__(self, world, name, region):
        super().__init__(world, name, region, AGENTS["container agent without a tunnel"]["register"], status="healthy",
                         current_load=0.2)


class Laptop(Machine):
    """With a GPU; it sleeps from eleven to seven, and goes on where it was."""

    def __init__(self, world, name, region):
        super().__init__(world, name, region, AGENTS["docker worker agent with a GPU"]["register"], status="healthy",
                         current_load=0.5)

    def is_asleep(self):
        hour = self.world.now() / 3600 % 24
        return not self.world.is_short and not 7 <= hour < 23

    def beat(self, **more):
        if self.is_asleep():
            if self.died is None:
                self.died = self.world.now()
                self.world.alerts.expect("RmaServiceWithoutWorker", 9 * 3600, must=False)  # of what nobody else provides
            return None
        self.died = None
        return super().beat(**more)

    def must_be_online(self, redis_time):
        return self.died is None and super().must_be_online(redis_time)


class Tunnel(Machine):
    """Behind a quick tunnel, whose URL is another one at each start."""

    starts = 0

    def __init__(self, world, name, region):
        super().__init__(world, name, region, None, status="healthy", current_load=0.1)
        self.start_anew()

    def start_anew(self):
        self.starts += 1
        url = f"https://start-{self.starts}.trycloudflare.example"
        body = json.loads(json.dumps(AGENTS["container agent"]["register"]))
        body.update(tunnel_url=url, ip_address=url, instance_id="tunnel-machine")
        body["capabilities"]["ram"] = "31.0GB"
        self.body = body


class EdgeNode(Machine):
    path = "/api/edge"

    def __init__(self, world, name, region):
        super().__init__(world, name, region,
                         {"worker_id": name, "worker_type": "edge", "role": "edge_coordinator", "dht_port": 8468,
                                               "tunnel_url": "https://edge.example", "services": ["coordinator"],
                          "capabilities": {}})


class Loader(Machine):
    """Loads models for ten minutes, every three hours, and announces that."""

    loads_until = 0

    def __init__(self, world, name, region):
        body = json.loads(json.dumps(AGENTS["docker worker agent"]["register"]))
        super().__init__(world, name, region, {**body, "instance_id": name}, status="healthy")

    def beat(self, **more):
        now = self.world.now()
        if now < self.loads_until:
            return None
        if self.worker_id and int(now / 60) % 180 in (20, 21):
            status = super().beat(expect_silence=660)
            if status == 200:
                # minutes begin some moments late, and it must be back in time
                self.loads_until, self.silent_until = now + 570, self.world.redis_time() + 630
            return status
        return super().beat(**more)


class WrongClock(Machine):
    """Its clock is a day ahead, and it says so in all that it sends."""

    def __init__(self, world, name, region):
        super().__init__(world, name, region, {**AGENTS["universal agent"]["register"], "worker_id": name,
                                               "services": [{"name": "rag", "port": 8102}], "timestamp": "2031-01-01T00:00:00Z"},
                         status="healthy", current_load=0.0, timestamp="2031-01-01T00:00:00Z", last_heartbeat=1924992000)


class Fleet:
    """Many workers of a newer agent: they beat together, and register where they are not known."""

    def __init__(self, world, count):
        self.world = world
        self.members = [Machine(world, f"fleet-{number:04}", "near" if number % 4 else "far",
                                {"worker_id": f"fleet-{number:04}", "instance_id": f"fleet-{number:04}",
                                 "capabilities": {"cpu_cores": 8, "ram": f"{number % 60 + 4}.0GB", "storage": "466.0GB"},
                                 "services": [{"name": ("rag", "ner", "vision")[number % 3], "port": 8102, "health": "healthy"},
                                              {"name": "notes", "service_url": world.receiver.url(f"fleet-{number:04}")}]})
                        for number in range(count)]
        self.by_name = {member.name: member for member in self.members}
        self._slice = 0

    def register(self):
        for member in self.members:
            member.live()
            member.register()

    def beats(self, slices):
        """What lets so many quarters of it beat: functions."""
        mine = []
        for _ in range(slices):
            self._slice = (self._slice + 1) % SLICES
            mine += self.members[self._slice::SLICES]
        beats = []
        for region in ("near", "far"):
            living = [member for member in mine if member.lives and member.region == region]
            beats += [functools.partial(self._beat_all, living[begin:begin + BULK], region)
                      for begin in range(0, len(living), BULK)]
        return beats

    def _beat_all(self, members, region):
        body = {"heartbeats": [{"worker_id": member.name, "status": "healthy", "current_load": 0.25} for member in members]}
        status, answer = self.world.ask("POST", "/api/worker/heartbeats", body, region, self.world.sites[region])
        if status != 200:
            return
        unknown, moment = set(answer["not_found"]), self.world.redis_time()
        for member in members:
            if member.name not in unknown:
                member.note_heard(moment)
            else:
                self.world.judge.note("404")
                member.register()
