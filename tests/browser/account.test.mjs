// Signing in and out, and what a role can't do.

import assert from 'node:assert/strict';
import {after, afterEach, before, test} from 'node:test';
import {barriers, launch, open, row} from './lib/browser.mjs';
import {Fleet, waitUntil} from './lib/fleet.mjs';

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
  await page.getByLabel('Name', {exact: true}).fill(name);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('dialog').getByRole('button', {name: 'Sign in'}).click();
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
  assert.equal(await token.textContent(), '', 'nobody who comes later sees it');
  assert.deepEqual(page.faults, []);
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
