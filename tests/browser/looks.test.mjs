// For every eye and every screen, and from behind a path prefix.

import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {barriers, launch, open, row} from './lib/browser.mjs';
import {Fleet, registerSeven, waitUntil} from './lib/fleet.mjs';
import {Proxy} from './lib/proxy.mjs';

let browser, fleet;
before(async () => {
  [browser, fleet] = await Promise.all([launch(), Fleet.start()]);
  await registerSeven(fleet);
});
after(() => Promise.all([browser.close(), fleet.stop()]));

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds no serious fault, ${colorScheme}`, async () => {
    const proxy = await Proxy.start(fleet);
    const page = await open(browser, proxy.url, {colorScheme});
    await row(page, 'gpu-lisbon').waitFor();
    assert.deepEqual(await barriers(page), [], 'the fleet');
    await page.goto(proxy.url + '#/worker/rag-berlin');
    await page.getByRole('button', {name: 'Remove'}).waitFor();
    assert.deepEqual(await barriers(page), [], 'one worker');
    await page.getByRole('button', {name: 'Remove'}).click();
    assert.deepEqual(await barriers(page), [], 'the dialog');
    await page.keyboard.press('Escape');
    await page.setViewportSize({width: 390, height: 844});
    await page.goto(proxy.url + '#/');
    await row(page, 'gpu-lisbon').waitFor();
    assert.deepEqual(await barriers(page), [], 'on a phone');
    await proxy.stop();
    await page.locator('#banner').waitFor();
    assert.deepEqual(await barriers(page), [], 'without a connection');
    await page.close();
  });
}

test('axe notices what is wrong', async () => {
  const page = await open(browser, fleet.url);
  await row(page, 'gpu-lisbon').waitFor();
  await page.locator('#health-reasons').filter({hasText: 'live'}).waitFor(); // it comes by an answer of its own
  await page.evaluate(() => {
    document.getElementById('filter-text').removeAttribute('aria-label');
    document.getElementById('filter-text').removeAttribute('placeholder');
    document.getElementById('health-reasons').style.color = '#ccc';
  });
  assert.deepEqual((await barriers(page)).map(each => each.split(':')[0]).sort(), ['color-contrast', 'label']);
  await page.close();
});

test('dark where that is wished', async () => {
  const brightness = async colorScheme => {
    const page = await open(browser, fleet.url, {colorScheme});
    const channels = await page.evaluate(() => [getComputedStyle(document.body).backgroundColor,
      getComputedStyle(document.body).color]);
    await page.close();
    return channels.map(color => Number(/\d+/.exec(color)[0]));
  };
  const [lightPage, lightText] = await brightness('light'), [darkPage, darkText] = await brightness('dark');
  assert.ok(lightPage > 200 && lightText < 60 && darkPage < 60 && darkText > 200);
});

test('a phone shows all of it without scrolling sideways', async () => {
  const page = await open(browser, fleet.url, {viewport: {width: 390, height: 844}, isMobile: true, hasTouch: true});
  await row(page, 'gpu-lisbon').waitFor();
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.equal(await overflow(), 0);
  const table = page.locator('#workers');
  assert.equal(await table.evaluate(view => view.scrollWidth - view.clientWidth), 0, 'nor the table');
  const gpu = row(page, 'gpu-lisbon');
  for (const part of ['.id', '.status', '.load', '.lastHeartbeat', '.hardware'])
    assert.ok(await gpu.locator('.cell' + part).isVisible(), part);
  await page.getByLabel('Sort by').selectOption('load');
  await waitUntil(async () => (await page.locator('#workers-body [role=row] .cell.id').first().textContent()) === 'notes-porto',
    'the busiest comes first');
  await row(page, 'rag-berlin').getByRole('link').click();
  await page.getByRole('button', {name: 'Remove'}).waitFor();
  assert.equal(await overflow(), 0);
  await page.getByRole('button', {name: 'Remove'}).click();
  assert.equal(await overflow(), 0);
  const dialog = await page.getByRole('dialog').boundingBox();
  assert.ok(dialog.x >= 0 && dialog.x + dialog.width <= 390);
  await page.close();
});

test('long and hostile words of a worker neither widen the page nor turn its own words around', async () => {
  const services = [{name: 's'.repeat(128), port: 1}];
  await fleet.register('hostile', {gpu_type: 'GPU \u202e turned', gpu_memory: '24GB'}, {services});
  await fleet.beat('hostile', {status: 'w'.repeat(20) + '\u202e' + 'w'.repeat(40)});
  const page = await open(browser, fleet.url + '#/worker/hostile', {viewport: {width: 390, height: 844}});
  await page.getByRole('button', {name: 'Remove'}).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth), 0);
  const words = await page.locator('main').innerText();
  assert.ok(words.includes('GPU \ufffd turned') && words.includes('w\ufffdw') && !words.includes('\u202e'), words);
  await fleet.send('DELETE', 'api/worker/unregister/hostile');
  await page.close();
});

test('it works behind a path prefix, and asks nobody else', async () => {
  const proxy = await Proxy.start(fleet, '/fleet');
  for (const address of [proxy.url, proxy.url + 'dashboard']) {
    const page = await open(browser, address);
    await row(page, 'rag-oslo').waitFor();
    await row(page, 'rag-oslo').getByRole('link').click();
    await page.getByRole('heading', {name: 'rag-oslo'}).waitFor();
    await page.getByRole('button', {name: 'Drain', exact: true}).click();
    await page.locator('#ask-confirm').click();
    await waitUntil(async () => await page.locator('#ask-result').textContent() === 'Worker rag-oslo takes no new work',
      'it is drained');
    await fleet.post('/api/worker/rag-oslo/undrain');
    await page.locator('#ask-cancel').click();
    assert.deepEqual([...page.requested], [new URL(proxy.url).origin]);
    await page.getByRole('link', {name: 'API'}).click();
    await page.getByRole('heading', {name: /RMA Distributed Coordinator/}).waitFor();
    assert.equal(page.url(), proxy.url + 'docs');
    assert.deepEqual(page.faults, []);
    await page.close();
  }
  await proxy.stop();
});

test('the browser gets it compressed, and once', async () => {
  const page = await open(browser, fleet.url);
  const again = await page.evaluate(async () => {
    const answer = await fetch('dashboard', {cache: 'no-cache'});
    return [answer.status, answer.headers.get('ETag'), answer.headers.get('Content-Encoding')];
  });
  assert.deepEqual([again[0], again[2]], [200, 'gzip']);
  const answer = await fetch(fleet.url + 'dashboard', {headers: {'Accept-Encoding': 'gzip', 'If-None-Match': again[1]}});
  assert.equal(answer.status, 304);
  await page.close();
});
