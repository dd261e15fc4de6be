'use strict';

// One worker's page.

const WORKER_AGAIN_MS = 30000;
const HELD_AGAIN_MS = REQUESTS_AGAIN_MS;
const HELD_SHOWN = 20;

const shownWorker = {id: null, left: null, worker: null, readAt: 0, heldAt: 0, parts: null, lastEvent: null,
  samples: null};

function fact(title, value) {
  const shown = value instanceof Node ? value : plainText(value) || '–';
  return make('div', '', make('dt', '', title), make('dd', '', shown));
}

// A card with a list of names and values; those of nothing are left out.
function factCard(title, facts, none = 'It has reported nothing.') {
  const said = facts.filter(([, value]) => value instanceof Node || plainText(value) !== '');
  return make('section', 'card', make('header', '', make('h2', '', title)),
    said.length ? make('dl', 'facts', ...said.map(([name, value]) => fact(name, value)))
      : make('p', 'none', none));
}

function dateOf(text) {
  const time = Date.parse(text);
  return Number.isNaN(time) ? '' : dateAndTime.format(time);
}

// A capability; a size as the coordinator read it, and as it was told where that differs.
function capabilityText({hardware}, name, told) {
  const read = (hardware || {})[name];
  return read && read.text ? read.text + (read.text === plainText(told) ? '' : ` (told: ${plainText(told)})`) : told;
}

function drainWords({drain_reason: reason, drained_at: since, drained_from: from}) {
  return 'drained by an operator' + (since ? ` since ${dateOf(since)}` : '') + (from ? `, from ${plainText(from)}` : '')
    + (reason ? `: ${plainText(reason)}` : '');
}

function servicesCard({assigned_services: assigned, services, containers, services_status: states, unwell_services: unwell}) {
  const advertised = [...services, ...(containers || []).filter(container => typeof container.name === 'string')]
    .map(service => typeof service === 'object' && service ? service : {name: service});
  const names = [...new Set([...assigned, ...advertised.map(service => plainText(service.name))])].sort(byText);
  const rows = names.map(name => {
    const own = advertised.find(service => service.name === name) || {};
    const heading = make('th', '', name);
    heading.scope = 'row';
    const state = plainText((states || {})[name] ?? own.health);
    const cells = [assigned.includes(name) ? 'assigned' : 'advertised',
      (unwell || []).includes(name) ? `not well: not given out${state && ` (${state})`}` : state, own.port, own.version];
    return make('tr', '', heading, ...cells.map(cell => make('td', '', plainText(cell) || '–')));
  });
  return listCard('Services', ['Name', 'Origin', 'State', 'Port', 'Version'], rows, 'It provides none.');
}

function containersCard({assigned_containers: assigned}) {
  const rows = assigned.map(({name, image, port}) => {
    const heading = make('th', '', plainText(name));
    heading.scope = 'row';
    return make('tr', '', heading, make('td', '', plainText(image)), make('td', '', plainText(port)));
  });
  return listCard('Assigned containers', ['Name', 'Image', 'Port'], rows, 'None.');
}

function listCard(title, columns, rows, none) {
  const headings = columns.map(column => {
    const heading = make('th', '', column);
    heading.scope = 'col';
    return heading;
  });
  const content = rows.length
    ? make('table', '', make('caption', 'hidden', title), make('thead', '', make('tr', '', ...headings)),
      make('tbody', '', ...rows))
    : make('p', 'none', none);
  const wrap = make('div', 'wide', content);
  if (rows.length) wrap.tabIndex = 0;
  return make('section', 'card', make('header', '', make('h2', '', title)), wrap);
}

// What it holds: the tasks that it has leased.
async function showHeld() {
  const {id, parts} = shownWorker;
  shownWorker.heldAt = Date.now();
  try {
    const page = await get('api/tasks' + queryOf({worker_id: id, state: 'leased', limit: HELD_SHOWN}));
    if (shownWorker.id !== id) return;
    const rows = page.tasks.map(task => {
      const heading = make('th', '', taskLink(plainText(task.task_id)));
      heading.scope = 'row';
      return make('tr', '', heading, make('td', '', plainText(task.type)), make('td', '', plainText(task.queue)),
        make('td', 'number', ageOf(task.started_at)), make('td', '', progressOf(task.progress) || '–'));
    });
    const card = listCard('Tasks that it holds', ['Task', 'Type', 'Queue', 'For', 'Progress'], rows, 'None.');
    if (page.next_cursor) card.append(make('p', 'none', tasksLink('All of them', {worker_id: id, state: 'leased'})));
    parts.held.replaceChildren(card);
  } catch (error) {
    if (shownWorker.id === id && error.status === 404) parts.held.replaceChildren();
  }
}

// Its requests, as a reading has them.
function showItsRequests({requests_left: inFlight, requests_served: served}) {
  const {id, parts, samples} = shownWorker;
  samples.take([[id, {served}]]);
  setText(parts.inFlight, count(inFlight));
  setText(parts.rate, rateWords(samples.rate(id, 'served')));
  setText(parts.served, count(served));
}

async function readItsRequests() {
  const {id, parts} = shownWorker;
  try {
    const worker = await get(workerPath(id));
    if (shownWorker.id === id) showItsRequests(worker);
  } catch {
    for (const part of [parts.inFlight, parts.rate]) setText(part, '–'); // why is said by what else the page asks for
  }
}

// -- the parts that stay, so that the focus does ----------------------------------------------------------------------------------

function makeParts(id) {
  const button = (looks, action) => {
    const element = make('button', looks, action.button);
    element.type = 'button';
    const done = () => action === ACTIONS.remove ? location.assign('#/') : readWorker();
    element.addEventListener('click', () => ask(action, id, done));
    return element;
  };
  const parts = {
    status: statusBadge('offline'), note: make('p', 'soft'), figures: make('dl'), details: make('div', 'details'),
    drain: button('', ACTIONS.drain), undrain: button('', ACTIONS.undrain), remove: button('quiet-danger', ACTIONS.remove),
    held: make('div'), load: loadBar(null), lastHeartbeat: make('span', 'number'),
    inFlight: make('span'), rate: make('span'), served: make('span'),
  };
  const back = make('a', 'back', '← Fleet');
  back.href = '#/';
  parts.title = make('h1', 'id', id);
  parts.title.tabIndex = -1;
  parts.requests = make('section', 'figures card', make('header', '', make('h2', '', 'Requests'), make('span', 'soft', UNCOUNTED)),
    make('dl', '', figure('', 'In flight', parts.inFlight), figure('', 'Requests/min', parts.rate),
      figure('', 'Served', parts.served)));
  parts.buttons = make('div', 'buttons operator', parts.drain, parts.undrain, parts.remove);
  byId('worker').replaceChildren(back,
    make('div', 'title', make('div', '', make('div', 'name', parts.title, parts.status), parts.note), parts.buttons),
    make('section', 'figures card', parts.figures), parts.requests, parts.held, parts.details);
  return parts;
}

function showWorker() {
  const {worker, parts, id} = shownWorker;
  parts.buttons.hidden = parts.status.hidden = !worker;
  parts.figures.parentNode.hidden = parts.requests.hidden = !worker;
  if (!worker) {
    setText(parts.note, shownWorker.why || 'Reading …');
    parts.details.replaceChildren();
    return;
  }
  const row = fleet.workers.get(id) || rowOf(worker);
  showNow(row);
  setText(parts.note, [TIERS[worker.tier] + ' worker', worker.region, worker.drained ? drainWords(worker) : '',
    worker.reported_status ? `says “${plainText(worker.reported_status)}”, which counts as degraded` : '',
    worker.conflict ? `two machines use this id in turn, since ${dateOf(worker.conflict.since)}: give each an id of its own` : '',
    worker.suspect_since ? `others completed tasks at which it failed, since ${dateOf(worker.suspect_since)}` : '',
    `registered ${dateOf(worker.registered_at)}`].filter(Boolean).join(' · '));
  parts.drain.hidden = worker.drained;
  parts.undrain.hidden = !worker.drained;
  parts.figures.replaceChildren(
    figure('', 'Load', parts.load), figure('', 'Active requests', plainText(row.active) || '–'),
    figure('', 'Last heartbeat', parts.lastHeartbeat), figure('', 'Tasks completed', count(worker.tasks_completed)),
    figure('', 'Memory available', (worker.available_memory_size?.text ?? plainText(worker.available_memory)) || '–'),
    figure('', 'GPU utilization', worker.gpu_utilization === null ? '–' : Math.round(worker.gpu_utilization) + ' %'));
  const hardware = Object.entries(worker.capabilities || {})
    .map(([name, value]) => [name.replaceAll('_', ' '), capabilityText(worker, name, value)]);
  parts.details.replaceChildren(
    factCard('Hardware', hardware),
    factCard('Identity and address', [['Worker', worker.worker_id], ['Instance', worker.instance_id], ['Type', worker.worker_type],
      ['Region', worker.region], ['IP address', worker.ip_address], ['Tunnel', worker.tunnel_url], ['VPN', worker.vpn_ip],
      ['Specialized for', worker.specialization], ['Models loaded', worker.loaded_models.map(plainText).join(', ')]]),
    servicesCard(worker), containersCard(worker));
}

// What every heartbeat changes.
function showNow(row) {
  const {parts} = shownWorker;
  setStatus(parts.status, row.status);
  setLoad(parts.load, row.status === 'offline' ? null : row.load);
  setText(parts.lastHeartbeat, duration(now() - row.lastHeartbeat) + ' ago');
}

async function readWorker() {
  const {id} = shownWorker, askedAt = shownWorker.readAt = Date.now();
  try {
    const worker = await get(workerPath(id));
    putAsked(worker, askedAt);
    if (shownWorker.id === id) {
      Object.assign(shownWorker, {worker, why: ''});
      showItsRequests(worker);
    }
  } catch (error) {
    if (shownWorker.id !== id || (shownWorker.worker && error.status !== 404)) return;
    Object.assign(shownWorker, {worker: null, why: error.status === 404 ? 'There is no such worker (any more).' : error.message});
  }
  if (shownWorker.id !== id) return;
  showWorker();
  showHeld();
}

function openWorker(id) {
  Object.assign(shownWorker, {id, worker: null, why: '', parts: makeParts(id), samples: new Samples(REQUESTS_AGAIN_MS / 2)});
  showWorker();
  shownWorker.parts.title.focus({preventScroll: true});
  scrollTo(0, 0);
  readWorker();
}

function closeWorker() {
  shownWorker.left = shownWorker.id;
  shownWorker.id = null;
}

function setUpWorker() {
  setInterval(() => {
    const {id, worker, readAt, heldAt} = shownWorker, row = fleet.workers.get(id);
    if (id === null || document.hidden) return;
    if (worker && row) showNow(row);
    if (Date.now() - readAt >= WORKER_AGAIN_MS) readWorker();
    else if (worker && Date.now() - heldAt >= HELD_AGAIN_MS) {
      showHeld();
      readItsRequests();
    }
  }, 1000);
  listen('events', () => {
    const seen = fleet.events.indexOf(shownWorker.lastEvent);
    const fresh = seen === -1 ? fleet.events : fleet.events.slice(0, seen);
    [shownWorker.lastEvent] = fleet.events;
    if (fresh.some(event => event.id === shownWorker.id)) readWorker();
  });
  listen('connection', () => {
    if (shownWorker.id !== null && connection.mode === 'live') readWorker();
  });
}
