'use strict';

// Tasks by queue, state, type, worker and error: read from the coordinator a page at a time, as far as one scrolls.

const TASK_PAGE = 100;
const TASKS_AHEAD = 60; // rows that are there below what can be seen
const TASK_FILTERS = ['queue', 'state', 'type', 'worker_id', 'error'];
const FILTER_MS = 300; // of no typing, until a filter is used
const TASK_COLUMNS = [
  {key: 'id', title: 'Task'}, {key: 'state', title: 'State'}, {key: 'type', title: 'Type'}, {key: 'queue', title: 'Queue'},
  {key: 'worker', title: 'Worker'}, {key: 'attempts', title: 'Failed'}, {key: 'when', title: 'Created'},
  {key: 'what', title: 'Progress or error'},
];

const tasks = {
  rows: null, // Rows
  filters: {}, told: {}, // told: what the fields show of the filters; an error of many lines is one in a field
  list: [], known: new Set(), cursor: null, more: false, reading: null, why: '', end: 0,
  again: null, // Repeated: goes on with a reading that has failed
  left: null, // the task that was opened from here
  address: null, scrolledTo: 0,
};

function makeTaskRow(row) {
  return makeCells(TASK_COLUMNS, {
    id: make('div', 'cell', taskLink(row.id)), state: make('div', 'cell', taskBadge(row.task.state)), type: make('div', 'cell'),
    queue: make('div', 'cell'), worker: make('div', 'cell'), attempts: make('div', 'cell number'), when: make('div', 'cell number'),
    what: make('div', 'cell soft'),
  });
}

function fillTaskRow(element, {task}) {
  const {state, type, queue, worker, attempts, when, what} = element.cells;
  setTaskState(state.firstChild, task.state);
  setText(type, plainText(task.type));
  setText(queue, plainText(task.queue));
  setText(worker, plainText(task.worker_id) || '–');
  setText(attempts, `${task.attempts ?? 0} of ${task.max_attempts ?? '?'}`);
  setText(when, ageOf(task.created_at) + ' ago');
  const {percent, message} = task.progress || {};
  const words = task.state === 'leased' ? dotted(typeof percent === 'number' ? Math.round(percent) + ' %' : '', plainText(message))
    : task.state === 'scheduled' ? `due ${dateOf(task.available_at)}` : cut(plainText(task.error), 300);
  setText(what, words);
  what.title = type.title = '';
  if (words.length > 30) what.title = words;
}

// -- reading ----------------------------------------------------------------------------------------------------------------------

function showTasks() {
  const {list, more, why, reading} = tasks, filtered = TASK_FILTERS.some(name => tasks.filters[name]);
  tasks.rows.set(list);
  byId('tasks-none').hidden = list.length > 0 && !why;
  setText(byId('tasks-none'), why || (reading || more ? 'Looking …' : filtered ? 'No task matches.' : 'There are no tasks.'));
  setText(byId('tasks-count'), `${count(list.length)}${more ? ' read, more follow' : list.length === 1 ? ' task' : ' tasks'}`);
}

// Reads on until there are rows enough below what can be seen, or no more.
async function readTasks() {
  if (tasks.reading || !tasks.more) return;
  const mine = tasks.reading = {};
  try {
    while (tasks.reading === mine && tasks.more && tasks.list.length < tasks.end + TASKS_AHEAD) {
      const page = await get('api/tasks' + queryOf({...tasks.filters, limit: TASK_PAGE, cursor: tasks.cursor}));
      if (tasks.reading !== mine) return;
      for (const task of page.tasks) {
        const id = plainText(task.task_id);
        if (!tasks.known.has(id)) tasks.list.push({id, task}); // one that moved on meanwhile may come twice
        tasks.known.add(id);
      }
      Object.assign(tasks, {cursor: page.next_cursor, more: Boolean(page.next_cursor), why: ''});
      showTasks();
    }
  } catch (error) {
    const isRefused = error.status >= 400 && error.status < 500; // and would be again
    if (tasks.reading === mine) Object.assign(tasks, {why: error.message, more: !isRefused});
  }
  if (tasks.reading === mine) {
    tasks.reading = null;
    showTasks();
  }
}

function readTasksAnew() {
  Object.assign(tasks, {list: [], known: new Set(), cursor: null, more: true, reading: null, why: '', end: 0});
  byId('tasks').scrollTop = 0;
  showTasks();
  showTasksQueue();
  readTasks();
}

// -- filters, which are the address -----------------------------------------------------------------------------------------------

function filtersOf(address) {
  const query = new URLSearchParams(address.split('?')[1] || '');
  return Object.fromEntries(TASK_FILTERS.map(name => [name, query.get(name) || '']));
}

function takeFilters() {
  for (const name of TASK_FILTERS) {
    const {value} = byId('tasks-' + name);
    if (value !== tasks.told[name]) tasks.filters[name] = value.trim();
    tasks.told[name] = value;
  }
  const address = '#/tasks' + queryOf(tasks.filters);
  tasks.address = address;
  history.replaceState(null, '', address);
  document.title = `${tasksTitle()} – RMA Coordinator`;
  readTasksAnew();
}

function tasksTitle() {
  return tasks.filters.queue ? `Queue ${tasks.filters.queue}` : 'Tasks';
}

// The queue whose tasks are shown, if they are of one: paused or not, and its buttons.
async function showTasksQueue() {
  const {queue, state} = tasks.filters;
  setText(byId('tasks-title'), tasksTitle());
  byId('tasks-retry').hidden = state !== 'dead';
  byId('tasks-pause').hidden = byId('tasks-resume').hidden = byId('tasks-note').hidden = !queue;
  if (!queue) return;
  setText(byId('tasks-note'), '');
  const shown = await get(queuePath(queue)).catch(error => ({why: error.message}));
  if (queue !== tasks.filters.queue) return;
  const {why, paused, limit, counts = {}, oldest_seconds: oldest} = shown;
  byId('tasks-pause').hidden = Boolean(why || paused);
  byId('tasks-resume').hidden = Boolean(why || !paused);
  setText(byId('tasks-note'), why || dotted(paused ? 'Paused: nothing is given out' : '',
    `${count(counts.queued || 0)} waiting`, `${count(counts.leased || 0)} running`,
    typeof limit === 'number' ? `at most ${count(limit)} at once` : '',
    typeof oldest === 'number' ? `the oldest waits for ${duration(oldest * 1000)}` : ''));
}

// -- the page ---------------------------------------------------------------------------------------------------------------------

function openTasks(query) {
  const address = '#/tasks' + (query ? '?' + query : '');
  byId('tasks-title').focus({preventScroll: true});
  if (address === tasks.address && tasks.list.length) { // as one left it
    tasks.rows.measure();
    showTasksQueue();
    tasks.again.start();
    scrollTo(0, tasks.scrolledTo);
    tasks.rows.elements.get(shownTask.left)?.querySelector('a').focus({preventScroll: true});
    return;
  }
  Object.assign(tasks, {address, filters: filtersOf(address)});
  for (const name of TASK_FILTERS) {
    byId('tasks-' + name).value = tasks.filters[name];
    tasks.told[name] = byId('tasks-' + name).value;
  }
  document.title = `${tasksTitle()} – RMA Coordinator`;
  tasks.rows.measure();
  readTasksAnew();
  tasks.again.start();
}

function closeTasks() {
  tasks.again.stop();
  tasks.scrolledTo = scrollY;
  tasks.reading = null;
}

function setUpTasks() {
  tasks.again = new Repeated(POLL_MS, readTasks);
  tasks.rows = new Rows('tasks', makeTaskRow, fillTaskRow, end => {
    tasks.end = end;
    if (!tasks.why && end + TASKS_AHEAD > tasks.list.length) readTasks();
  });
  const head = make('div', 'row', ...TASK_COLUMNS.map(({key, title}) => {
    const heading = make('div', 'cell ' + key, title);
    heading.setAttribute('role', 'columnheader');
    return heading;
  }));
  head.setAttribute('role', 'row');
  head.setAttribute('aria-rowindex', '1');
  byId('tasks-head').append(head);
  fillSelect(byId('tasks-state'), [['', 'Any state'], ...TASK_STATES.map(state => [state, taskStateWord(state)])]);
  let typing = 0;
  byId('tasks-filters').addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(takeFilters, FILTER_MS);
  });
  byId('tasks-filters').addEventListener('submit', event => {
    event.preventDefault();
    clearTimeout(typing);
    takeFilters();
  });
  byId('tasks-again').addEventListener('click', readTasksAnew);
  byId('tasks-retry').addEventListener('click', () => askRetryAll(tasks.filters, readTasksAnew));
  byId('tasks-pause').addEventListener('click', () => ask(QUEUE_ACTIONS.pause, tasks.filters.queue, showTasksQueue));
  byId('tasks-resume').addEventListener('click', () => ask(QUEUE_ACTIONS.resume, tasks.filters.queue, showTasksQueue));
}
