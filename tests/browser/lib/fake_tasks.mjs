// The API of tasks as the contract has it, in memory: for what a coordinator can't be brought to show at will, and for speed.

const SHOWN = ['task_id', 'queue', 'type', 'priority', 'state', 'attempts', 'max_attempts', 'created_at', 'available_at',
  'started_at', 'finished_at', 'worker_id',
  'progress', 'error'];

export class FakeTasks {
  constructor(proxy) {
    Object.assign(this, {queues: new Map(), tasks: new Map(), explained: new Map(), asked: []});
    proxy.others = (request, response, address) => {
      const url = new URL(address, 'http://x');
      if (!/^\/api\/(tasks|queues)/.test(url.pathname)) return false;
      let text = '';
      request.on('data', part => { text += part; }).on('end', () => {
        this.asked.push(`${request.method} ${url.pathname}${url.search}${text && ' ' + text}`);
        const [status, body] = this.answer(request.method, url, text && JSON.parse(text));
        response.writeHead(status, {'Content-Type': 'application/json'}).end(JSON.stringify(body));
      });
      return true;
    };
  }

  queue(name, more = {}) {
    this.queues.set(name, {queue: name, paused: false, limit: null, totals: {enqueued: 0, completed: 0},
      oldest_seconds: null, ...more});
  }

  task(id, more = {}) {
    const task = {task_id: id, queue: 'default', type: 'echo', payload: {}, priority: 0, state: 'queued', attempts: 0,
      max_attempts: 5, progress: null, result: null,
      error: null, created_at: new Date(Date.now() - 60000).toISOString(), available_at: null, started_at: null, finished_at: null,
      expires_at: null,
      worker_id: null, lease_seconds: 90, requirements: {}, dedup_key: null, cancelling: false, reason: null, history: [], ...more};
    this.tasks.set(id, task);
    return task;
  }

  counts(queue) {
    const counts = {};
    for (const task of this.tasks.values()) if (task.queue === queue) counts[task.state] = (counts[task.state] || 0) + 1;
    return counts;
  }

  matching(filters) {
    return [...this.tasks.values()].filter(task => ['queue', 'state', 'type', 'worker_id']
      .every(name => !filters[name] || task[name] === filters[name])
      && (!filters.error || (task.error || '').includes(filters.error)));
  }

  answer(method, url, body) {
    const [, , what, id, verb] = url.pathname.split('/').map(decodeURIComponent), query = Object.fromEntries(url.searchParams);
    if (what === 'queues') return this.answerQueue(method, id, verb);
    if (method === 'POST' && id === 'retry') return this.retryAll(body);
    if (!id) {
      const first = Number(query.cursor || 0), limit = Number(query.limit || 100), all = this.matching(query), end = first + limit;
      return [200, {tasks: all.slice(first, end).map(task => Object.fromEntries(SHOWN.map(name => [name, task[name]]))),
        next_cursor: end < all.length ? String(end) : null}];
    }
    const task = this.tasks.get(id);
    if (!task) return [404, {detail: 'Task not found'}];
    if (verb === 'explain') return [200, this.explained.get(id) || {task_id: id, state: task.state, text: 'It is the next one.',
      reasons: [], position: 1, eta_seconds: null}];
    if (verb === 'retry') {
      Object.assign(task, {state: 'queued', attempts: 0, error: null, finished_at: null});
      return [200, task];
    }
    if (method === 'DELETE') {
      const running = task.state === 'leased';
      Object.assign(task, running ? {cancelling: true} : {state: 'cancelled', finished_at: new Date().toISOString()});
      return [200, {status: running ? 'cancelling' : 'cancelled'}];
    }
    return [200, task];
  }

  answerQueue(method, id, verb) {
    const full = queue => ({...queue, counts: this.counts(queue.queue)});
    if (!id) return [200, {queues: [...this.queues.values()].map(full), next_cursor: null}];
    const queue = this.queues.get(id);
    if (!queue) return [404, {detail: 'Queue not found'}];
    if (verb) queue.paused = verb === 'pause';
    return [200, full(queue)];
  }

  retryAll({dry_run: dry, cursor, ...filters}) {
    const page = 100, all = this.matching({...filters, state: 'dead'}), from = dry ? Number(cursor || 0) : 0;
    const some = all.slice(from, from + page);
    if (!dry) for (const task of some) Object.assign(task, {state: 'queued', error: null});
    const more = dry ? from + page < all.length : all.length > page;
    return [200, {matched: some.length, retried: dry ? 0 : some.length, next_cursor: more ? String(from + page) : null}];
  }
}
