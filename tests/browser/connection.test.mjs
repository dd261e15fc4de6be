// How the page keeps up, and what it says when it can't.

import assert from 'node:assert/strict';
import {after, before, describe, test} from 'node:test';
import {launch, live, open, row} from './lib/browser.mjs';
import {Fleet, waitUntil} from './lib/fleet.mjs';
import {Proxy} from './lib/proxy.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

// A fleet with a worker w, and a proxy in front of it.
async function start(t, options) {
  const fleet = await Fleet.start(options), proxy = await Proxy.start(fleet);
  t.after(async () => {
    await proxy.stop();
    await fleet.stop();
  });
  await fleet.register('w');
  return {fleet, proxy};
}

const said = page => page.locator('#connection').textContent();
const saidToBe = (page, words) => waitUntil(async () => await said(page) === words, `it says: ${words}`);
const load = (page, id) => row(page, id).locator('.cell.load').textContent();

// Most of their time they wait: at once, then.
describe('the connection', {concurrency: true}, () => {
  test('a lost connection is said, and it comes back by itself', async t => {
    const {fleet} = await start(t, {restarts: true});
    const page = await open(browser, fleet.url);
    await row(page, 'w').waitFor();
    assert.equal(await page.locator('#banner').isVisible(), false);
    await fleet.kill();
    await saidToBe(page, 'Connection lost');
    assert.match(await page.locator('#banner').textContent(),
      /^Connection lost\. The coordinator can’t be reached\. What you see is from [\d:]+\. /);
    await fleet.startCoordinator();
    await fleet.register('after');
    await row(page, 'after').waitFor();
    await waitUntil(async () => await said(page) !== 'Connection lost', 'it says so no more');
    assert.equal(await page.locator('#banner').isVisible(), false);
    assert.deepEqual(page.faults, []);
    await page.close();
  });

  test('a stream that is cut begins again', async t => {
    const {fleet, proxy} = await start(t);
    const page = await open(browser, proxy.url);
    await saidToBe(page, 'Live');
    const asked = path => proxy.requests.filter(({url}) => url.startsWith(path)).length;
    const streams = asked('/api/events'), lists = asked('/api/admin/workers');
    proxy.cut();
    await waitUntil(() => asked('/api/events') > streams, 'the browser asks for a stream again');
    await waitUntil(() => asked('/api/admin/workers') > lists, 'the page reads the list again');
    await saidToBe(page, 'Live');
    await fleet.beat('w', {current_load: 0.42});
    await waitUntil(async () => await load(page, 'w') === '42 %', 'a heartbeat comes through');
    await page.close();
  });

  test('ages stand still while nothing is known', async t => {
    const {fleet} = await start(t);
    const page = await open(browser, fleet.url);
    await row(page, 'w').waitFor();
    await fleet.kill();
    await saidToBe(page, 'Connection lost');
    const age = () => row(page, 'w').locator('.cell.lastHeartbeat').textContent();
    const ticks = page.evaluate(() => new Promise(resolve => setTimeout(resolve, 2200))); // two of its ticks
    const before = await age();
    await ticks;
    assert.equal(await age(), before);
    await page.close();
  });

  test('a worker that is removed while the page asks for it does not come back', async t => {
    const {fleet, proxy} = await start(t);
    const page = await open(browser, proxy.url);
    await live(page);
    let answer; // it was made before, and comes afterwards
    proxy.answers.set('/api/worker/brief', async (request, response) => {
      const {json} = await fleet.get('/api/worker/brief');
      answer = () => response.writeHead(200, {'Content-Type': 'application/json'}).end(JSON.stringify(json));
    });
    await fleet.register('brief');
    await waitUntil(() => answer, 'it is asked for');
    await fleet.send('DELETE', '/api/worker/unregister/brief');
    await page.locator('#events').getByText('brief was removed').waitFor();
    const arrived = page.waitForResponse(response => response.url().endsWith('/api/worker/brief'));
    answer();
    await (await arrived).finished();
    await fleet.register('after');
    await row(page, 'after').waitFor();
    assert.equal(await row(page, 'brief').count(), 0);
    await page.close();
  });

  test('without a stream of events it asks, and says so', async t => {
    const {fleet, proxy} = await start(t);
    proxy.refuse('/api/events', 404, 'There is no such path.');
    const page = await open(browser, proxy.url);
    await row(page, 'w').waitFor();
    await saidToBe(page, 'Asking every 5 s');
    await fleet.beat('w', {current_load: 0.42});
    await fleet.register('second');
    await row(page, 'second').waitFor();
    await waitUntil(async () => await load(page, 'w') === '42 %', 'a heartbeat is seen');
    await page.close();
  });

  test('a stream that says nothing is not waited for', async t => {
    const {proxy} = await start(t);
    proxy.answers.set('/api/events', (request, response) => response.writeHead(200, {'Content-Type': 'text/event-stream'})
      .flushHeaders());
    const page = await open(browser, proxy.url);
    await row(page, 'w').waitFor();
    await saidToBe(page, 'Asking every 5 s');
    await page.close();
  });

  test('Redis away is no lost coordinator: its own words are shown', async t => {
    const {fleet, proxy} = await start(t);
    proxy.refuse('/api/events', 503, 'There are too many streams.');
    const page = await open(browser, proxy.url);
    await row(page, 'w').waitFor();
    fleet.redis.kill('SIGKILL');
    await saidToBe(page, 'Connection lost');
    const {detail} = (await fleet.get('/api/admin/stats')).json;
    await waitUntil(async () => (await page.locator('#banner').textContent()).includes(detail), 'the reason is shown');
    await fleet.startRedis();
    await saidToBe(page, 'Asking every 5 s');
    await page.close();
  });

  test('a stream that tells that Redis is away is believed, and goes on when it is back', async t => {
    const {fleet, proxy} = await start(t);
    const page = await open(browser, proxy.url);
    await saidToBe(page, 'Live');
    fleet.redis.kill('SIGKILL');
    await saidToBe(page, 'Connection lost');
    assert.match(await page.locator('#banner').textContent(), /Redis/);
    await fleet.startRedis();
    await saidToBe(page, 'Live');
    await fleet.register('after');
    await row(page, 'after').waitFor();
    assert.equal(await page.locator('#banner').isVisible(), false);
    assert.deepEqual(page.faults, []);
    await page.close();
  });

  test('answers that are no coordinator’s break nothing', async t => {
    const {proxy} = await start(t);
    proxy.refuse('/api/events', 404, '');
    proxy.answers.set('/api/admin/stats', (request, response) => response.writeHead(200, {'Content-Type': 'text/html'})
      .end('<h1>Sign in</h1>'));
    const page = await open(browser, proxy.url);
    await waitUntil(async () => (await page.locator('#banner').textContent()).includes('The answer (200) is not a coordinator’s.'),
      'it says so');
    proxy.allow('/api/admin/stats');
    await saidToBe(page, 'Asking every 5 s');
    assert.deepEqual(page.faults, []);
    await page.close();
  });
});
