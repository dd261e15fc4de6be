'use strict';

// Who may sign in (users.js), and the tokens of workers and programs: for admins. Which workers have no token, and who has done
// what: for operators, too.

const REVOKE_TOKEN = {
  method: 'DELETE', path: id => 'api/auth/tokens/' + encodeURIComponent(id), button: 'Revoke', dangerous: true,
  done: 'It is revoked: within five seconds nobody takes it any more.',
  title: id => `Revoke the token ${id}?`,
  text: 'Whoever shows it is refused. Tokens that its workers were given go on until they end.',
};

const accessAgain = new Repeated(10000, readAccess);

function accessRow(cells, act) {
  return make('tr', '', ...cells.map(words => make('td', '', words)), make('td', 'act', act));
}

function tokenRow({id, kind, name, role, expires_at: expires, revoked_at: revoked}) {
  const revoke = makeButton('small', 'Revoke', () => ask(REVOKE_TOKEN, id, () => accessAgain.now()));
  revoke.setAttribute('aria-label', `Revoke ${id}`);
  const state = revoked ? 'revoked' : expires ? `until ${dateOf(expires)}` : 'for ever';
  const what = kind === 'join' ? 'workers' : plainText(role);
  return accessRow([plainText(name), make('span', 'id', plainText(id)), what, state], revoked ? '' : revoke);
}

function auditRow({time, who, action, target, outcome, address}) {
  const words = [dateOf(time), ...[who, action, target, outcome, address].map(plainText)];
  return make('tr', '', ...words.map(each => make('td', '', each || '')));
}

function openWorkerRow({worker_id: id, status, region, ip_address: address, tunnel_url: tunnel, last_heartbeat: beat}) {
  return make('tr', '', make('td', '', workerLink(id)), make('td', '', statusBadge(status)),
    ...[tunnel || address, region, dateOf(beat)].map(words => make('td', '', plainText(words))));
}

const OPEN_WORKERS = 100; // that are listed

async function readOpenWorkers() {
  const {workers, next_cursor: more} = await get(`api/admin/workers?join_token=none&limit=${OPEN_WORKERS}`);
  const some = more ? `The first ${OPEN_WORKERS} workers` : countOf(workers.length, 'worker');
  const fate = account.mode === 'on' ? 'AUTH is on: they are refused until they have one.' : 'AUTH=on will refuse them.';
  setText(byId('access-open-note'), workers.length ? `${some} that registered without one. ${fate}`
    : 'Every worker has registered with one.');
  byId('access-open-table').hidden = workers.length === 0;
  showRows('access-open', workers, openWorkerRow);
}

const shownRows = {}; // by the element that has them: what they were made of

// Rows that stay as they are keep the focus.
function showRows(id, items, makeOne) {
  const text = JSON.stringify(items);
  if (shownRows[id] === text) return;
  shownRows[id] = text;
  byId(id).replaceChildren(...items.map(makeOne));
}

async function readAccess() {
  try {
    const isAdmin = account.user !== null && may('admin');
    byId('access-admin').hidden = !isAdmin;
    if (isAdmin) {
      setUpUsers();
      const [{users}, {tokens}] = await Promise.all([get('api/auth/users'), get('api/auth/tokens')]);
      showRows('access-users', users, userRow);
      showRows('access-tokens', tokens, tokenRow);
    }
    const {entries} = await get('api/admin/audit?limit=100');
    showRows('access-audit', entries, auditRow);
    await readOpenWorkers();
    setText(byId('access-result'), '');
  } catch (error) {
    setText(byId('access-result'), error.message);
  }
}

async function makeToken() {
  const [kind, role] = byId('access-kind').value.split(' '), name = byId('access-name').value;
  try {
    const {token} = await request('POST', 'api/auth/tokens', {kind, name, ...(role ? {role} : {})});
    setText(byId('access-token'), plainText(token));
    byId('access-made').hidden = false;
    byId('access-name').value = '';
    accessAgain.now();
  } catch (error) {
    setText(byId('access-result'), error.message);
  }
}

function openAccess() {
  accessAgain.start();
}

// A token or a password is shown once: not to whoever comes to the page later.
function closeAccess() {
  accessAgain.stop();
  showPassword('', '');
  setText(byId('access-token'), '');
  byId('access-made').hidden = true;
}

function setUpAccess() {
  byId('access-form').addEventListener('submit', event => {
    event.preventDefault();
    makeToken();
  });
}
