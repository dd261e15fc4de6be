'use strict';

// What is seen at a glance: health, totals, tiers, services.

const HEALTH_TITLES = {healthy: 'The fleet is well', degraded: 'The fleet is degraded', unhealthy: 'The fleet is unhealthy'};

function healthReasons({workers_by_status: by, has_minimum_workers: has}) {
  const missing = [];
  if (!has.gpu_workers) missing.push('no live GPU worker');
  if (!has.service_workers) missing.push('no live service worker');
  const reasons = [];
  if (missing.length) reasons.push(`There is ${missing.join(' and ')}.`);
  if (by.offline > by.healthy) reasons.push('More workers are offline than healthy.');
  else if (by.offline) reasons.push(`${countOf(by.offline, 'worker')} ${by.offline === 1 ? 'is' : 'are'} offline.`);
  if (by.degraded) reasons.push(`${countOf(by.degraded, 'worker')} ${by.degraded === 1 ? 'is' : 'are'} degraded.`);
  return reasons.join(' ');
}

function showHealth() {
  const {health, stats} = fleet;
  if (!health || !stats) return;
  const empty = stats.total_workers === 0;
  const status = empty ? 'empty' : health.overall_status;
  byId('health').className = 'health ' + status;
  setText(byId('health-title'), empty ? 'The fleet is empty' : HEALTH_TITLES[status] || `The fleet is ${status}`);
  const live = stats.total_workers - stats.offline_workers;
  setText(byId('health-reasons'), empty ? 'No worker has registered.'
    : `${count(live)} of ${countOf(stats.total_workers, 'worker')} live. ${healthReasons(health)}`);
  byId('welcome').hidden = !empty;
}

// -- totals -----------------------------------------------------------------------------------------------------------------------

function figure(status, title, value, note) {
  return make('div', status ? 'figure ' + status : 'figure', make('dt', '', status ? make('span', 'dot') : null, title),
    make('dd', '', value, note ? make('small', '', note) : null));
}

function showFigures() {
  const stats = fleet.stats;
  if (!stats) return;
  const total = stats.total_workers, live = total - stats.offline_workers;
  const draining = [...fleet.workers.values()].filter(row => row.status === 'draining').length;
  byId('figures').replaceChildren(
    figure('', 'Workers', count(total), total ? `${count(live)} live` : ''),
    // the API counts those that drain as healthy
    figure('healthy', 'Healthy', count(Math.max(0, stats.healthy_workers - draining))),
    figure('degraded', 'Degraded', count(stats.degraded_workers)),
    figure('draining', 'Draining', count(draining)),
    figure('offline', 'Offline', count(stats.offline_workers)),
    figure('', 'Load', live ? percent(stats.average_load) : '–', live ? 'on average' : ''),
    figure('', 'Tasks completed', count(stats.total_tasks_completed)));
}

// -- tiers ------------------------------------------------------------------------------------------------------------------------

function showTiers() {
  const stats = fleet.stats;
  if (!stats) return;
  byId('tiers').replaceChildren(...Object.entries(TIERS).map(([tier, name]) => {
    const workers = stats.by_tier[tier], load = stats.average_load_by_tier[`${name.toLowerCase()}_workers`];
    const heading = make('th', '', name);
    heading.scope = 'row';
    const bar = loadBar(workers ? load : null);
    return make('tr', workers ? '' : 'faint', heading, make('td', 'number', count(workers)), make('td', '', bar));
  }));
}

// -- services ---------------------------------------------------------------------------------------------------------------------

const GAP_WORDS = {critical: 'Missing', warning: 'Only one', ok: 'Covered'};
const GAP_LOOKS = {critical: 'offline', warning: 'degraded', ok: 'healthy'};

// The requests that were passed on to workers.
const passed = {
  counts: null, // by service, none for 0: {in_flight, served}; null: not known
  samples: new Samples(REQUESTS_AGAIN_MS / 2), again: null,
  cells: new Map(), // of the table's rows, by service
};

function servicesOf(list) {
  return list.services.map(service => ({name: service.name, workers: service.worker_count}));
}

// The services of the catalogue, those first that lack workers, then those that workers advertise besides.
function showServices() {
  const catalogue = new Set(fleet.gaps.map(gap => gap.service));
  const rows = [
    ...fleet.gaps.map(gap => ({name: gap.service, workers: gap.current_workers, status: gap.status})),
    ...fleet.services.filter(service => !catalogue.has(service.name)).map(service => ({...service, status: null})),
  ];
  passed.cells = new Map(rows.map(({name}) => [name,
    ['In flight', 'Requests/min'].map(title => namedCell(title, make('td', 'number')))]));
  byId('services').replaceChildren(...rows.map(({name, workers, status}) => {
    const heading = make('th', '', plainText(name));
    heading.scope = 'row';
    const state = status === null ? make('span', 'soft', 'Advertised')
      : make('span', 'badge ' + (GAP_LOOKS[status] || ''), make('span', 'dot'),
        make('span', '', GAP_WORDS[status] || plainText(status)));
    const live = namedCell('Live workers', make('td', 'number', count(workers)));
    return make('tr', '', heading, live, make('td', 'state', state), ...passed.cells.get(name));
  }));
  const missing = fleet.gaps.filter(gap => gap.status === 'critical').length;
  setText(byId('services-summary'), missing ? `${missing} of ${fleet.gaps.length} without a live worker`
    : fleet.gaps.length ? 'all have live workers' : '');
  showRequests();
}

// -- their requests ---------------------------------------------------------------------------------------------------------------

function showRequests() {
  for (const [name, [inFlight, rate]] of passed.cells) {
    setText(inFlight, passed.counts ? count(passed.counts.get(name)?.in_flight || 0) : '–');
    setText(rate, rateWords(passed.counts && passed.samples.rate(name, 'served')));
  }
}

async function readRequests() {
  try {
    const {services} = await get('api/route/requests');
    passed.counts = new Map(services.map(each => [each.service, each]));
    passed.samples.take(passed.counts);
  } catch {
    passed.counts = null; // why is said by what else the page asks for
  }
  showRequests();
}

function setUpOverview() {
  passed.again = new Repeated(REQUESTS_AGAIN_MS, readRequests);
  setText(byId('services-uncounted'), UNCOUNTED);
  const base = new URL('.', location.href).href.replace(/\/$/, '');
  byId('welcome-command').textContent = `curl ${base}/api/worker/register -H 'Content-Type: application/json' \\\n`
    + `     -d '{"worker_id": "my-worker", "capabilities": {"cpu_cores": 8, "ram": "16GB"}}'`;
  listen('health', showHealth);
  listen('stats', () => {
    showHealth();
    showFigures();
    showTiers();
  });
  listen('workers', showFigures);
  listen('services', showServices);
}
