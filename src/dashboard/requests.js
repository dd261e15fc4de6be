'use strict';

// Requests to the coordinator. All addresses are relative: it may stand behind a path prefix.

const REQUEST_TIMEOUT_MS = 10000;

// What the coordinator refused, in its own words; status 0: it was not reached.
class RequestError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// The time runs from the beginning: while other pages keep all of the browser's connections, a request waits for one of them.
function whyNoAnswer(method, answer, error) {
  if (error.name === 'TimeoutError') {
    const words = `No answer came within ${REQUEST_TIMEOUT_MS / 1000} s.`;
    return method === 'GET' ? words : words + ' It may have been done all the same: look before you try again.';
  }
  return answer ? `The answer (${answer.status}) is not a coordinator’s.` : 'The coordinator can’t be reached.';
}

function whyRefused(status, said) {
  const faults = (said?.errors || []).map(({field, message}) => `${plainText(field)}: ${plainText(message)}`).join('; ');
  return [plainText(said?.detail) || `The coordinator answered ${status}.`, faults].filter(Boolean).join(' ');
}

let onUnauthenticated = () => {}; // called when a request was refused for want of a credential

// body: what becomes the request's JSON; undefined: it has none.
async function request(method, path, body) {
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const options = {method, headers: {Accept: 'application/json'}, cache: 'no-store', signal};
  let answer, said;
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  try {
    answer = await fetch(path, options);
    said = await answer.json();
  } catch (error) {
    throw new RequestError(answer ? answer.status : 0, whyNoAnswer(method, answer, error));
  }
  if (answer.status === 401 && !path.startsWith('api/auth/')) onUnauthenticated();
  if (!answer.ok) throw new RequestError(answer.status, whyRefused(answer.status, said));
  return said;
}

function get(path) {
  return request('GET', path);
}

function workerPath(id) {
  return 'api/worker/' + encodeURIComponent(id);
}

const PAGE = 500; // workers of one answer: parsing more would be felt

// All workers, a page at a time.
async function* allWorkers() {
  let cursor = null;
  do {
    const page = await get(`api/admin/workers?limit=${PAGE}` + (cursor ? '&cursor=' + encodeURIComponent(cursor) : ''));
    yield page.workers;
    cursor = page.next_cursor;
  } while (cursor);
}
