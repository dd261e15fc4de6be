'use strict';

// The fleet as this page knows it. Others listen to topics: workers, stats, health, services, history, events, connection.

const EVENTS_KEPT = 100;
const ANNOUNCE_MS = 100;
const FETCHED_AT_ONCE = 20; // workers asked for one by one; of more, the list is read again

const fleet = {
  workers: new Map(), // rows by id
  stats: null, health: null, gaps: [], services: [], history: [],
  events: [], // the last ones, newest first
  clockAhead: 0, // ms that the coordinator's clock is ahead of ours
  frozenAt: null, // the coordinator's time when the connection was lost
};

const listeners = {}, announced = new Set();

function listen(topic, listener) {
  (listeners[topic] ||= []).push(listener);
}

// Tells listeners soon, once for however many changes there are by then; in a hidden tab, when it is shown.
function announce(topic) {
  if (announced.size === 0) setTimeout(tellListeners, ANNOUNCE_MS);
  announced.add(topic);
}

function tellListeners() {
  if (document.hidden) return;
  const topics = [...announced];
  announced.clear();
  for (const each of topics) for (const listener of listeners[each] || []) listener();
}

document.addEventListener('visibilitychange', tellListeners);

// The time on the coordinator's clock; while the connection is lost, that of the loss: nothing is known of later.
function now() {
  return fleet.frozenAt ?? Date.now() + fleet.clockAhead;
}

function providedBy(worker) {
  const advertised = [...worker.services, ...worker.containers || []]
    .map(service => service.name ?? service).filter(name => typeof name === 'string');
  return [...new Set([...worker.assigned_services, ...advertised].map(plainText))].sort();
}

// What the table shows, of a worker as the API gives it.
function rowOf(worker) {
  const services = providedBy(worker), capabilities = hardwareLine(worker);
  const words = [worker.worker_id, worker.worker_type, worker.ip_address, worker.tunnel_url, worker.vpn_ip, worker.instance_id,
    worker.region, worker.specialization, worker.loaded_models, ...services, capabilities];
  return {
    id: worker.worker_id, tier: worker.tier, status: worker.status, load: worker.current_load, active: worker.active_requests,
    lastHeartbeat: Date.parse(worker.last_heartbeat), tasks: worker.tasks_completed, services,
    unwell: (worker.unwell_services || []).map(plainText), why: plainText(worker.drain_reason),
    hardware: capabilities, conflict: Boolean(worker.conflict), suspect: Boolean(worker.suspect_since),
    text: words.map(plainText).join(' ').toLowerCase(),
  };
}

const REMOVALS_KEPT = 1000;
const removals = new Map(); // when workers were removed, the last of them, by id

// Takes over a worker that was asked for alone; while the answer was on its way, it may have been removed.
function putAsked(worker, askedAt) {
  if (!(removals.get(worker.worker_id) >= askedAt)) putWorker(worker);
}

// Takes over a worker; what is known of a later heartbeat stays.
function putWorker(worker) {
  const row = rowOf(worker), known = fleet.workers.get(row.id);
  if (known && known.lastHeartbeat > row.lastHeartbeat)
    Object.assign(row, {status: known.status, load: known.load, active: known.active, lastHeartbeat: known.lastHeartbeat});
  fleet.workers.set(row.id, row);
  announce('workers');
}

// -- the whole list ---------------------------------------------------------------------------------------------------------------

let reading = null; // the reading under way: which workers events told of meanwhile; whether it is to be done again

async function readWorkers() {
  if (reading) {
    reading.again = true;
    return;
  }
  reading = {told: new Set(), again: false};
  const listed = new Set();
  let again = false;
  try {
    for await (const workers of allWorkers()) {
      for (const worker of workers) {
        listed.add(worker.worker_id);
        if (!reading.told.has(worker.worker_id)) putWorker(worker);
      }
      const last = workers.at(-1);
      if (last) fleet.clockAhead = Date.parse(last.last_heartbeat) + last.age_seconds * 1000 - Date.now();
    }
    for (const id of fleet.workers.keys()) if (!listed.has(id) && !reading.told.has(id)) fleet.workers.delete(id);
    announce('workers');
    ({again} = reading);
  } finally {
    reading = null;
  }
  if (again) await readWorkers();
}

// -- what the stream of events tells ----------------------------------------------------------------------------------------------

const wanted = new Set(); // workers to be asked for

function want(id) {
  if (document.hidden) return;
  if (wanted.size === 0) setTimeout(fetchWanted, 250);
  wanted.add(id);
}

async function fetchWanted() {
  const ids = [...wanted];
  wanted.clear();
  if (ids.length > FETCHED_AT_ONCE) {
    await readWorkers().catch(() => {}); // it is read again within a minute
    return;
  }
  const askedAt = Date.now();
  await Promise.all(ids.map(id => get(workerPath(id)).then(worker => putAsked(worker, askedAt), error => {
    if (error.status === 404) fleet.workers.delete(id);
    announce('workers');
  })));
}

// A worker.<kind> event.
function takeWorkerEvent(kind, event) {
  const id = event.worker_id, row = fleet.workers.get(id);
  const time = Date.parse(event.time);
  fleet.events.unshift({kind, id, reason: event.reason, why: event.drain_reason, status: event.status, time});
  fleet.events.length = Math.min(fleet.events.length, EVENTS_KEPT);
  reading?.told.add(id);
  if (kind === 'removed') {
    fleet.workers.delete(id);
    removals.delete(id); // the last one is behind the others
    removals.set(id, Date.now());
    if (removals.size > REMOVALS_KEPT) removals.delete(removals.keys().next().value);
  } else if (row) {
    Object.assign(row, {status: event.status, tier: event.tier, services: [...event.services].sort(), changedAt: time});
  }
  if (row && event.reason.endsWith('drained')) row.why = plainText(event.drain_reason);
  if (row && (kind === 'conflict' || kind === 'suspect')) row[kind] = true;
  if (kind === 'registered' || event.reason === 'moved' || (kind !== 'removed' && !row)) want(id);
  announce('workers');
  announce('events');
}

// A heartbeats event: who has beaten, in columns that it names.
function takeHeartbeats({fields, workers}) {
  const at = Object.fromEntries(fields.map((name, i) => [name, i]));
  for (const beat of workers) {
    const row = fleet.workers.get(beat[at.worker_id]);
    if (!row) {
      want(beat[at.worker_id]);
      continue;
    }
    const time = Date.parse(beat[at.last_heartbeat]);
    if (time < Math.max(row.lastHeartbeat, row.changedAt || 0)) continue; // of before what is known already
    row.status = beat[at.status];
    row.load = beat[at.current_load];
    row.active = beat[at.active_requests];
    row.lastHeartbeat = time;
  }
  announce('workers');
}

function takeStats(stats) {
  const before = fleet.stats;
  fleet.stats = stats;
  if (stats.time) fleet.clockAhead = Date.parse(stats.time) - Date.now();
  announce('stats');
  const counted = ['status', 'total_workers', 'healthy_workers', 'degraded_workers', 'offline_workers'];
  return !before || counted.some(name => before[name] !== stats[name]);
}

// What follows from who is there.
async function readSummaries() {
  const [health, gaps, services] = await Promise.all([get('api/admin/health'), get('api/admin/gaps'), get('api/services/list')]);
  Object.assign(fleet, {health, gaps: gaps.gaps, services: servicesOf(services)});
  announce('health');
  announce('services');
}

async function readHistory() {
  fleet.history = (await get('api/admin/history?minutes=60')).points;
  announce('history');
}
