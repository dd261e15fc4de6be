'use strict';

// How the page stays up to date: a stream of events; while there is none, it asks again and again.

const POLL_MS = 5000;
const POLL_LIST_MS = 30000; // … for the list of a fleet that is large
const LARGE = 1000;
const READ_AGAIN_MS = 60000; // what a stream should have told is checked
const QUIET_MS = 8000; // a stream says something every 5 s: events may be missing
const FIRST_POLL_MS = 1500; // a stream has so long to begin
const FOLLOW_MS = 1000; // after an event, what follows from it is asked for: once for all events of that time

// modes: connecting, live (events come), polling (answers come, events don't), lost, refused (one has not signed in)
const connection = {mode: 'connecting', detail: '', heardAt: null};

let polling = false, polledAt = 0, listedAt = 0, readAt = 0;

function setMode(mode, detail = '') {
  if (mode === 'lost') fleet.frozenAt ??= now();
  else if (mode !== 'connecting') fleet.frozenAt = null;
  if (mode === 'live' || mode === 'polling') connection.heardAt = Date.now();
  if (connection.mode === mode && connection.detail === detail) return;
  Object.assign(connection, {mode, detail});
  announce('connection');
}

function takeEvent(name, data, isNew) {
  if (name === 'unavailable') {
    setMode('lost', plainText(data.detail));
    return;
  }
  if (name === 'stats') {
    const changed = takeStats(data), wasLost = connection.mode === 'lost';
    setMode('live');
    if (wasLost) readAll();
    else if (changed && !isNew) follow();
  } else if (name === 'heartbeats') {
    takeHeartbeats(data);
  } else if (name.startsWith('worker.')) {
    takeWorkerEvent(name.slice('worker.'.length), data);
    follow();
  }
  if (isNew || name === 'reset') readAll();
}

function streamBroke() {
  if (!stream.source && connection.mode === 'live') setMode('connecting');
  poll();
}

// The events come by way of another tab, which has had the first ones already.
async function joinStream() {
  if (connection.mode === 'live' && Date.now() - stream.heardAt <= QUIET_MS) return;
  try {
    takeStats(await get('api/admin/stats'));
    stream.heardAt = Date.now();
    setMode('live');
    readAll();
  } catch {
    poll();
  }
}

let following = false;

function follow() {
  if (following || document.hidden) return;
  following = true;
  setTimeout(async () => {
    following = false;
    // a broken connection breaks the stream, too
    await Promise.allSettled([get('api/admin/stats').then(takeStats), readSummaries()]);
  }, FOLLOW_MS);
}

async function readAll() {
  if (document.hidden) return; // it is read when it is shown
  readAt = listedAt = Date.now();
  const results = await Promise.allSettled([readSummaries(), readHistory(), readWorkers()]);
  if (results.some(({status}) => status === 'rejected')) readAt += POLL_MS - READ_AGAIN_MS; // soon again
}

async function poll() {
  if (polling) return;
  polling = true;
  polledAt = Date.now();
  try {
    takeStats(await get('api/admin/stats'));
    const returned = connection.mode !== 'polling';
    if (connection.mode === 'live') return; // a short break of the stream
    if (connection.mode === 'lost') retryStream();
    setMode('polling');
    const list = returned || fleet.workers.size <= LARGE || Date.now() - listedAt >= POLL_LIST_MS;
    const history = returned || Date.now() - readAt >= READ_AGAIN_MS;
    if (list) listedAt = Date.now();
    if (history) readAt = Date.now();
    await Promise.all([readSummaries(), list ? readWorkers() : null, history ? readHistory() : null]);
  } catch (error) {
    if (stream.heardAt < polledAt) setMode(error.status === 401 ? 'refused' : 'lost', error.message);
  } finally {
    polling = false;
  }
}

function tick() {
  const time = Date.now();
  if (document.hidden) return;
  if (connection.mode === 'live' && time - stream.heardAt > QUIET_MS) setMode('connecting');
  const started = connection.mode !== 'connecting' || time - startedAt >= FIRST_POLL_MS;
  if (connection.mode !== 'live' && started && time - polledAt >= POLL_MS) poll();
  if (connection.mode === 'live' && time - readAt >= READ_AGAIN_MS) readAll();
}

let startedAt = Date.now(); // or shown

function connect() {
  listen('connection', showConnection);
  showConnection();
  followStream(takeEvent, streamBroke, joinStream);
  setInterval(tick, 1000);
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    startedAt = Date.now();
    tick();
    if (connection.mode === 'live') readAll();
  });
}

// -- what is said of it -----------------------------------------------------------------------------------------------------------

const CONNECTION_WORDS = {connecting: 'Connecting …', live: 'Live', polling: 'Asking every 5 s', lost: 'Connection lost',
  refused: 'Not signed in'};

function showConnection() {
  const {mode, detail, heardAt} = connection, shown = byId('connection'), banner = byId('banner');
  shown.className = 'connection ' + mode;
  shown.replaceChildren(make('span', 'dot'), CONNECTION_WORDS[mode]);
  shown.title = mode === 'polling' ? 'This coordinator gives no stream of events, so the page asks for news.' : '';
  banner.hidden = mode !== 'lost';
  document.body.classList.toggle('stale', mode === 'lost');
  if (mode === 'lost') {
    const since = heardAt ? ` What you see is from ${timeOfDay.format(heardAt)}.` : '';
    const lost = make('strong', '', 'Connection lost.');
    banner.replaceChildren(make('div', 'width', lost, ` ${detail}${since} Trying again every 5 s.`));
  }
}
