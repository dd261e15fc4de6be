'use strict';

// One stream of events for all tabs of a browser. A browser has six connections to a coordinator, and a stream keeps one for
// good: with a stream for each tab, the seventh tab would wait for ever. The tabs agree over a channel which of those that can
// be seen leads: it has the stream and passes on what comes. When the leader closes, is hidden or says nothing any more,
// another tab leads, and its stream goes on behind the last event that was passed on. Locks would need no timeouts, but exist
// only where the page came by https or from localhost.

const SIGN_MS = 1000; // between two signs of a leader
const SILENT_MS = 3500; // a leader that gave none for so long is gone
const ANSWER_MS = 60; // a leader answers a newcomer within this
const DEAD_MS = 15000; // a stream that says nothing for so long is dead; events come every 5 s
const STREAM_AGAIN_MS = 10000;
const STREAM_EVENTS = ['worker.registered', 'worker.online', 'worker.updated', 'worker.offline', 'worker.removed',
  'worker.conflict', 'worker.suspect', 'heartbeats', 'stats', 'reset', 'unavailable'];

const stream = {
  tab: Math.random().toString(36).slice(2), // this tab's name
  channel: null, // null: the browser has none, and each tab has a stream of its own
  term: 0, // grows with each leader; where two lead, the later one stays
  leads: false,
  leaderHeardAt: 0,
  claiming: 0, // the timer of a tab that is about to lead
  source: null, // the leader's EventSource
  sourceIsNew: false, // it has broken, or began without a position: its first word is yet to come
  sourceOpenedAt: 0, sourceAgainAt: 0,
  heardAt: 0, // when the last event came, by whichever way
  position: '', // id of the last event
  joining: true, // no leader has been heard of since this tab was opened or shown
  take: null, broke: null, joined: null,
};

// Whether the id of an event, "1700000000000-0", is after another one.
function isAfter(id, other) {
  const [time, number] = id.split('-').map(Number), [otherTime, otherNumber] = other.split('-').map(Number);
  return time > otherTime || (time === otherTime && number > otherNumber);
}

function say(kind, more = {}) {
  stream.channel?.postMessage({kind, tab: stream.tab, term: stream.term, ...more});
}

function sayLeading() {
  say('leading', {alive: Date.now() - stream.heardAt < DEAD_MS, position: stream.position});
}

// -- events, this tab's own and those passed on -----------------------------------------------------------------------------------

// before: the id of the event before it, as its sender knows it. One that this tab has not had is missing here.
function deliver({name, data, id, before, isNew}) {
  const {position} = stream, isLater = Boolean(id) && (!position || isAfter(id, position));
  stream.heardAt = Date.now();
  if (id !== before && !isLater && name !== 'reset') return; // a new leader repeats what only some of the tabs had
  if (isLater || name === 'reset') stream.position = id;
  stream.take(name, data, isNew || Boolean(position && isLater && before !== position));
}

function openSource() {
  const {position} = stream;
  closeSource();
  stream.sourceOpenedAt = Date.now();
  stream.sourceIsNew = !position;
  const source = stream.source = new EventSource('api/events' + (position ? '?last_event_id=' + encodeURIComponent(position) : ''));
  for (const name of STREAM_EVENTS) source.addEventListener(name, event => {
    if (source !== stream.source) return;
    const before = stream.position, isNew = name === 'stats' && stream.sourceIsNew;
    const message = {name, data: event.data && JSON.parse(event.data), id: event.lastEventId || before, before, isNew};
    if (isNew) stream.sourceIsNew = false;
    say('event', message);
    deliver(message);
  });
  source.onerror = () => {
    if (source !== stream.source) return;
    stream.sourceIsNew = true; // the browser connects again by itself, unless it was refused
    if (source.readyState === EventSource.CLOSED) {
      stream.source = null;
      stream.sourceAgainAt = Date.now() + STREAM_AGAIN_MS;
    }
    stream.broke();
  };
}

function closeSource() {
  stream.source?.close();
  stream.source = null;
}

// -- who leads --------------------------------------------------------------------------------------------------------------------

function claimWithin(ms) {
  clearTimeout(stream.claiming);
  stream.claiming = setTimeout(lead, ms);
}

function stopClaiming() {
  clearTimeout(stream.claiming);
  stream.claiming = 0;
}

function lead() {
  stopClaiming();
  if (document.hidden) return;
  stream.term++;
  stream.leads = true;
  stream.joining = false;
  sayLeading();
  openSource();
}

function stepDown() {
  stream.leads = false;
  stream.leaderHeardAt = Date.now();
  closeSource();
}

function resign() {
  stopClaiming();
  if (stream.leads) say('resigned');
  stream.leads = false;
  closeSource();
}

// Asks who leads; leads where nobody answers.
function join() {
  if (document.hidden || stream.leads) return;
  stream.joining = true;
  say('who');
  claimWithin(stream.channel ? ANSWER_MS * (1 + Math.random()) : 0);
}

function hear({kind, tab, term, ...message}) {
  if (kind === 'who') {
    if (stream.leads) sayLeading();
    return;
  }
  if (stream.leads) { // one leader too many
    if (kind === 'resigned') return;
    if (term > stream.term || (term === stream.term && tab < stream.tab)) stepDown();
    else if (kind === 'leading') sayLeading();
    if (stream.leads) return;
  }
  if (term < stream.term) return;
  stream.term = term;
  if (kind === 'resigned') {
    stream.leaderHeardAt = 0;
    if (!document.hidden) claimWithin(ANSWER_MS * Math.random());
    return;
  }
  stream.leaderHeardAt = Date.now();
  stopClaiming();
  if (kind === 'event') deliver(message);
  if (kind === 'leading') stream.position ||= message.position; // what comes behind it is passed on
  const isFirst = stream.joining;
  stream.joining = false;
  if (isFirst && kind === 'leading' && message.alive) stream.joined();
}

function tickStream() {
  const time = Date.now();
  if (document.hidden) return;
  if (!stream.leads) {
    if (!stream.claiming && time - stream.leaderHeardAt > SILENT_MS) claimWithin(ANSWER_MS * Math.random());
    return;
  }
  sayLeading();
  if (stream.source ? time - Math.max(stream.sourceOpenedAt, stream.heardAt) > DEAD_MS : time >= stream.sourceAgainAt) openSource();
}

// The coordinator is back: what was refused is tried again at once.
function retryStream() {
  stream.sourceAgainAt = 0;
}

// take(name, data, isNew): an event; isNew: others may be missing before it. broke(): this tab's stream broke or was refused.
// joined(): another tab leads, and its stream is alive.
function followStream(take, broke, joined) {
  Object.assign(stream, {take, broke, joined});
  if (typeof BroadcastChannel === 'function') {
    stream.channel = new BroadcastChannel('events of ' + new URL('.', location.href).href);
    stream.channel.onmessage = ({data}) => hear(data);
  }
  document.addEventListener('visibilitychange', () => document.hidden ? resign() : join());
  document.addEventListener('freeze', resign);
  document.addEventListener('resume', join);
  addEventListener('pagehide', resign);
  addEventListener('pageshow', event => event.persisted && join());
  setInterval(tickStream, SIGN_MS);
  join();
}
