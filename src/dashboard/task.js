'use strict';

// One task's page: its life, what it was given, what came of it.

const TASK_AGAIN_MS = 2000; // while it lives
const TEXT_SHOWN = 4000; // characters of a payload or a result, until more is asked for

const shownTask = {id: null, left: null, task: null, why: '', explained: null, parts: null, again: null};

const OUTCOME_LOOKS = {completed: 'healthy', leased: 'running', failed: 'degraded', lost: 'degraded'};
const ATTEMPTS_KEPT = 10;

// -- the timeline -----------------------------------------------------------------------------------------------------------------

// What happened to a task, oldest first: [{time, looks, words, worker, error}].
function lifeOf(task) {
  const life = [{time: task.created_at, looks: 'queued', words: 'created'}], attempts = task.history || [];
  if (attempts.length >= ATTEMPTS_KEPT) life.push({time: '', looks: '', words: 'earlier attempts are not kept'});
  for (const {worker_id: worker, started_at: started, ended_at: ended, outcome, error} of attempts) {
    const took = Date.parse(ended) - Date.parse(started), word = plainText(outcome);
    life.push({time: started, looks: OUTCOME_LOOKS[word] || '', worker, error: plainText(error),
      words: `${(TASK_STATE_WORDS[word] || word)}${Number.isNaN(took) ? '' : ` after ${duration(took)}`}`});
  }
  if (task.state === 'scheduled') life.push({time: task.available_at, looks: 'draining', words: 'is due'});
  else if (!LIVE_STATES.has(task.state) && attempts.at(-1)?.outcome !== task.state)
    life.push({time: task.finished_at, looks: TASK_LOOKS[task.state] || '',
      words: task.state + (task.reason ? ` (${plainText(task.reason)})` : '')});
  return life;
}

function lifeItem({time, looks, words, worker, error}) {
  const shown = make('time', 'number soft', dateOf(time));
  if (dateOf(time)) shown.dateTime = plainText(time);
  const what = make('span', 'what', worker ? workerLink(plainText(worker)) : '', (worker ? ' ' : '') + words);
  return make('li', looks, make('span', 'dot'), shown, what, error ? make('p', 'error', cut(error, 2000)) : null);
}

// -- payload and result -----------------------------------------------------------------------------------------------------------

// A value as text, folded; of a long one the beginning, and the rest on demand.
function foldedCard(title, value) {
  const text = JSON.stringify(value, null, 2) ?? '', pre = make('pre');
  pre.tabIndex = 0;
  pre.setAttribute('aria-label', title);
  const more = makeButton('small', `Show all ${count(text.length)} characters`, () => {
    pre.textContent = text;
    more.hidden = true;
    pre.focus();
  });
  more.hidden = text.length <= TEXT_SHOWN;
  const summary = make('summary', '', make('h2', '', title), make('span', 'soft', `${count(text.length)} characters`));
  const fold = make('details', 'fold', summary, pre, make('div', 'buttons', more));
  fold.addEventListener('toggle', () => {
    if (fold.open && !pre.textContent) pre.textContent = more.hidden ? text : text.slice(0, TEXT_SHOWN) + '\n…';
  });
  return make('section', 'card', fold);
}

// -- the parts that stay, so that the focus and what was unfolded do --------------------------------------------------------------

function makeTaskParts(id) {
  const again = () => shownTask.again.now();
  const parts = {
    state: taskBadge('queued'), note: make('p', 'soft'), why: make('section', 'card explained'), now: make('div', 'now'),
    figures: make('dl'),
    life: make('ol', 'life'), details: make('div', 'details'), values: make('div'), valuesOf: '',
    cancel: makeButton('quiet-danger user', 'Cancel', () => ask(TASK_ACTIONS.cancel, id, again)),
    retry: makeButton('operator', 'Retry', () => ask(TASK_ACTIONS.retry, id, again)),
  };
  const back = make('a', 'back', '← Tasks');
  back.href = tasks.address || '#/work';
  parts.title = make('h1', 'id', id);
  parts.title.tabIndex = -1;
  parts.buttons = make('div', 'buttons', parts.retry, parts.cancel);
  parts.lifeCard = card('Life', parts.life);
  parts.figuresCard = make('section', 'figures card', parts.figures);
  byId('task').replaceChildren(back,
    make('div', 'title', make('div', '', make('div', 'name', parts.title, parts.state), parts.note), parts.buttons),
    parts.why, parts.figuresCard, parts.now, parts.lifeCard, parts.values, parts.details);
  return parts;
}

function showWhy({parts, task, explained}) {
  const told = explained && (task.state === 'queued' || task.state === 'scheduled' || explained.text);
  parts.why.hidden = !told;
  if (!told) return;
  const words = plainText(explained.text), eta = explained.eta_seconds;
  const reasons = (explained.reasons || []).map(({text}) => plainText(text)).filter(text => text && !words.includes(text));
  parts.why.replaceChildren(make('header', '', make('h2', '', 'Why it waits')), make('p', 'text', words),
    reasons.length ? make('ul', '', ...reasons.map(text => make('li', '', text))) : '',
    typeof eta === 'number' ? make('p', 'soft text', `It begins in about ${duration(eta * 1000)}, at the present pace.`) : '');
}

function showTask() {
  const {task, parts} = shownTask, {state} = task || {};
  for (const part of [parts.buttons, parts.state, parts.figuresCard, parts.lifeCard, parts.now]) part.hidden = !task;
  if (!task) {
    setText(parts.note, shownTask.why || 'Reading …');
    parts.why.hidden = true;
    parts.details.replaceChildren();
    parts.values.replaceChildren();
    return;
  }
  setTaskState(parts.state, state);
  setText(parts.note, dotted(plainText(task.type), `queue ${plainText(task.queue)}`,
    task.priority ? `priority ${task.priority}` : '', task.cancelling ? 'is being cancelled' : ''));
  parts.cancel.hidden = !LIVE_STATES.has(state);
  parts.retry.hidden = state !== 'dead';
  showWhy(shownTask);
  const progress = state === 'leased' ? progressOf(task.progress) : null;
  parts.now.replaceChildren(...(progress ? [card('Progress', progress)] : []));
  parts.figures.replaceChildren(
    figure('', 'Failed attempts', `${task.attempts ?? 0}`, `of ${task.max_attempts ?? '?'}`),
    figure('', LIVE_STATES.has(state) ? 'Age' : 'Took', LIVE_STATES.has(state) ? ageOf(task.created_at)
      : duration(Date.parse(task.finished_at) - Date.parse(task.created_at))),
    figure('', 'Worker', task.worker_id ? workerLink(plainText(task.worker_id)) : '–'),
    figure('', 'Lease', task.lease_seconds ? duration(task.lease_seconds * 1000) : '–'));
  parts.life.replaceChildren(...lifeOf(task).map(lifeItem));
  const demands = Object.entries(task.requirements || {}).map(([name, value]) => [name.replaceAll('_', ' '), value]);
  parts.details.replaceChildren(factCard('Demands', demands, 'Any worker may do it.'),
    factCard('Times and names', [['Created', dateOf(task.created_at)],
      ['Available', dateOf(task.available_at)], ['Started', dateOf(task.started_at)], ['Finished', dateOf(task.finished_at)],
      ['Expires', dateOf(task.expires_at)], ['Dedup key', task.dedup_key]]));
  showValues(shownTask);
}

// What it was given and what came of it. What was unfolded stays so while nothing else has come.
function showValues({parts, task}) {
  const all = [['Payload', task.payload], ['Result', task.result], ['Late result, not taken', task.late_result]];
  const values = all.filter(([, value]) => value !== null && value !== undefined), error = plainText(task.error);
  const isLive = LIVE_STATES.has(task.state), valuesOf = JSON.stringify([values.map(([name]) => name), error, isLive]);
  if (valuesOf === parts.valuesOf) return;
  parts.valuesOf = valuesOf;
  parts.values.replaceChildren(...(error ? [card(isLive ? 'Last error' : 'Error', make('pre', 'error', error))] : []),
    ...values.map(([name, value]) => foldedCard(name, value)));
}

async function readTask() {
  const {id} = shownTask;
  try {
    const task = await get(taskPath(id));
    const waits = task.state === 'queued' || task.state === 'scheduled';
    const explained = waits ? await get(taskPath(id) + '/explain').catch(() => null) : null;
    if (shownTask.id === id) Object.assign(shownTask, {task, explained, why: ''});
  } catch (error) {
    if (shownTask.id !== id || (shownTask.task && error.status !== 404)) return;
    Object.assign(shownTask, {task: null, why: error.status === 404 ? 'There is no such task (any more).' : error.message});
  }
  if (shownTask.id !== id) return;
  shownTask.again.open = !shownTask.task || LIVE_STATES.has(shownTask.task.state);
  showTask();
}

function openTask(id) {
  Object.assign(shownTask, {id, task: null, why: '', explained: null, parts: makeTaskParts(id)});
  showTask();
  shownTask.parts.title.focus({preventScroll: true});
  scrollTo(0, 0);
  shownTask.again.start();
}

function closeTask() {
  shownTask.again.stop();
  shownTask.left = shownTask.id;
  shownTask.id = null;
}

function setUpTask() {
  shownTask.again = new Repeated(TASK_AGAIN_MS, readTask);
}
