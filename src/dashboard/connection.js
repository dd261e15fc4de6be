'use strict';

// How the page stays up to date: a stream of events; while there is none, it asks again and again.

const POLL_MS = 5000;
const POLL_LIST_MS = 30000; // … for the list of a fleet that is large
const LARGE = 1000;
const READ_AGAIN_MS = 60000; // what a stream should have told is checked
const QUIET_MS = 8000; // a stream says something every 5 s: events may be missing
const DEAD_MS = 15000; // … this one says nothing any more
const STREAM_AGAIN_MS = 10000;
const FIRST_POLL_MS = 1500; // a stream has so long to begin
const FOLLOW_MS = 1000; // after an event, what follows from it is asked for: once for all events of that time

// modes: connecting, live (events come), polling (answers come, events don't), lost
const connection = {mode: 'connecting', detail: '', heardAt: null};

// streamIsNew: it is being opened, by us or by the browser after a break; its first word is yet to come
let stream = null, streamIsNew = true, streamOpenedAt = 0, streamHeardAt = 0, streamAgainAt = 0;
let polling = false, polledAt = 0, listedAt = 0, readAt = 0;

function setMode(mode, detail = '') {
  if (mode === 'lost') fleet.frozenAt ??= now();
  else if (mode !== 'connecting') fleet.frozenAt = null;
  if (mode === 'live' || mode === 'polling') connection.heardAt = Date.now();
  if (connection.mode === mode && connection.detail === detail) return;
  Object.assign(connection, {mode, detail});
  announce('connection');
}

function openStream() {
  stream?.close();
  streamOpenedAt = Date.now();
  streamIsNew = true;
  stream = new EventSource('api/events');
  const on = (name, take) => stream.addEventListener(name, event => {
    streamHeardAt = Date.now();
    take(event.data && JSON.parse(event.data));
  });
  for (const kind of ['registered', 'online', 'updated', 'offline', 'removed']) on('worker.' + kind, event => {
    takeWorkerEvent(kind, event);
    follow();
  });
  on('heartbeats', takeHeartbeats);
  on('reset', readAll);
  on('stats', stats => {
    const changed = takeStats(stats);
    setMode('live');
    if (streamIsNew) readAll();
    else if (changed) follow();
    streamIsNew = false;
  });
  stream.onerror = () => {
    streamIsNew = true; // the browser connects again by itself, unless it was refused
    if (stream.readyState === EventSource.CLOSED) {
      stream = null;
      streamAgainAt = Date.now() + STREAM_AGAIN_MS;
      if (connection.mode === 'live') setMode('connecting');
    }
    poll();
  };
}

let following = false;

function follow() {
  if (following) return;
  following = true;
  setTimeout(async () => {
    following = false;
    // a broken connection breaks the stream, too
    await Promise.allSettled([get('api/admin/stats').then(takeStats), readSummaries()]);
  }, FOLLOW_MS);
}

async function readAll() {
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
    if (connection.mode === 'lost') streamAgainAt = 0;
    setMode('polling');
    const list = returned || fleet.workers.size <= LARGE || Date.now() - listedAt >= POLL_LIST_MS;
    const history = returned || Date.now() - readAt >= READ_AGAIN_MS;
    if (list) listedAt = Date.now();
    if (history) readAt = Date.now();
    await Promise.all([readSummaries(), list ? readWorkers() : null, history ? readHistory() : null]);
  } catch (error) {
    if (streamHeardAt < polledAt) setMode('lost', error.message);
  } finally {
    polling = false;
  }
}

function tick() {
  const time = Date.now();
  if (stream ? time - Math.max(streamOpenedAt, streamHeardAt) > DEAD_MS : time >= streamAgainAt) openStream();
  if (connection.mode === 'live' && time - streamHeardAt > QUIET_MS) setMode('connecting');
  const started = connection.mode !== 'connecting' || time - startedAt >= FIRST_POLL_MS;
  if (connection.mode !== 'live' && started && time - polledAt >= POLL_MS) poll();
  if (connection.mode === 'live' && time - readAt >= READ_AGAIN_MS) readAll();
}

const startedAt = Date.now();

function connect() {
  listen('connection', showConnection);
  showConnection();
  openStream();
  setInterval(tick, 1000);
}

// -- what is said of it -----------------------------------------------------------------------------------------------------------------

const CONNECTION_WORDS = {connecting: 'Connecting …', live: 'Live', polling: 'Asking every 5 s', lost: 'Connection lost'};

function showConnection() {
  const {mode, detail, heardAt} = connection, shown = byId('connection'), banner = byId('banner');
  shown.className = 'connection ' + mode;
  shown.replaceChildren(make('span', 'dot'), CONNECTION_WORDS[mode]);
  shown.title = mode === 'polling' ? 'There is no stream of events from this coordinator; the page asks for what is new.' : '';
  banner.hidden = mode !== 'lost';
  document.body.classList.toggle('stale', mode === 'lost');
  if (mode === 'lost') {
    const since = heardAt ? ` What you see is from ${timeOfDay.format(heardAt)}.` : '';
    banner.replaceChildren(make('div', 'width', make('strong', '', 'Connection lost.'), ` ${detail}${since} Trying again every 5 s.`));
  }
}
