'use strict';

// Asks before it acts on a worker, and shows what came of it.

const ACTIONS = {
  drain: {
    method: 'POST', path: id => workerPath(id) + '/drain', button: 'Drain',
    title: id => `Drain ${id}?`, text: 'It gets no new work until it is undrained, whatever it reports. Its present work goes on.',
    input: 'Reason, which listings show', body: reason => ({reason}),
  },
  undrain: {
    method: 'POST', path: id => workerPath(id) + '/undrain', button: 'Undrain',
    title: id => `Undrain ${id}?`, text: 'It gets work again.',
  },
  remove: {
    method: 'DELETE', path: id => 'api/worker/unregister/' + encodeURIComponent(id), button: 'Remove', dangerous: true,
    title: id => `Remove ${id}?`,
    text: 'Its registration is forgotten, for good. If the worker still runs, it has to register again.',
  },
};

const SLOW_MS = 3000; // an answer that takes longer is spoken of

let asked = null; // what the dialog asks: action, id, done, and whether it has been done

// Opens the dialog; `done` is called when it has been done and the dialog is closed. An action is a request (method, path,
// body), or run(goesOn, say), which returns what came of it; before that prepare(goesOn, say) may look whether there is
// anything to do.
function ask(action, id, done) {
  const mine = asked = {action, id, done, acted: false};
  setText(byId('ask-title'), action.title(id));
  setText(byId('ask-text'), action.text);
  setText(byId('ask-input-title'), action.input || '');
  byId('ask-input').value = '';
  byId('ask-input-label').hidden = !action.input;
  const confirm = byId('ask-confirm');
  setText(confirm, action.button);
  confirm.className = action.dangerous ? 'danger' : 'primary';
  confirm.hidden = false;
  confirm.disabled = Boolean(action.prepare);
  setText(byId('ask-cancel'), action.keep || 'Cancel');
  sayResult(mine, '');
  byId('ask').showModal();
  byId('ask-cancel').focus();
  if (action.prepare) prepare(mine);
}

function isAsked(mine) {
  return asked === mine && byId('ask').open;
}

// Says what comes of what is asked, unless something else is asked by now. looks: good, bad.
function sayResult(mine, words, looks = '') {
  if (asked !== mine) return;
  byId('ask-result').className = 'result ' + looks;
  setText(byId('ask-result'), words);
}

async function prepare(mine) {
  sayResult(mine, 'Counting …');
  try {
    const useful = await mine.action.prepare(() => isAsked(mine), words => sayResult(mine, words));
    if (asked === mine) byId('ask-confirm').disabled = !useful;
  } catch (error) {
    sayResult(mine, error.message, 'bad');
  }
}

async function perform(mine) {
  const {action, id} = mine;
  if (action.run) return action.run(() => isAsked(mine), words => sayResult(mine, words));
  const answer = await request(action.method, action.path(id), action.body?.(byId('ask-input').value));
  return plainText(answer.message) || (typeof action.done === 'function' ? action.done(answer) : action.done) || 'Done.';
}

async function act() {
  const mine = asked, confirm = byId('ask-confirm');
  confirm.disabled = true;
  sayResult(mine, 'Working …');
  const slow = setTimeout(() => mine.action.run || sayResult(mine, 'Working … there is no answer yet.'), SLOW_MS);
  try {
    const words = await perform(mine);
    mine.acted = true;
    if (!isAsked(mine)) {
      mine.done();
      return;
    }
    sayResult(mine, words, 'good');
    confirm.hidden = byId('ask-input-label').hidden = true;
    setText(byId('ask-cancel'), 'Close');
    byId('ask-cancel').focus();
  } catch (error) {
    if (!isAsked(mine)) return;
    sayResult(mine, error.message, 'bad');
    confirm.disabled = false;
    confirm.focus();
  } finally {
    clearTimeout(slow);
  }
}

function setUpAsk() {
  byId('ask-cancel').addEventListener('click', () => byId('ask').close());
  byId('ask-confirm').addEventListener('click', act);
  byId('ask-input').addEventListener('keydown', event => {
    if (event.key === 'Enter' && !byId('ask-confirm').disabled) act();
  });
  byId('ask').addEventListener('close', () => {
    if (asked.acted) asked.done();
  });
}
