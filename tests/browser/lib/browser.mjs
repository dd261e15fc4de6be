// Debian's Chromium, and what the tests look at in a page.

import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {isDeepStrictEqual} from 'node:util';
import {chromium} from 'playwright-core';
import {waitUntil} from './fleet.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'];

export function launch(flags = []) {
  return chromium.launch({executablePath: '/usr/bin/chromium', args: [...FLAGS, ...flags], timeout: 180000});
}

// Opens a page that keeps what went wrong in it: `faults`. What it could not load is no fault where connections are cut.
// clock: whether the test may move the page's clock.
export async function open(browser, url, {clock = false, ...options} = {}) {
  const page = await browser.newPage({viewport: {width: 1280, height: 900}, ...options});
  if (clock) await page.clock.install();
  page.setDefaultTimeout(30000);
  page.faults = [];
  page.on('pageerror', error => page.faults.push(String(error)));
  page.on('console', message => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) page.faults.push(message.text());
  });
  page.requested = new Set();
  page.on('request', request => page.requested.add(new URL(request.url()).origin));
  await page.goto(url);
  return page;
}

// The table's rows that exist just now, by worker.
export function rows(page) {
  return page.locator('#workers-body [role=row]');
}

export function row(page, workerId) {
  return rows(page).filter({has: page.getByRole('link', {name: workerId, exact: true})});
}

// Waits until events come: what happens from then on is told.
export function live(page) {
  return waitUntil(async () => await page.locator('#connection').textContent() === 'Live', 'events come');
}

// Waits until read() gives what is expected: the parts of a page come by answers of their own, in any order.
export async function comes(read, expected) {
  let last;
  try {
    await waitUntil(async () => isDeepStrictEqual(last = await read(), expected), 'all is as expected');
  } catch (error) {
    assert.deepEqual(last, expected);
    throw error;
  }
}

// Waits until the page shows `words` as the result of the last button.
export async function result(page, words) {
  await waitUntil(async () => await page.locator('#ask-result').textContent() === words, `the result is: ${words}`);
}

export function focused(page) {
  return page.evaluate(() => document.activeElement.textContent);
}

// Presses Tab until the focused element says `words`.
export async function tabTo(page, words) {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    if (await focused(page) === words) return;
  }
  throw new Error(`the Tab key does not find ${words}`);
}

// What axe has against a page, of the serious and critical kind.
export async function barriers(page) {
  await page.evaluate(`${AXE}; undefined`); // past the page's own policy, which lets no script in
  const {violations} = await page.evaluate(() => window.axe.run(document));
  return violations.filter(({impact}) => impact === 'serious' || impact === 'critical')
    .map(({id, nodes}) => `${id}: ${nodes.map(({html, failureSummary}) => `${html.slice(0, 120)} ${failureSummary}`).join('; ')}`);
}
