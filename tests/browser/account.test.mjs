// Signing in and out, and what a role can't do.

import assert from 'node:assert/strict';
import http from 'node:http';
import {after, afterEach, before, test} from 'node:test';
import {barriers, launch, open, row} from './lib/browser.mjs';
import {Fleet, SERVICE, waitUntil} from './lib/fleet.mjs';
import {Proxy} from './lib/proxy.mjs';

let browser, fleet;
before(async () => { browser = await launch(); });
after(() => browser.close());
afterEach(() => fleet.stop());

// Starts a fleet that asks for credentials, with a worker, and a user of each of these roles, called as it.
async function guarded(roles) {
  fleet = await Fleet.start({settings: {AUTH: 'warn'}});
  await fleet.register('w');
  for (const role of roles) fleet.command(['users', 'add', role, '--role', role], `the password of ${role}\n`);
  await fleet.restart({AUTH: 'on'});
}

async function signIn(page, name, password = `the password of ${name}`) {
  const dialog = page.getByRole('dialog', {name: 'Sign in'});
  await dialog.getByLabel('Name').fill(name);
  await dialog.getByLabel('Password').fill(password);
  await page.getByRole('dialog').getByRole('button', {name: 'Sign in'}).click();
}

// A join token, as an admin makes one.
async function makeJoinToken() {
  fleet.command(['users', 'add', 'maker', '--role', 'admin'], 'the password of maker\n');
  const {json} = await fleet.send('POST', '/api/auth/login', {username: 'maker', password: 'the password of maker'});
  const made = await fleet.send('POST', '/api/auth/tokens', {kind: 'join', name: 'site'},
    {Authorization: `Bearer ${json.access_token}`});
  return made.json.token;
}

test('one signs in, sees who one is, drains a worker, and signs out', async () => {
  await guarded(['operator']);
  const page = await open(browser, fleet.url);
  await page.getByRole('dialog', {name: 'Sign in'}).waitFor();
  assert.deepEqual(await barriers(page), []);
  await signIn(page, 'operator', 'a wrong one');
  await page.getByText('Invalid username or password').waitFor();
  assert.equal(await row(page, 'w').count(), 0);
  await signIn(page, 'operator');
  await page.getByText('operator (operator)').waitFor();
  await row(page, 'w').waitFor();
  await waitUntil(async () => await page.locator('#connection').textContent() === 'Live', 'events come by the cookie');
  assert.equal(await page.evaluate(() => document.cookie), '', 'no script sees the session');
  assert.equal(await page.locator('#open-to-all').isVisible(), false);
  assert.deepEqual(await barriers(page), []);
  await page.getByRole('link', {name: 'w', exact: true}).click();
  await page.getByRole('button', {name: 'Drain', exact: true}).click();
  await page.getByRole('dialog').getByRole('button', {name: 'Drain', exact: true}).click();
  await page.getByText('Worker w takes no new work').waitFor();
  await page.getByRole('button', {name: 'Close'}).click();
  await page.getByRole('link', {name: 'Access'}).click();
  await page.getByRole('row').filter({hasText: 'user:operator'}).filter({hasText: 'refused'}).waitFor();
  assert.equal(await page.locator('#access-admin').isVisible(), false, 'tokens are for admins');
  await page.getByRole('button', {name: 'Sign out'}).click();
  await page.getByRole('dialog', {name: 'Sign in'}).waitFor();
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('a viewer sees the fleet and no button that it may not press', async () => {
  await guarded(['viewer']);
  const page = await open(browser, fleet.url + '#/worker/w');
  await signIn(page, 'viewer');
  await page.getByText('viewer (viewer)').waitFor();
  await page.getByRole('heading', {name: 'w', exact: true}).waitFor();
  for (const name of ['Drain', 'Undrain', 'Remove']) {
    assert.equal(await page.getByRole('button', {name, exact: true}).count(), 0, name);
  }
  await page.close();
});

test('an admin makes a token, sees it once, revokes it, and reads who has done what', async () => {
  await guarded(['admin']);
  const page = await open(browser, fleet.url);
  await signIn(page, 'admin');
  await page.getByRole('link', {name: 'Access'}).click();
  await page.getByLabel('Name of the token').fill('<b>the office</b>');
  await page.getByRole('button', {name: 'Make a token'}).click();
  const token = page.locator('#access-token');
  await waitUntil(async () => /^rmaj_[a-z2-7]{12}_[\w-]{43}$/.test(await token.textContent()), 'the token is shown');
  const id = (await token.textContent()).split('_')[1];
  await page.getByRole('row').filter({hasText: '<b>the office</b>'}).filter({hasText: id}).waitFor();
  await page.getByRole('row').filter({hasText: 'token.make'}).filter({hasText: id}).waitFor();
  assert.deepEqual(await barriers(page), []);
  await page.getByRole('button', {name: `Revoke ${id}`}).click();
  await page.getByRole('dialog').getByRole('button', {name: 'Revoke'}).click();
  await page.getByText('It is revoked').waitFor();
  await page.getByRole('button', {name: 'Close'}).click();
  await page.getByRole('row').filter({hasText: id}).filter({hasText: 'revoked'}).waitFor();
  await page.getByRole('link', {name: 'Fleet'}).click();
  await waitUntil(async () => await token.textContent() === '', 'nobody who comes later sees it');
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('who one is is asked again when it can’t be told', async () => {
  await guarded(['viewer']);
  const proxy = await Proxy.start(fleet), page = await open(browser, proxy.url);
  proxy.refuse('/api/auth/verify', 503, 'The registry (Redis) is out of reach; try again shortly.');
  await signIn(page, 'viewer');
  await row(page, 'w').waitFor();
  const asked = () => proxy.requests.filter(({method, url}) => method === 'GET' && url === '/api/auth/verify').length;
  await waitUntil(() => asked() > 1, 'it is asked again');
  proxy.allow('/api/auth/verify');
  await page.getByText('viewer (viewer)').waitFor();
  await page.close();
  await proxy.stop();
});

test('an admin makes users, changes and removes them', async () => {
  await guarded(['admin']);
  const page = await open(browser, fleet.url + '#/access');
  await signIn(page, 'admin');
  await page.getByText('admin (admin)').waitFor();
  const add = async (name, role, password) => {
    await page.getByLabel('Name of the user').fill(name);
    await page.getByLabel('Role of the user').selectOption(role);
    await page.getByLabel('Password of the user').fill(password);
    await page.getByRole('button', {name: 'Add the user'}).click();
  };
  const login = (username, password) => fleet.send('POST', '/api/auth/login', {username, password});
  const userRow = name => page.locator('#access-users tr').filter({hasText: name});
  await add('anna', 'operator', 'correct horse battery');
  await userRow('anna').filter({hasText: 'operator'}).waitFor();
  assert.equal(await page.locator('#users-made').isVisible(), false, 'who chose a password knows it');
  assert.equal(await page.getByLabel('Password of the user').inputValue(), '');
  assert.equal((await login('anna', 'correct horse battery')).json.user.role, 'operator');
  await add('anna', 'viewer', '');
  await page.getByText('There is one of this name already').waitFor();
  await add('otto', 'viewer', '');
  await userRow('otto').waitFor();
  const password = () => page.locator('#users-password-made').textContent(); // the list may be read before the button is answered
  const made = await waitUntil(password, 'the password is shown');
  assert.match(made, /^[a-z2-9]{20}$/);
  assert.equal((await login('otto', made)).status, 200);
  assert.deepEqual(await barriers(page), []);

  await page.getByRole('button', {name: 'Change otto'}).click();
  const dialog = page.getByRole('dialog', {name: 'Change otto'});
  assert.deepEqual(await barriers(page), []);
  await dialog.getByLabel('Role').selectOption('user');
  await dialog.getByLabel('New password').fill('admin123');
  await dialog.getByRole('button', {name: 'Change'}).click();
  await dialog.getByRole('status').filter({hasText: /password/i}).waitFor();
  await dialog.getByLabel('New password').fill('another good one');
  await dialog.getByRole('button', {name: 'Change'}).click();
  await userRow('otto').getByRole('cell', {name: 'user', exact: true}).waitFor();
  await dialog.waitFor({state: 'hidden'});
  assert.equal((await login('otto', made)).status, 401);
  assert.equal((await login('otto', 'another good one')).json.user.role, 'user');
  assert.equal(await page.locator('#users-made').isVisible(), false, 'the password before is not shown any more');
  await page.getByRole('button', {name: 'Change anna'}).click();
  await page.getByLabel('Make up a password, and show it once').check();
  await page.getByRole('dialog').getByRole('button', {name: 'Change'}).click();
  await page.locator('#users-made').filter({hasText: 'Take the password of anna now'}).waitFor();
  const again = await password();
  assert.notEqual(again, made);
  assert.deepEqual((await login('anna', again)).json.user, {username: 'anna', role: 'operator'});

  await page.getByRole('button', {name: 'Remove admin'}).click();
  await page.getByRole('dialog').getByRole('button', {name: 'Remove'}).click();
  await page.getByRole('dialog').getByText('This is the last admin; make another one first.').waitFor();
  await page.getByRole('button', {name: 'Cancel'}).click();
  await page.getByRole('button', {name: 'Change admin'}).click();
  await page.getByRole('dialog').getByLabel('Role').selectOption('viewer');
  await page.getByRole('dialog').getByRole('button', {name: 'Change'}).click();
  await page.getByRole('dialog').getByText('This is the last admin; make another one first.').waitFor();
  await page.getByRole('button', {name: 'Cancel'}).click();

  await page.getByRole('button', {name: 'Remove otto'}).click();
  await page.getByRole('dialog').getByRole('button', {name: 'Remove'}).click();
  await page.getByText('The user is gone').waitFor();
  await page.getByRole('button', {name: 'Close'}).click();
  await userRow('otto').waitFor({state: 'detached'});
  assert.equal((await login('otto', 'another good one')).status, 401);
  for (const action of ['user.make', 'user.password', 'user.remove'])
    await page.locator('#access-audit').getByText(action).first().waitFor();
  await page.getByRole('link', {name: 'Fleet'}).click();
  await waitUntil(async () => await password() === '', 'nobody who comes later sees it');
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('an operator sees which workers have no token yet', async () => {
  await guarded(['operator']);
  const page = await open(browser, fleet.url + '#/access');
  await signIn(page, 'operator');
  const open_ = page.locator('section', {has: page.getByRole('heading', {name: 'Workers without a token'})});
  await open_.getByText('1 worker that registered without one. AUTH is on: they are refused until they have one.').waitFor();
  await open_.getByRole('link', {name: 'w', exact: true}).waitFor();
  await fleet.restart({AUTH: 'warn'});
  await page.goto(fleet.url + '#/access'); // another port, the same cookie
  await open_.getByText('AUTH=on will refuse them.').waitFor();
  assert.deepEqual(await barriers(page), []);
  const token = await makeJoinToken();
  await fleet.send('POST', '/api/worker/register', {worker_id: 'w', capabilities: SERVICE}, {Authorization: `Bearer ${token}`});
  await page.reload();
  await open_.getByText('Every worker has registered with one.').waitFor();
  assert.equal(await open_.getByRole('link').count(), 0);
  await page.close();
});

test('behind a path prefix one signs in, and the session is for that path alone', async () => {
  await guarded(['operator']);
  const proxy = await Proxy.start(fleet, '/fleet');
  await fleet.restart({PUBLIC_URL: proxy.url.replace(/\/$/, '')});
  const page = await open(browser, proxy.url);
  await signIn(page, 'operator');
  await page.getByText('operator (operator)').waitFor();
  await row(page, 'w').waitFor();
  await waitUntil(async () => await page.locator('#connection').textContent() === 'Live', 'events come by the cookie');
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie.path, cookie.httpOnly, cookie.sameSite], ['/fleet', true, 'Strict']);
  await page.getByRole('link', {name: 'w', exact: true}).click();
  await page.getByRole('button', {name: 'Drain', exact: true}).click();
  await page.getByRole('dialog').getByRole('button', {name: 'Drain', exact: true}).click();
  await page.getByText('Worker w takes no new work').waitFor();
  await page.getByRole('button', {name: 'Close'}).click();
  await page.getByRole('button', {name: 'Sign out'}).click();
  await page.getByRole('dialog', {name: 'Sign in'}).waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  assert.deepEqual(page.faults, []);
  await page.close();
  await proxy.stop();
});

// Another port of the same host is the same site: the browser sends the cookie along. Another name is another site.
for (const host of ['127.0.0.1', 'localhost'])
  test(`a page at ${host}, of another origin, does nothing in one’s name`, async () => {
  await guarded(['operator']);
  const context = await browser.newContext(), page = await open(context, fleet.url);
  await signIn(page, 'operator');
  await row(page, 'w').waitFor();
  const server = http.createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<title>evil</title>'));
  await new Promise(resolve => server.listen(0, resolve));
  const evil = await context.newPage();
  await evil.goto(`http://${host}:${server.address().port}/`);
  const attempts = await evil.evaluate(async ours => {
    const paths = [['POST', 'api/worker/w/drain'], ['DELETE', 'api/worker/unregister/w'], ['POST', 'api/auth/logout'],
      ['POST', 'api/queues/q/pause']];
    const seen = [];
    for (const [method, path] of paths) {
      for (const mode of ['cors', 'no-cors']) {
        const options = {method, mode, credentials: 'include',
          ...(mode === 'cors' ? {headers: {'Content-Type': 'application/json'}, body: '{}'} : {})};
        seen.push(await fetch(ours + path, options).then(answer => answer.status, () => 'refused'));
      }
    }
    seen.push(await fetch(ours + 'api/admin/workers', {credentials: 'include'}).then(answer => answer.text(), () => 'refused'));
    return seen;
  }, fleet.url);
  assert.ok(attempts.every(outcome => ['refused', 0, 401, 403].includes(outcome)), String(attempts));
  const action = `${fleet.url}api/worker/w/drain`;
  await evil.setContent(`<form method="post" enctype="text/plain" action="${action}"><button>go</button></form>`);
  await evil.getByRole('button').click();
  await evil.waitForURL(url => url.href.startsWith(fleet.url));
  assert.match(await evil.locator('body').textContent(), /cross-site|unauthenticated/);
  await page.reload();
  await page.getByText('operator (operator)').waitFor();
  await row(page, 'w').filter({hasText: 'Healthy'}).waitFor();
  assert.deepEqual((await context.cookies(fleet.url)).map(({name}) => name), ['rma_session']);
  await context.close();
  server.close();
});

test('who has not signed in is not told that the connection is lost', async () => {
  await guarded([]);
  const page = await open(browser, fleet.url);
  const seen = await page.evaluate(() => new Promise(resolve => {
    const words = new Set(), connection = document.getElementById('connection');
    const look = () => {
      words.add(connection.textContent);
      if (!document.getElementById('banner').hidden) words.add('the banner');
      if (connection.textContent === 'Not signed in' && document.getElementById('sign-in').open) resolve([...words]);
    };
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
    look();
  }));
  assert.ok(!seen.includes('the banner') && !seen.includes('Connection lost'), String(seen));
  assert.equal(await page.locator('body.stale').count(), 0);
  assert.deepEqual(await barriers(page), []);
  await page.close();
});

test('an open fleet says so, and asks nobody', async () => {
  fleet = await Fleet.start();
  await fleet.register('w');
  const page = await open(browser, fleet.url);
  await row(page, 'w').waitFor();
  await page.getByText('AUTH is off').waitFor();
  assert.equal(await page.getByRole('dialog').count(), 0);
  assert.equal(await page.getByRole('button', {name: /Sign/}).count(), 0);
  await page.close();
});
