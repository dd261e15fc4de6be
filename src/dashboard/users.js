'use strict';

// The users on the page Access: an admin makes, changes and removes them.

const REMOVE_USER = {
  method: 'DELETE', path: name => 'api/auth/users/' + encodeURIComponent(name), button: 'Remove', dangerous: true,
  done: 'The user is gone, and signed out everywhere.',
  title: name => `Remove the user ${name}?`, text: 'All sessions of the user end.',
};

const PASSWORD_LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789'; // 32, of which none looks like another
const PASSWORD_LENGTH = 20;

const changedUser = {username: '', role: ''}; // of whom the dialog is

function inventPassword() {
  const bytes = crypto.getRandomValues(new Uint8Array(PASSWORD_LENGTH));
  return Array.from(bytes, byte => PASSWORD_LETTERS[byte % PASSWORD_LETTERS.length]).join('');
}

function userRow({username, role, created_at: created}) {
  const change = makeButton('small', 'Change', () => openUser(username, role));
  const remove = makeButton('small', 'Remove', () => ask(REMOVE_USER, username, () => accessAgain.now()));
  change.setAttribute('aria-label', `Change ${username}`);
  remove.setAttribute('aria-label', `Remove ${username}`);
  return accessRow([plainText(username), plainText(role), dateOf(created)], make('span', 'buttons', change, remove));
}

// A password that was made up is shown once: nobody else knows it.
function showPassword(username, password) {
  setText(byId('users-made-name'), username);
  setText(byId('users-password-made'), password);
  byId('users-made').hidden = !password;
}

async function addUser() {
  const username = byId('users-name').value, role = byId('users-role').value, given = byId('users-password').value;
  const invented = given ? '' : inventPassword();
  setText(byId('users-result'), '');
  try {
    await request('POST', 'api/auth/users', {username, role, password: given || invented});
    byId('users-form').reset();
    showPassword(username, invented);
    accessAgain.now();
  } catch (error) {
    setText(byId('users-result'), error.message);
  }
}

function openUser(username, role) {
  Object.assign(changedUser, {username, role});
  byId('user-form').reset();
  setText(byId('user-title'), `Change ${username}`);
  setText(byId('user-result'), '');
  byId('user-role').value = role;
  byId('user').showModal();
  byId('user-role').focus();
}

async function changeUser() {
  const {username, role} = changedUser, wanted = byId('user-role').value;
  const invented = byId('user-invent').checked ? inventPassword() : '', password = invented || byId('user-password').value;
  const change = {...(wanted === role ? {} : {role: wanted}), ...(password ? {password} : {})};
  try {
    if (Object.keys(change).length > 0) {
      await request('PATCH', 'api/auth/users/' + encodeURIComponent(username), change);
      showPassword(username, invented);
      accessAgain.now();
    }
    byId('user').close();
  } catch (error) {
    setText(byId('user-result'), error.message);
  }
}

// Forms for admins alone come into the page with the first one.
function setUpUsers() {
  if (byId('users-form')) return;
  const forms = byId('users-for-admins').content.cloneNode(true), dialog = forms.getElementById('user');
  document.body.append(dialog);
  byId('users-result').before(forms);
  byId('users-form').addEventListener('submit', event => {
    event.preventDefault();
    addUser();
  });
  byId('user-form').addEventListener('submit', event => {
    event.preventDefault();
    changeUser();
  });
  byId('user-cancel').addEventListener('click', () => byId('user').close());
  byId('user-invent').addEventListener('change', () => { byId('user-password').disabled = byId('user-invent').checked; });
}
