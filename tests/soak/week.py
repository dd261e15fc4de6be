"""The simulated week: its workers, what befalls them, and the minutes in which everything is compared."""

import time
import traceback
from concurrent.futures import ThreadPoolExecutor

from alerts import Alerts
from judge import Judge
from listener import Listener
from machines import INTERVAL, REMOVAL, TIMEOUT, Container, EdgeNode, Fleet, Laptop, Loader, Machine, Tunnel, WrongClock
from prometheus import Metrics
from receiver import Receiver
from surroundings import HOST_NAME, Surroundings
from waiting import let_pass, wait_until

MINUTE, HOUR, DAY = 60, 3600, 86400
SETTINGS = {"HEARTBEAT_INTERVAL_SECONDS": INTERVAL, "HEARTBEAT_TIMEOUT_SECONDS": TIMEOUT, "WORKER_TIMEOUT_SECONDS": REMOVAL}
SHORT_GAP = 2 * MINUTE
QUIET = 20 * MINUTE
SERVICES = [{"name": "rag", "port": 8102, "health": "healthy"}]  # of machines that come and go: others have it, too
SIGN_OF_LIFE = 1.3  # s of real time, after which each instance has left a sign of life, and swept


class Week:
    def __init__(self, directory, clock, make_coordinator, days, fleet):
        self.days, self.is_short = days, days < 1
        # what Prometheus is told afterwards lies in its past
        self.began_ms = int((time.time() - 12 * DAY) // DAY * DAY * 1000)
        self.clock = clock
        self._rows = []
        self._threads = ThreadPoolExecutor(12)
        self.broken = []  # what could not be carried out
        self.surroundings = Surroundings(directory, clock, make_coordinator, self.began_ms, SETTINGS)
        self.alerts = Alerts(self, directory)
        self.judge = Judge(self)
        self.agents = [Container(self, "container-a", "near"), Container(self, "container-b", "near"),
                       Container(self, "container-c", "near"),
                       Laptop(self, "laptop", "near"), Tunnel(self, "tunnel", "far"), EdgeNode(self, "edge", "far"),
                       Loader(self, "loader", "near")]
        self.receiver = Receiver(lambda name: self.fleet.by_name[name])
        self.fleet = Fleet(self, fleet)
        self.listener = Listener(self.proxies["near"].port, self.admin)
        self.others = []  # machines that come and go with a disturbance
        self._archive = directory / "backup.tar.gz"
        self._directory = directory
        self._made = self._half_minute = 0

    # what machines and judge ask for
    def __getattr__(self, name):
        return getattr(self.__dict__["surroundings"], name)

    def close(self):
        self._threads.shutdown()
        self.receiver.close()
        self.surroundings.close()

    def everybody(self):
        return self.agents + self.fleet.members + self.others

    # -- time ----------------------------------------------------------------------------------------------------------------------

    def pass_time(self, seconds, whole=None):
        """Workers beat; each minute everything is compared, with the whole listing now and then, or always, for which workers also
        beat each half minute. Where nothing is to happen for long, all beat and are compared every two minutes."""
        step = 1 if whole is not None or seconds < MINUTE else 4 if seconds >= QUIET and not self.is_short else 2
        end = self._half_minute + round(seconds / 30)
        while self._half_minute < end:
            self._half_minute += step
            self.clock.move_to(self.began_ms + (self._half_minute * 30 + self.skew) * 1000)
            living = [agent for agent in self.agents + self.others if agent.lives]
            # where minutes pass, each beats in every second one
            beats = [agent.beat for number, agent in enumerate(living) if step != 2 or (self._half_minute // 2 + number) % 2 == 0]
            self.at_once(beats + self.fleet.beats(step), step == 4)
            if self._half_minute % 2 == 0 or step > 1:
                self.judge.look(self._is_time_for(10 if self.is_short else 30, step) if whole is None else whole,
                                whole or self._is_time_for(1 if self.is_short else 6, step), max(1, step // 2))

    def at_once(self, what, really=True):
        """Calls them all, each after the other one unless `really`; returns what they return."""
        return [each() for each in what] if not really else list(self._threads.map(lambda each: each(), what))

    def _is_time_for(self, minutes, step):
        return self._half_minute % (2 * minutes) < step

    def sleep_through(self, seconds):
        """Time in which nobody does anything."""
        self._half_minute += round(seconds / 30)
        self.clock.move_to(self.began_ms + (self._half_minute * 30 + self.skew) * 1000)
        self.alerts.repeat(self.true_ms() / 1000)

    def begin(self, row):
        if self._rows:
            self.judge.ask_the_listener()
        self._rows.append((self.now(), row))
        print(f"{time.strftime('%H:%M:%S')} {self.now() / HOUR:6.1f} h: {row}", flush=True)
        self.judge.begin(row)

    def row_at(self, moment):
        return [row for since, row in self._rows if since <= moment + 1][-1]

    # -- what befalls them ---------------------------------------------------------------------------------------------------------

    def rolling_deploy(self):
        for _ in self.deploy():
            self.pass_time(30, whole=True)
        self.alerts.expect("RmaCoordinatorRestarts", HOUR, must=False)

    def night_at_zero(self):
        """Nobody keeps an instance: each half hour they are all stopped, and the next heartbeat starts one."""
        self.listener.close()  # nobody looks
        for _ in range(2 if self.is_short else 16):
            self.stop_machines()
            self.pass_time(30 * MINUTE if not self.is_short else 4 * MINUTE)
        self.start_machines()
        self.wait_until_served()
        self.listener.open()

    def _redis_away(self, seconds, step=MINUTE):
        let_pass(SIGN_OF_LIFE)
        self.kill_redis()
        if seconds >= 3 * MINUTE:
            self.alerts.expect("RmaRedisDown", seconds + 3 * MINUTE)
            for alert in ("RmaErrors", "RmaRedisUnreachable", "RmaHeartbeatsLate"):
                self.alerts.expect(alert, seconds + 30 * MINUTE, must=False)
        left = seconds
        while left > 0:
            if step > MINUTE and left > 30 * MINUTE:
                self.sleep_through(step)
            else:
                self.pass_time(min(left, MINUTE))
            self._scrape()
            left -= step if step > MINUTE and left > 30 * MINUTE else MINUTE
        self.start_redis()
        self.judge.look()  # before anybody beats
        self.pass_time(5 * MINUTE, whole=True)

    def _scrape(self):
        for coordinator in self.running():
            answer = self.ask_directly(coordinator, "/metrics")
            if answer is not None and answer.status == 200:
                self.alerts.scraped(coordinator.name, Metrics(answer.body.decode(), self.alerts.names))

    def redis_restart(self):
        let_pass(SIGN_OF_LIFE)
        self.kill_redis()
        self.clock.advance(2)
        self.start_redis()
        self.judge.look()
        self.pass_time(3 * MINUTE, whole=True)

    def outage_10_min(self):
        self._redis_away(10 * MINUTE)

    def outage_45_min(self):
        self._redis_away(45 * MINUTE)

    def outage_25_h(self):
        self._redis_away(25 * HOUR, step=20 * MINUTE if not self.is_short else 5 * HOUR)

    def failover(self):
        self.fail_over()
        self.pass_time(4 * MINUTE, whole=True)

    def region_cut_off(self):
        """What its machines can't say is not heard: they are rightly told offline."""
        self.relay.cut()
        self.alerts.expect("RmaRedisUnreachable", 25 * MINUTE)
        for alert in ("RmaErrors", "RmaHeartbeatsLate", "RmaServiceWithoutWorker"):
            self.alerts.expect(alert, 50 * MINUTE, must=False)
        self._wait_for_far(False)
        self.pass_time(20 * MINUTE)
        self.relay.heal()
        self._wait_for_far(True)
        self.pass_time(8 * MINUTE, whole=True)

    def _wait_for_far(self, is_up):
        wait_until(lambda: all(self.is_ready(machine.coordinator) == is_up for machine in self.proxies["far"].machines
                               if machine.state == "started"),
                   within=30, what="the far region's instance notices")

    def names_fail(self):
        """The far region's instance is started anew while the name of its Redis can't be looked up."""
        self.names.resolve(HOST_NAME, "none")
        machine = self.proxies["far"].machines[0]
        self.proxies["far"].stop(machine)
        self.proxies["far"].wait_for_stops()
        self.proxies["far"].start(machine)
        self.alerts.expect("RmaRedisUnreachable", 15 * MINUTE)
        for alert in ("RmaErrors", "RmaHeartbeatsLate", "RmaServiceWithoutWorker"):
            self.alerts.expect(alert, 40 * MINUTE, must=False)
        self.pass_time(10 * MINUTE)
        self.names.resolve(HOST_NAME, "127.0.0.1")
        self._wait_for_far(True)
        self.pass_time(6 * MINUTE, whole=True)

    def backup(self):
        self._archive.unlink(missing_ok=True)
        self.back_up(self._archive)
        self.pass_time(MINUTE)

    def backup_restored(self):
        """That of six hours ago; a machine that came since then is not known to it."""
        late = self._newcomer()
        self.pass_time(4 * MINUTE)
        let_pass(SIGN_OF_LIFE)
        self.restore(self._archive)
        self.judge.forget_events()
        self.judge.look()
        self.pass_time(10 * MINUTE, whole=True)
        self._leave(late)

    def _newcomer(self):
        self._made += 1
        machine = Machine(self, f"newcomer-{self._made}", "near",
                          {"worker_id": f"newcomer-{self._made}", "capabilities": {"cpu_cores": 4}, "services": SERVICES})
        machine.live()
        self.others.append(machine)
        return machine

    def _leave(self, machine):
        """It unregisters, and is gone."""
        status, _ = self.ask("DELETE", f"/api/worker/unregister/{machine.worker_id}")
        assert status in (200, 404), status
        self.others.remove(machine)

    def clock_forward(self):
        let_pass(SIGN_OF_LIFE)
        self.leap(HOUR)
        self.alerts.expect("RmaWorkersVanish", 30 * MINUTE, must=False)
        self.judge.look()
        self.pass_time(8 * MINUTE, whole=True)

    def clock_back(self):
        self.judge.distrust_history()
        self.leap(-HOUR)
        self.judge.look()
        self.pass_time(8 * MINUTE, whole=True)

    def full_redis(self):
        """Newcomers are refused; those that are there go on."""
        self.primary.client.config_set("maxmemory", 1)
        self.alerts.expect("RmaRedisRefuses", 15 * MINUTE)
        self.alerts.expect("RmaErrors", 20 * MINUTE, must=False)
        newcomer = self._newcomer()
        self.pass_time(10 * MINUTE, whole=True)
        self.primary.client.config_set("maxmemory", 0)
        self.pass_time(2 * MINUTE, whole=True)
        assert newcomer.worker_id is not None, "the newcomer is there when there is room"
        self._leave(newcomer)

    def agents_start_anew(self):
        """Agents that keep no id are started anew, each after it has missed a heartbeat."""
        anew = [agent for agent in self.agents if isinstance(agent, (Container, Tunnel, Laptop))]
        for agent in anew:
            agent.die()
        self.pass_time(4 * MINUTE)
        for agent in anew:
            agent.forget()
            if isinstance(agent, Tunnel):
                agent.start_anew()
            agent.live()
        self.pass_time(5 * MINUTE, whole=True)

    def wrong_clock(self):
        machine = WrongClock(self, "wrong-clock", "near")
        machine.live()
        self.others.append(machine)
        self.pass_time(10 * MINUTE, whole=True)
        self._leave(machine)

    def two_machines_one_id(self):
        """Both are served, and the conflict is told."""
        machines = [Machine(self, "twin", "near", {"worker_id": "twin", "boot_id": f"boot-{number}",
                                                   "capabilities": {"cpu_cores": number}, "services": SERVICES})
                    for number in (4, 8, 4)]
        for machine in machines:
            machine.live()
            self.pass_time(30)
            assert machine.register() == 200
        self.others.append(machines[0])
        self.pass_time(6 * MINUTE, whole=True)
        row = self.ask("GET", "/api/worker/twin")[1]
        if not row.get("conflict"):
            self.judge.note("missed", detail="two machines with one id are not told of")
        self._leave(machines[0])

    def machines_die(self):
        """A third of the fleet loses its power, for two hours: that must be told."""
        dead = self.fleet.members[::3]
        for machine in dead:
            machine.die()
        self.alerts.expect("RmaWorkersVanish", 100 * MINUTE)
        self.pass_time(8 * MINUTE, whole=True)
        self.pass_time(50 * MINUTE)
        for machine in dead:
            machine.live()
        self.pass_time(6 * MINUTE, whole=True)

    def key_rotation(self):
        status, answer = self.ask("POST", "/api/auth/keys/rotate", {})
        assert status == 200, answer
        self.pass_time(3 * MINUTE, whole=True)

    # -- the week ------------------------------------------------------------------------------------------------------------------

    def run(self):
        self.start_machines()
        self.wait_until_served()
        self.begin("a quiet start")
        self.listener.open()
        for agent in self.agents:
            agent.live()
            agent.register()
        self.fleet.register()
        self.pass_time(6 * MINUTE, whole=True)
        for moment, name, what in self._plan():
            if moment is None:
                self.pass_time(SHORT_GAP)
            else:
                self._wait_for(moment)
            self.begin(name)
            try:
                what()
            except AssertionError as error:  # the other days are worth seeing, too
                self.broken.append(f"{name}: {error}")
                print(traceback.format_exc(), flush=True)
        if not self.is_short:
            self._wait_for(self.days * DAY)
        self.pass_time(3 * MINUTE, whole=True)
        self.judge.look_at_history()
        self.judge.ask_the_listener()
        self.listener.close()

    def _wait_for(self, moment):
        while self.now() < moment:
            self.pass_time(min(moment - self.now() + 30, HOUR))
            self.judge.look_at_history()

    def _plan(self):
        """(moment in seconds or None, name of the row, what happens)"""
        once = [("Redis restarts, 2 s", self.redis_restart), ("Redis away, 10 min", self.outage_10_min),
                ("agents restart without ids", self.agents_start_anew),
                ("a failover", self.failover), ("an agent with a wrong clock", self.wrong_clock),
                ("Redis away, 45 min", self.outage_45_min),
                ("a region cut off, 20 min", self.region_cut_off), ("names can't be looked up, 10 min", self.names_fail),
                ("two machines with one id", self.two_machines_one_id),
                ("a full Redis, 10 min", self.full_redis), ("the signing key is rotated", self.key_rotation),
                ("a third of the fleet dies, 1 h", self.machines_die),
                ("the clock leaps an hour ahead", self.clock_forward), ("the clock leaps an hour back", self.clock_back)]
        if self.is_short:
            plan = [*once[:5], ("a backup", self.backup), ("a rolling deploy", self.rolling_deploy), *once[5:],
                    ("a night at zero instances", self.night_at_zero), ("a backup of hours ago is restored", self.backup_restored),
                    ("Redis away, 25 h", self.outage_25_h)]
            return [(None, name, what) for name, what in plan]
        plan = [(day * DAY + 1 * HOUR, "nights at zero instances", self.night_at_zero) for day in range(self.days - 1)]
        plan += [((day + (8 + 4 * number) / 24) * DAY, "rolling deploys", self.rolling_deploy)
                 for day in range(self.days - 1) for number in range(3 if day > 1 else 4)]
        plan += [(3 * DAY + 10 * HOUR, "a backup", self.backup),
                 (3 * DAY + 16 * HOUR, "a backup of six hours ago is restored", self.backup_restored)]
        daily = [9.5, 13.5, 17.5]
        moments = [day * DAY + hour * HOUR for day in range(self.days - 1) for hour in daily]
        plan += [(moment, name, what) for moment, (name, what) in zip(moments, once)]
        plan.append(((self.days - 1) * DAY - 2 * HOUR, "Redis away, 25 h", self.outage_25_h))
        return sorted(plan)
