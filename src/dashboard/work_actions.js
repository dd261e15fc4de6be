'use strict';

// What can be done to queues and tasks.

const QUEUE_ACTIONS = {
  pause: {
    method: 'POST', path: queue => queuePath(queue) + '/pause', button: 'Pause', done: 'It is paused.',
    title: queue => `Pause ${queue}?`,
    text: 'None of its tasks is given out until it is resumed. Running tasks go on, and new ones are accepted.',
  },
  resume: {
    method: 'POST', path: queue => queuePath(queue) + '/resume', button: 'Resume', done: 'Its tasks are given out again.',
    title: queue => `Resume ${queue}?`, text: 'Its tasks are given out again.',
  },
};

const TASK_ACTIONS = {
  cancel: {
    method: 'DELETE', path: taskPath, button: 'Cancel the task', keep: 'Keep it', dangerous: true,
    done: ({status}) => status === 'cancelling' ? 'Its worker is told to stop; what it sends until then still counts.'
      : 'It is cancelled.',
    title: id => `Cancel ${id}?`,
    text: 'A waiting task is cancelled at once. The worker of a running task is told with its next heartbeat at the latest.',
  },
  retry: {
    method: 'POST', path: id => taskPath(id) + '/retry', button: 'Retry', done: 'It waits in its queue again.',
    title: id => `Retry ${id}?`, text: 'It is queued once more, as if nobody had tried, with all its attempts.',
  },
};

const RETRY_ALL = {method: 'POST', path: 'api/tasks/retry'};

// Retries the dead tasks that the filters match, a page after the other, as long as goesOn(); dry: only counts them. Says how
// far it is.
async function retryAll({queue, type, worker_id: worker, error}, dry, goesOn, say) {
  const filters = Object.fromEntries(Object.entries({queue, type, worker_id: worker, error}).filter(([, value]) => value));
  let matched = 0, retried = 0, cursor = null;
  do {
    const answer = await request(RETRY_ALL.method, RETRY_ALL.path, {...filters, dry_run: dry, ...(cursor ? {cursor} : {})});
    matched += answer.matched;
    retried += answer.retried || 0;
    cursor = answer.next_cursor;
    if (cursor) say(dry ? `Counting … ${count(matched)}` : `Retrying … ${count(retried)}`);
  } while (cursor && goesOn());
  return {matched, retried};
}

// Counts what would be retried, and retries it when that is confirmed.
function askRetryAll(filters, done) {
  const words = [filters.queue ? `queue ${filters.queue}` : 'all queues', filters.type ? `type ${filters.type}` : '',
    filters.worker_id ? `worker ${filters.worker_id}` : '', filters.error ? `error “${cut(filters.error, 120)}”` : '']
    .filter(Boolean).join(', ');
  ask({
    button: 'Retry', title: () => 'Retry dead tasks?', text: `Dead tasks of ${words}.`,
    prepare: async (goesOn, say) => {
      const {matched} = await retryAll(filters, true, goesOn, say);
      say(matched ? `${countOf(matched, 'task')} would be queued once more.` : 'No dead task matches (any more).');
      return matched > 0;
    },
    run: async (goesOn, say) => {
      const {matched, retried} = await retryAll(filters, false, goesOn, say), left = matched - retried;
      return `${countOf(retried, 'task')} queued once more.`
        + (left > 0 ? ` ${count(left)} could not be: another one has their dedup key.` : '');
    },
  }, null, done);
}
