// Draining, undraining and removing a worker, with the keyboard alone.

import assert from 'node:assert/strict';
import {after, afterEach, before, beforeEach, test} from 'node:test';
import {focused, launch, live, open, result, row, tabTo} from './lib/browser.mjs';
import {Fleet, waitUntil} from './lib/fleet.mjs';
import {Proxy} from './lib/proxy.mjs';

let browser, fleet;
before(async () => { browser = await launch(); });
after(() => browser.close());
beforeEach(async () => {
  fleet = await Fleet.start();
  await fleet.register('w');
});
afterEach(() => fleet.stop());

async function worker(id) {
  const answer = await fleet.get('/api/worker/' + id);
  return answer.status === 200 ? answer.json : null;
}

test('a worker is drained, undrained and removed with the keyboard', async () => {
  const page = await open(browser, fleet.url);
  await row(page, 'w').waitFor();
  await tabTo(page, 'w');
  await page.keyboard.press('Enter');
  await page.getByRole('button', {name: 'Drain', exact: true}).waitFor();

  await tabTo(page, 'Drain');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', {name: 'Drain w?'}).waitFor();
  assert.equal(await focused(page), 'Cancel', 'nothing is done by pressing Enter once too often');
  await page.keyboard.press('Enter');
  assert.equal(await page.getByRole('dialog').isVisible(), false);
  assert.equal(await focused(page), 'Drain', 'the focus is where it was');
  assert.equal((await worker('w')).drained, false);
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  assert.equal(await page.getByRole('dialog').isVisible(), false);

  await page.keyboard.press('Enter');
  await tabTo(page, 'Drain');
  await page.keyboard.press('Enter');
  await result(page, 'Worker w takes no new work');
  assert.equal((await worker('w')).drained, true);
  assert.equal(await focused(page), 'Close');
  await page.keyboard.press('Enter');
  await page.getByRole('button', {name: 'Undrain'}).waitFor();
  await waitUntil(async () => (await page.locator('#worker .badge').first().textContent()) === 'Draining', 'the page shows it');

  await tabTo(page, 'Undrain');
  await page.keyboard.press('Enter');
  await tabTo(page, 'Undrain');
  await page.keyboard.press('Enter');
  await result(page, 'Worker w takes work again');
  await page.keyboard.press('Enter');
  await page.getByRole('button', {name: 'Drain', exact: true}).waitFor();

  await tabTo(page, 'Remove');
  await page.keyboard.press('Enter');
  await tabTo(page, 'Remove');
  await page.keyboard.press('Enter');
  await result(page, 'Worker w unregistered');
  assert.equal(await worker('w'), null);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', {name: 'Workers', exact: true}).waitFor();
  await waitUntil(async () => await row(page, 'w').count() === 0, 'it is no longer listed');
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('what was refused says why, and can be tried again', async () => {
  const proxy = await Proxy.start(fleet);
  const page = await open(browser, proxy.url + '#/worker/w');
  await page.getByRole('button', {name: 'Drain', exact: true}).click();
  proxy.refuse('/api/worker/w/drain', 503, 'Redis is <b>away</b>.');
  await page.locator('#ask-confirm').click();
  await result(page, 'Redis is <b>away</b>.');
  proxy.allow('/api/worker/w/drain');
  await page.locator('#ask-confirm').click();
  await result(page, 'Worker w takes no new work');
  await page.close();
  await proxy.stop();
});

test('a drain says why, and everybody sees it', async () => {
  const page = await open(browser, fleet.url + '#/worker/w');
  await live(page);
  await page.getByRole('button', {name: 'Drain', exact: true}).click();
  await page.getByLabel('Reason, which listings show').fill('<b>disk</b> swap');
  await page.keyboard.press('Enter');
  await result(page, 'Worker w takes no new work');
  assert.equal((await worker('w')).drain_reason, '<b>disk</b> swap');
  await page.getByRole('button', {name: 'Close'}).click();
  await waitUntil(async () =>
    /drained by an operator since .*, from 127\.0\.0\.1: <b>disk<\/b> swap/.test(await page.locator('#worker .title .soft')
      .textContent()),
    'the page of the worker says why');
  await page.goto(fleet.url + '#/');
  await waitUntil(async () => await row(page, 'w').locator('.cell.status').getAttribute('title') === '<b>disk</b> swap',
    'so does the table');
  await waitUntil(async () => (await page.locator('#events li .what').allTextContents())
    .includes('w is drained: it gets no new work (<b>disk</b> swap)'),
    'and the list of events');
  await page.goto(fleet.url + '#/worker/w');
  await page.getByRole('button', {name: 'Undrain'}).click();
  assert.equal(await page.locator('#ask-input').isVisible(), false);
  await page.locator('#ask-confirm').click();
  await result(page, 'Worker w takes work again');
  assert.deepEqual(page.faults, []);
  await page.close();
});
