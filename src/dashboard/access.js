'use strict';

// Who may sign in, the tokens of workers and programs, and who has done what: for admins; the last one for operators, too.

const REMOVE_USER = {
  method: 'DELETE', path: name => 'api/auth/users/' + encodeURIComponent(name), button: 'Remove', dangerous: true,
  done: 'The user is gone, and signed out everywhere.',
  title: name => `Remove the user ${name}?`, text: 'Whoever is signed in by that name is signed out.',
};

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

function userRow({username, role, created_at: created}) {
  const remove = makeButton('small', 'Remove', () => ask(REMOVE_USER, username, () => accessAgain.now()));
  remove.setAttribute('aria-label', `Remove ${username}`);
  return accessRow([plainText(username), plainText(role), dateOf(created)], remove);
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

async function readAccess() {
  try {
    const isAdmin = account.user !== null && may('admin');
    byId('access-admin').hidden = !isAdmin;
    if (isAdmin) {
      const [{users}, {tokens}] = await Promise.all([get('api/auth/users'), get('api/auth/tokens')]);
      byId('access-users').replaceChildren(...users.map(userRow));
      byId('access-tokens').replaceChildren(...tokens.map(tokenRow));
    }
    const {entries} = await get('api/admin/audit?limit=100');
    byId('access-audit').replaceChildren(...entries.map(auditRow));
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

// A token is shown once: not to whoever comes to the page later.
function closeAccess() {
  accessAgain.stop();
  setText(byId('access-token'), '');
  byId('access-made').hidden = true;
}

function setUpAccess() {
  byId('access-form').addEventListener('submit', event => {
    event.preventDefault();
    makeToken();
  });
}
