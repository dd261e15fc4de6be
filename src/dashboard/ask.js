'use strict';

// Asks before it acts on a worker, and shows what came of it.

const ACTIONS = {
  drain: {
    method: 'POST', path: id => workerPath(id) + '/drain', button: 'Drain',
    title: id => `Drain ${id}?`, text: 'It gets no new work until it is undrained, whatever it reports. What it works on goes on.',
    input: 'Reason, shown wherever the worker is', body: reason => ({reason}),
  },
  undrain: {
    method: 'POST', path: id => workerPath(id) + '/undrain', button: 'Undrain',
    title: id => `Undrain ${id}?`, text: 'It gets work again.',
  },
  remove: {
    method: 'DELETE', path: id => 'api/worker/unregister/' + encodeURIComponent(id), button: 'Remove', dangerous: true,
    title: id => `Remove ${id}?`, text: 'Its registration is forgotten, for good. If the worker still runs, it has to register again.',
  },
};

const SLOW_MS = 3000; // an answer that takes longer is spoken of

let asked = null; // what the dialog asks: action, id, done, and whether it has been done

// Opens the dialog; `done` is called when the worker has been acted on and the dialog is closed.
function ask(action, id, done) {
  asked = {action, id, done, acted: false};
  setText(byId('ask-title'), action.title(id));
  setText(byId('ask-text'), action.text);
  setText(byId('ask-result'), '');
  setText(byId('ask-input-title'), action.input || '');
  byId('ask-input').value = '';
  byId('ask-input-label').hidden = !action.input;
  byId('ask-result').className = 'result';
  const confirm = byId('ask-confirm');
  setText(confirm, action.button);
  confirm.className = action.dangerous ? 'danger' : 'primary';
  confirm.hidden = confirm.disabled = false;
  setText(byId('ask-cancel'), 'Cancel');
  byId('ask').showModal();
  byId('ask-cancel').focus();
}

async function act() {
  const mine = asked, {action, id} = mine, result = byId('ask-result'), confirm = byId('ask-confirm');
  const isOpen = () => asked === mine && byId('ask').open;
  confirm.disabled = true;
  result.className = 'result';
  setText(result, 'Working …');
  const slow = setTimeout(() => isOpen() && setText(result, 'Working … there is no answer yet.'), SLOW_MS);
  try {
    const answer = await request(action.method, action.path(id), action.body?.(byId('ask-input').value));
    mine.acted = true;
    if (!isOpen()) {
      mine.done();
      return;
    }
    result.className = 'result good';
    setText(result, plainText(answer.message) || 'Done.');
    confirm.hidden = byId('ask-input-label').hidden = true;
    setText(byId('ask-cancel'), 'Close');
    byId('ask-cancel').focus();
  } catch (error) {
    if (!isOpen()) return;
    result.className = 'result bad';
    setText(result, error.message);
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
