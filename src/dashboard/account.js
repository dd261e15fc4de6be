'use strict';

// Who one is, and what one may do: signing in and out. The session is a cookie that scripts never see.

const ROLES = ['viewer', 'user', 'operator', 'admin'];

const account = {mode: null, user: null, dismissed: false}; // mode: AUTH's, null until it is known

// Nothing is hidden before it is known who may do what: the coordinator decides anyway.
function may(role) {
  if (account.mode === null || account.mode === 'off') return true;
  return account.user !== null && ROLES.indexOf(account.user.role) >= ROLES.indexOf(role);
}

function showAccount() {
  const {mode, user} = account;
  document.body.classList.toggle('may-not-operate', !may('operator'));
  document.body.classList.toggle('may-not-use', !may('user'));
  byId('account').hidden = mode === null || (mode === 'off' && !user);
  byId('account-name').hidden = byId('sign-out').hidden = !user;
  byId('sign-in-open').hidden = Boolean(user);
  setText(byId('account-name'), user ? `${user.username} (${user.role})` : '');
  byId('bar-access').hidden = !user || !may('operator');
  if (openRoute?.element === 'access') accessAgain.now();
  byId('open-to-all').hidden = mode !== 'off';
}

async function readAccount() {
  try {
    account.mode = plainText((await get('api')).auth);
    if (account.mode !== 'off') account.user = await get('api/auth/verify');
  } catch ({status}) {
    account.user = null;
    const isRefused = account.mode !== null && (status === 401 || status === 403);
    if (!isRefused) setTimeout(readAccount, POLL_MS); // a coordinator that has no Redis just now
  }
  showAccount();
}

function openSignIn() {
  const dialog = byId('sign-in');
  if (dialog.open) return;
  setText(byId('sign-in-result'), '');
  dialog.showModal();
  byId('sign-in-name').focus();
}

// Something was refused since one is not signed in, or not any more.
function signInIsNeeded() {
  if (!account.dismissed && !byId('ask').open) openSignIn();
}

async function signIn() {
  const button = byId('sign-in-confirm');
  button.disabled = true;
  setText(byId('sign-in-result'), 'Signing in …');
  try {
    await request('POST', 'api/auth/login', {username: byId('sign-in-name').value, password: byId('sign-in-password').value});
    location.reload();
  } catch (error) {
    setText(byId('sign-in-result'), error.message);
    byId('sign-in-password').value = '';
    byId('sign-in-password').focus();
  } finally {
    button.disabled = false;
  }
}

async function signOut() {
  try {
    await request('POST', 'api/auth/logout');
    location.reload();
  } catch (error) {
    setText(byId('account-name'), error.message);
  }
}

function setUpAccount() {
  byId('sign-in-form').addEventListener('submit', event => {
    event.preventDefault();
    signIn();
  });
  byId('sign-in-cancel').addEventListener('click', () => byId('sign-in').close());
  byId('sign-in').addEventListener('close', () => { account.dismissed = true; });
  byId('sign-in-open').addEventListener('click', openSignIn);
  byId('sign-out').addEventListener('click', signOut);
  onUnauthenticated = signInIsNeeded;
  readAccount();
}
