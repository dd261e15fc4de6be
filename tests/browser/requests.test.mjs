// Requests that are passed on to workers, by service and by worker: those in flight, and rates.

import assert from 'node:assert/strict';
import http from 'node:http';
import {after, before, test} from 'node:test';
import {barriers, launch, open, row} from './lib/browser.mjs';
import {Fleet, SERVICE, waitUntil} from './lib/fleet.mjs';
import {Proxy} from './lib/proxy.mjs';

let browser, fleet, held;
const worker = http.createServer((request, response) => held.push(response)); // answers when it is told to
before(async () => {
  [browser, fleet] = await Promise.all([launch(), Fleet.start({settings: {UPSTREAM_ALLOW: '127.0.0.0/8'}}),
    new Promise(resolve => worker.listen(0, '127.0.0.1', resolve))]);
  const url = `http://127.0.0.1:${worker.address().port}`;
  await fleet.register('w', SERVICE, {services: [{name: 'rag', service_url: url}, {name: 'own', service_url: url}]});
});
after(() => Promise.all([browser.close(), fleet.stop(), new Promise(resolve => worker.close(resolve))]));

const shown = (locator, words) => waitUntil(async () => await locator.textContent() === words, `${words} is shown`);
const letPass = (...pages) => Promise.all(pages.map(page => page.clock.fastForward(5500))); // until they read again

// What the table of services says of one: [in flight, requests a minute].
async function ofService(page, service) {
  const line = page.locator('#services tr').filter({has: page.getByRole('rowheader', {name: service, exact: true})});
  return (await line.locator('td').allTextContents()).slice(2);
}

function figure(page, title) {
  return page.locator('#worker .figure').filter({has: page.getByText(title, {exact: true})}).locator('dd');
}

// Sends requests that the worker holds; end() answers them, and returns what the clients got.
async function hold(service, number) {
  held = [];
  const answers = Array.from({length: number}, () => fleet.get(`/service/${service}/x`));
  await waitUntil(() => held.length === number, 'the worker has them');
  return {end: () => {
    for (const response of held) response.end('{}');
    return Promise.all(answers);
  }};
}

test('requests in flight and rates are seen by service and by worker', async () => {
  const [page, workerPage] = await Promise.all(
    [open(browser, fleet.url, {clock: true}), open(browser, fleet.url + '#/worker/w', {clock: true})]);
  await row(page, 'w').waitFor();
  const NONE = ['–', '0']; // rates of one reading, and of the second one, which a busy machine may have had by now
  await waitUntil(async () => { const [inFlight, rate] = await ofService(page, 'rag');
    return inFlight === '0' && NONE.includes(rate); }, 'nothing is in flight');
  await shown(figure(workerPage, 'In flight'), '0');
  assert.ok(NONE.includes(await figure(workerPage, 'Requests/min').textContent()));
  const requests = await hold('rag', 3);
  await letPass(page, workerPage);
  await waitUntil(async () => (await ofService(page, 'rag')).join() === '3,0', 'three are in flight, and none has ended');
  await shown(figure(workerPage, 'In flight'), '3');
  await shown(figure(workerPage, 'Requests/min'), '0');
  assert.equal(await figure(workerPage, 'Served').textContent(), '0');
  assert.deepEqual((await requests.end()).map(({status}) => status), [200, 200, 200]);
  await waitUntil(async () => (await fleet.get('/api/worker/w')).json.requests_served === 3, 'they are counted');
  await letPass(page, workerPage);
  await waitUntil(async () => { const [inFlight, rate] = await ofService(page, 'rag');
    return inFlight === '0' && Number(rate) > 1 && Number(rate) < 30; }, 'they have ended, and make a rate');
  await shown(figure(workerPage, 'Served'), '3');
  await shown(figure(workerPage, 'In flight'), '0');
  const rate = Number(await figure(workerPage, 'Requests/min').textContent());
  assert.ok(rate > 1 && rate < 30, `${rate} a minute`);
  assert.deepEqual(await ofService(page, 'own'), ['0', '0'], 'nothing of another service');
  for (const each of [page, workerPage]) {
    await each.getByText('Requests of services that are spread at random are not counted.').filter({visible: true}).waitFor();
    assert.deepEqual(await barriers(each), []);
    assert.deepEqual(each.faults, []);
    await each.close();
  }
});

test('what can’t be read is not shown, and the rest of the page stands', async () => {
  const proxy = await Proxy.start(fleet), requests = await hold('own', 1);
  const page = await open(browser, proxy.url, {clock: true});
  await waitUntil(async () => (await ofService(page, 'own'))[0] === '1', 'one is in flight');
  proxy.refuse('/api/route/requests', 504, '<b>late</b>');
  await letPass(page);
  await waitUntil(async () => (await ofService(page, 'own')).join() === '–,–', 'nobody knows how many are');
  await row(page, 'w').waitFor();
  assert.equal(await page.locator('#banner').isVisible(), false);
  proxy.allow('/api/route/requests');
  await requests.end();
  await letPass(page);
  await waitUntil(async () => (await ofService(page, 'own'))[0] === '0', 'it is known again');
  await page.getByRole('link', {name: 'Work'}).click();
  await page.getByRole('heading', {name: 'Work'}).waitFor();
  const times = path => proxy.requests.filter(({url}) => url.startsWith(path)).length;
  await waitUntil(() => times('/api/queues') > 0, 'another page is read');
  const asked = times('/api/route/requests'), first = times('/api/queues');
  await letPass(page);
  await waitUntil(() => times('/api/queues') > first, 'it is read again');
  assert.equal(times('/api/route/requests'), asked, 'they are read while the table is seen');
  assert.deepEqual(page.faults, []);
  await page.close();
  await proxy.stop();
});

test('a phone shows them without scrolling sideways', async () => {
  const page = await open(browser, fleet.url, {viewport: {width: 390, height: 844}, isMobile: true, hasTouch: true});
  await waitUntil(async () => (await ofService(page, 'rag'))[0] === '0', 'they are read');
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth), 0);
  const fits = await page.locator('table.services').evaluate(table => table.scrollWidth <= table.parentNode.clientWidth);
  assert.ok(fits, 'nor the card');
  await page.close();
});
