'use strict';

// The page Work: all queues, and the dead tasks by what they died of.

const QUEUES_AGAIN_MS = 5000;
const QUEUE_PAGE = 500;
const ERROR_FILTER_MAX = 256; // bytes: a part of an error finds it
const DEAD_AGAIN_MS = 30000;
const DEAD_READ = 500; // dead tasks, which are grouped: the newest of each of the queues that have most
const DEAD_QUEUES = 10;

const QUEUE_COLUMNS = ['Queue', 'Waiting', 'Running', 'Scheduled', 'Dead', 'Oldest', 'New / min', 'Done / min', ''];

const work = {
  queues: [], why: '', samples: new Samples(QUEUES_AGAIN_MS / 2),
  rows: new Map(), // parts of rows by queue
  groups: [], deadRead: false, deadWhy: '', deadShown: 0, deadCount: 0, deadAt: 0,
  drawn: '', ages: [], // which groups are drawn, and their cells that tick
  queuesAgain: null,
};

// -- queues -----------------------------------------------------------------------------------------------------------------------

async function readQueues() {
  const queues = [];
  let cursor = null;
  do {
    const page = await get('api/queues' + queryOf({limit: QUEUE_PAGE, cursor}));
    queues.push(...page.queues);
    cursor = page.next_cursor;
  } while (cursor);
  return queues;
}

function makeQueueRow(queue) {
  const link = make('a', 'id', queue), heading = make('th', '', link, make('span', 'soft aside'));
  link.href = '#/tasks' + queryOf({queue});
  heading.scope = 'row';
  const names = ['queued', 'leased', 'scheduled', 'dead', 'oldest', 'news', 'done'];
  const cells = Object.fromEntries(names.map((name, at) => [name, namedCell(QUEUE_COLUMNS[at + 1], make('td', 'number'))]));
  const toggle = makeButton('small operator', '', () => {
    const {paused} = work.queues.find(each => each.queue === queue) || {};
    ask(paused ? QUEUE_ACTIONS.resume : QUEUE_ACTIONS.pause, queue, () => work.queuesAgain.now());
  });
  const element = make('tr', '', heading, ...Object.values(cells), make('td', 'act', toggle));
  return {element, cells, toggle, note: heading.lastChild};
}

function countLink(cell, number, filters) {
  if (cell.dataset.count === String(number)) return;
  cell.dataset.count = number;
  cell.replaceChildren(number ? tasksLink(count(number), filters) : '0');
}

function fillQueueRow({element, cells, toggle, note}, {queue, paused, limit, counts, oldest_seconds: oldest}) {
  const limited = typeof limit === 'number';
  element.classList.toggle('paused', Boolean(paused));
  setText(note, dotted(paused ? 'paused' : '', limited ? `at most ${count(limit)} at once` : ''));
  for (const name of ['queued', 'leased', 'scheduled', 'dead']) countLink(cells[name], counts[name] || 0, {queue, state: name});
  cells.dead.classList.toggle('bad', counts.dead > 0);
  setText(cells.oldest, secondsWords(oldest));
  setText(cells.news, rateWords(work.samples.rate(queue, 'enqueued')));
  setText(cells.done, rateWords(work.samples.rate(queue, 'completed')));
  setText(toggle, paused ? 'Resume' : 'Pause');
  toggle.setAttribute('aria-label', `${paused ? 'Resume' : 'Pause'} ${queue}`);
}

function showQueueFigures() {
  const sum = name => work.queues.reduce((all, {counts}) => all + (counts[name] || 0), 0);
  const oldest = Math.max(-1, ...work.queues.map(({oldest_seconds: seconds}) => seconds ?? -1));
  const rates = field => {
    const known = work.queues.map(({queue}) => work.samples.rate(queue, field)).filter(rate => rate !== null);
    return known.length ? rateWords(known.reduce((all, rate) => all + rate, 0)) : '–';
  };
  byId('work-figures').replaceChildren(
    figure('', 'Waiting', count(sum('queued')), oldest >= 0 ? `oldest ${duration(oldest * 1000)}` : ''),
    figure('running', 'Running', count(sum('leased'))),
    figure('draining', 'Scheduled', count(sum('scheduled'))),
    figure('offline', 'Dead', count(sum('dead'))),
    figure('', 'New', rates('enqueued'), 'a minute'),
    figure('', 'Done', rates('completed'), 'a minute'));
}

function showQueues() {
  const {queues, rows} = work, known = new Set(queues.map(({queue}) => queue));
  for (const [queue, row] of rows) if (!known.has(queue)) {
    row.element.remove();
    rows.delete(queue);
  }
  queues.forEach((queue, at) => {
    let row = rows.get(queue.queue);
    if (!row) rows.set(queue.queue, row = makeQueueRow(queue.queue));
    fillQueueRow(row, queue);
    const there = byId('queues').children[at];
    if (there !== row.element) byId('queues').insertBefore(row.element, there || null);
  });
  byId('queues-table').hidden = queues.length === 0;
  byId('queues-none').hidden = queues.length > 0;
  setText(byId('queues-none'), work.why || 'There are no queues yet. The first task of a queue makes it.');
  setText(byId('queues-count'), work.why && queues.length ? work.why : queues.length ? countOf(queues.length, 'queue') : '');
  showQueueFigures();
}

async function refreshQueues() {
  try {
    work.queues = (await readQueues()).sort((a, b) => byText(a.queue, b.queue));
    work.why = '';
    work.samples.take(work.queues.map(({queue, totals}) => [queue, totals || {}]));
  } catch (error) {
    work.why = error.message;
  }
  showQueues();
  const dead = work.queues.reduce((all, {counts}) => all + (counts.dead || 0), 0);
  if (dead !== work.deadCount || !work.deadRead || Date.now() - work.deadAt >= DEAD_AGAIN_MS) {
    Object.assign(work, {deadCount: dead, deadAt: Date.now()});
    await refreshDead();
  }
  showDead();
}

// -- dead tasks by error ----------------------------------------------------------------------------------------------------------

// Groups tasks by queue and error, the largest first: [{queue, error, types, count, last}].
function groupDead(tasks) {
  const groups = new Map();
  for (const {queue, type, error, finished_at: time} of tasks) {
    const words = plainText(error), key = JSON.stringify([queue, words]);
    const group = groups.get(key) || {queue, error: words, types: new Set(), count: 0, last: ''};
    group.types.add(plainText(type));
    group.count++;
    if (plainText(time) > group.last) group.last = plainText(time);
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.count - a.count || byText(a.error, b.error));
}

async function refreshDead() {
  const tasks = [], ill = work.queues.filter(({counts}) => counts.dead > 0).sort((a, b) => b.counts.dead - a.counts.dead);
  const limit = Math.floor(DEAD_READ / Math.min(DEAD_QUEUES, Math.max(1, ill.length)));
  try {
    for (const {queue} of ill.slice(0, DEAD_QUEUES))
      tasks.push(...(await get('api/tasks' + queryOf({queue, state: 'dead', limit}))).tasks);
    Object.assign(work, {groups: groupDead(tasks), deadRead: true, deadShown: tasks.length});
  } catch (error) {
    Object.assign(work, {deadRead: false, deadWhy: error.message});
  }
}

// As much of a text as has no more than `most` bytes.
function beginningOf(text, most) {
  const encoder = new TextEncoder(), characters = Array.from(text.slice(0, most));
  while (encoder.encode(characters.join('')).length > most) characters.pop();
  return characters.join('');
}

function makeDeadRow({queue, error, types, count: many}, age) {
  const filters = {queue, state: 'dead', error: beginningOf(error, ERROR_FILTER_MAX)};
  const heading = make('th', 'error', tasksLink(cut(error, 300) || 'No error was reported', filters));
  heading.scope = 'row';
  const retry = makeButton('small operator', 'Retry …', () => askRetryAll(filters, () => work.queuesAgain.now()));
  retry.hidden = !error; // "any error" is not "none"
  retry.setAttribute('aria-label', `Retry those of ${queue} with: ${cut(error, 60)}`);
  const values = [['Queue', '', queue], ['Type', '', cut([...types].sort(byText).join(', '), 60)], ['Tasks', 'number', count(many)],
    ['Last', 'number', age]];
  const named = values.map(([name, looks, words]) => namedCell(name, make('td', looks, words)));
  return make('tr', '', heading, ...named, make('td', 'act', retry));
}

function showDead() {
  const {groups, deadShown, deadCount, deadRead} = work;
  byId('dead').hidden = groups.length === 0;
  const drawn = JSON.stringify(groups.map(({queue, error, types, count: many}) => [queue, error, [...types], many]));
  if (drawn !== work.drawn) { // else what has the focus keeps it
    Object.assign(work, {drawn, ages: groups.map(() => make('span'))});
    byId('dead-rows').replaceChildren(...groups.map((group, at) => makeDeadRow(group, work.ages[at])));
  }
  groups.forEach(({last}, at) => setText(work.ages[at], last ? ageOf(last) + ' ago' : '–'));
  const read = deadShown < deadCount ? `the newest ${count(deadShown)} of ${count(deadCount)}, by error` : 'by error';
  setText(byId('dead-summary'), deadRead ? read : work.deadWhy);
}

// -- the page ---------------------------------------------------------------------------------------------------------------------

function openWork() {
  byId('work-title').focus({preventScroll: true});
  work.queuesAgain.start();
}

function closeWork() {
  work.queuesAgain.stop();
}

function setUpWork() {
  work.queuesAgain = new Repeated(QUEUES_AGAIN_MS, refreshQueues);
  byId('queues-head').append(make('tr', '', ...QUEUE_COLUMNS.map((words, at) => {
    const heading = make('th', at > 0 && words ? 'number' : '', words || make('span', 'hidden', 'Pause or resume'));
    heading.scope = 'col';
    return heading;
  })));
}
