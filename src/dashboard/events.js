'use strict';

// What has happened since the page was opened.

// The words for an event; those of a reason that is not here yet are its kind and its reason.
const EVENT_WORDS = {
  'registered new': 'registered', 'registered again': 'registered again', 'registered imported': 'was imported',
  'online heartbeat': 'is back online', 'online revived': 'is back after its removal',
  'updated drained': 'is drained: it gets no new work', 'updated undrained': 'takes work again',
  'offline timeout': 'went offline: no heartbeat', 'offline reported': 'went offline, as it said itself',
  'removed timeout': 'was removed: silent for too long', 'removed unregistered': 'was removed',
  'updated moved': 'has another address',
  'suspect tasks': 'failed at tasks that others completed',
  'conflict registered': 'is used by two machines in turn', 'conflict heartbeat': 'is used by two machines in turn',
};

const EVENT_LOOKS = {
  offline: 'offline', removed: 'offline', online: 'healthy', registered: 'healthy', conflict: 'degraded', suspect: 'degraded',
};

function eventWords({kind, reason, status, why}) {
  if (kind === 'updated' && reason === 'heartbeat') return `reports that it is ${plainText(status)}`;
  return (EVENT_WORDS[`${kind} ${reason}`] || `${kind}: ${plainText(reason)}`) + (why ? ` (${plainText(why)})` : '');
}

function makeEvent(event) {
  const time = make('time', 'number soft', timeOfDay.format(event.time));
  time.dateTime = new Date(event.time).toISOString();
  const worker = event.kind === 'removed' ? make('span', 'id', event.id) : workerLink(event.id);
  const what = make('span', 'what', worker, ' ' + eventWords(event));
  return make('li', EVENT_LOOKS[event.kind] || event.status, time, make('span', 'dot'), what);
}

function showEvents() {
  byId('events').replaceChildren(...fleet.events.map(makeEvent));
  byId('events').hidden = fleet.events.length === 0;
  byId('events-none').hidden = fleet.events.length > 0;
  setText(byId('events-none'), connection.mode === 'live' ? 'Nothing has happened since you opened this page.'
    : 'Events come with the live connection, which is not there.');
}

function setUpEvents() {
  listen('events', showEvents);
  listen('connection', showEvents);
  showEvents();
}
