// Many tabs of one browser, which has six connections to a coordinator.

import assert from 'node:assert/strict';
import {after, before, describe, test} from 'node:test';
import {launch, row} from './lib/browser.mjs';
import {Fleet, waitUntil} from './lib/fleet.mjs';
import {Proxy} from './lib/proxy.mjs';

const TABS = 8;

let browser;
// a name that is not the browser's own machine: what exists in secure contexts alone is not there
before(async () => { browser = await launch(['--host-resolver-rules=MAP fleet.test 127.0.0.1']); });
after(() => browser.close());

// A fleet with a worker w behind a proxy that counts streams, and tabs that all see it.
async function start(t, {count = TABS, host = 'fleet.test'} = {}) {
  const fleet = await Fleet.start(), proxy = await Proxy.start(fleet), context = await browser.newContext();
  t.after(async () => {
    await context.close();
    await proxy.stop();
    await fleet.stop();
  });
  await fleet.register('w');
  const url = proxy.url.replace('127.0.0.1', host), tabs = [];
  const open = async () => {
    const tab = await context.newPage();
    tab.setDefaultTimeout(30000);
    tab.faults = [];
    tab.on('pageerror', error => tab.faults.push(String(error)));
    await tab.goto(url, {waitUntil: 'commit'});
    return tab;
  };
  for (let i = 0; i < count; i++) tabs.push(await open());
  return {fleet, proxy, context, tabs, open, url};
}

// The streams that are open, by the way of the proxy.
const streams = proxy => proxy.requests.filter(({url, closedAt, socket}) => url.startsWith('/api/events') && !closedAt
  && !socket.destroyed);
const allStreams = proxy => proxy.requests.filter(({url}) => url.startsWith('/api/events'));
const said = tab => tab.locator('#connection').textContent();
const live = tab => waitUntil(async () => await said(tab) === 'Live', 'a tab is live');
const oneStream = proxy => waitUntil(() => streams(proxy).length === 1, `there is one stream, not ${streams(proxy).length}`);
const told = tab => tab.locator('#events li .what').allTextContents();
const toldOf = (tab, id) => waitUntil(async () => (await told(tab)).some(line => line.startsWith(id + ' ')),
  `a tab was told of ${id}`);

// Which tab has the stream.
async function leaderOf(tabs) {
  for (const tab of tabs)
    if (await tab.evaluate(() => window.ownStreams > 0)) return tab;
  return null;
}

// Lets each tab count the streams that it has.
const COUNT_STREAMS = () => {
  window.ownStreams = 0;
  const Own = window.EventSource;
  window.EventSource = class extends Own {
    constructor(...args) {
      super(...args);
      window.ownStreams++;
    }
    close() {
      if (this.readyState !== Own.CLOSED) window.ownStreams--;
      super.close();
    }
  };
};

// Shows or hides a tab, as switching to another one does; a headless browser shows all.
function setHidden(tab, hidden) {
  return tab.evaluate(value => {
    Object.defineProperty(document, 'hidden', {configurable: true, get: () => value});
    Object.defineProperty(document, 'visibilityState', {configurable: true, get: () => value ? 'hidden' : 'visible'});
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
}

describe('tabs', {concurrency: 2}, () => {
  for (const host of ['fleet.test', '127.0.0.1']) test(`eight tabs share a stream, and all of them work, at ${host}`, async t => {
    const {fleet, proxy, tabs} = await start(t, {host});
    assert.equal(await tabs[0].evaluate(() => isSecureContext), host === '127.0.0.1');
    for (const tab of tabs) {
      await row(tab, 'w').waitFor();
      await live(tab);
    }
    await oneStream(proxy);
    await fleet.register('second');
    for (const tab of tabs) await row(tab, 'second').waitFor();
    await fleet.beat('w', {current_load: 0.42});
    for (const tab of tabs) await waitUntil(async () => await row(tab, 'w').locator('.cell.load').textContent() === '42 %',
      'each sees a heartbeat');
    for (const tab of tabs) assert.deepEqual(await told(tab), ['second registered']);
    for (const tab of [tabs[0], tabs[3], tabs[7]]) {
      await tab.evaluate(() => { location.hash = '#/worker/w'; });
      await tab.getByRole('button', {name: 'Drain', exact: true}).click();
      await tab.locator('#ask-confirm').click();
      await waitUntil(async () => await tab.locator('#ask-result').textContent() === 'Worker w takes no new work',
        'the button is answered');
      await tab.locator('#ask-cancel').click();
      await fleet.post('/api/worker/w/undrain');
      await tab.getByRole('button', {name: 'Drain', exact: true}).waitFor();
      assert.deepEqual(tab.faults, []);
    }
    await oneStream(proxy);
  });

  test('when the tab with the stream is closed, another goes on without a gap', async t => {
    const {fleet, proxy, context, tabs, open} = await start(t, {count: 0});
    await context.addInitScript(COUNT_STREAMS);
    for (let i = 0; i < 4; i++) tabs.push(await open());
    for (const tab of tabs) await live(tab);
    const names = [];
    while (tabs.length > 1) {
      await oneStream(proxy);
      const leader = await waitUntil(() => leaderOf(tabs), 'a tab has the stream');
      const [before, during, behind] = ['before', 'during', 'behind'].map(name => `${name}-${tabs.length}`);
      names.unshift(before, during, behind);
      await fleet.register(before);
      for (const tab of tabs) await toldOf(tab, before);
      tabs.splice(tabs.indexOf(leader), 1);
      await Promise.all([leader.close(), fleet.register(during)]);
      await fleet.register(behind);
      for (const tab of tabs) await toldOf(tab, behind);
      for (const tab of tabs) {
        const lines = await told(tab);
        assert.deepEqual(lines.toSorted(), names.map(name => name + ' registered').toSorted(), 'each event once');
        await live(tab);
      }
    }
  });

  test('a tab that hangs or crashes with the stream is replaced, and what happened meanwhile is told', async t => {
    const {fleet, proxy, context, tabs, open} = await start(t, {count: 0});
    await context.addInitScript(COUNT_STREAMS);
    for (let i = 0; i < 4; i++) tabs.push(await open());
    for (const tab of tabs) await live(tab);
    await oneStream(proxy);
    let wake; // it waits for the answer to a request, hears and says nothing, and keeps its stream
    proxy.answers.set('/hang', (request, response) => { wake = () => response.end(); });
    for (const end of [
      async leader => {
        await leader.evaluate(() => { setTimeout(() => {
          const request = new XMLHttpRequest();
          request.open('GET', '/hang', false);
          request.send();
        }, 0); });
        await waitUntil(() => wake, 'the tab hangs');
      },
      async leader => {
        const session = await context.newCDPSession(leader), crashed = leader.waitForEvent('crash');
        session.send('Page.crash').catch(() => {}); // nobody is left to answer
        await crashed;
      },
    ]) {
      const leader = await waitUntil(() => leaderOf(tabs), 'a tab has the stream');
      tabs.splice(tabs.indexOf(leader), 1);
      const streamsBefore = allStreams(proxy).length;
      await end(leader);
      await fleet.register(`gone-${tabs.length}`);
      await waitUntil(() => allStreams(proxy).length > streamsBefore, 'another tab asks for a stream');
      await fleet.register(`next-${tabs.length}`);
      for (const tab of tabs) {
        await toldOf(tab, `next-${tabs.length}`);
        assert.equal((await told(tab)).filter(line => line === `gone-${tabs.length} registered`).length, 1);
      }
    }
    await waitUntil(() => streams(proxy).length === 2, 'the one that hangs has kept its own');
    wake();
    await oneStream(proxy); // it has found out
  });

  test('a hidden tab has no stream, and shows all when it is seen again', async t => {
    const {fleet, proxy, context, tabs, open} = await start(t, {count: 0});
    await context.addInitScript(COUNT_STREAMS);
    for (let i = 0; i < 3; i++) tabs.push(await open());
    for (const tab of tabs) await live(tab);
    const leader = await waitUntil(() => leaderOf(tabs), 'a tab has the stream');
    await setHidden(leader, true);
    await waitUntil(async () => { const next = await leaderOf(tabs); return next && next !== leader; },
      'one that is seen has it now');
    await oneStream(proxy);
    for (const tab of tabs) await setHidden(tab, true);
    await waitUntil(() => streams(proxy).length === 0, 'nobody looks: there is no stream');
    const asked = []; // as a tab sends it: what it sent before may come to the proxy later
    for (const tab of tabs) tab.on('request', request => asked.push(request.url()));
    await fleet.register('unseen');
    await fleet.beat('w', {current_load: 0.42});
    await tabs[0].evaluate(() => new Promise(resolve => setTimeout(resolve, 7000))); // longer than it takes to ask again
    assert.deepEqual(asked, [], 'hidden tabs ask for nothing');
    await setHidden(tabs[0], false);
    await row(tabs[0], 'unseen').waitFor();
    await live(tabs[0]);
    await waitUntil(async () => await row(tabs[0], 'w').locator('.cell.load').textContent() === '42 %', 'it is up to date');
    await toldOf(tabs[0], 'unseen');
    assert.deepEqual(await told(tabs[0]), ['unseen registered']);
    await oneStream(proxy);
    await setHidden(tabs[1], false);
    await row(tabs[1], 'unseen').waitFor();
    await live(tabs[1]);
    await oneStream(proxy);
  });

  test('a button that gets no answer says so', async t => {
    const {proxy, context, tabs, url} = await start(t, {count: 1});
    const [tab] = tabs;
    await live(tab);
    await tab.evaluate(() => { location.hash = '#/worker/w'; });
    await tab.getByRole('button', {name: 'Drain', exact: true}).click();
    // streams of somebody else's page take all the connections that the browser has
    const other = await context.newPage();
    await other.goto(url + 'api/worker/w');
    await other.evaluate(address => { window.kept = Array.from({length: 6}, () => fetch(address)); }, url + 'api/events');
    await waitUntil(() => streams(proxy).length === 6, 'all six are taken');
    const asked = proxy.requests.length;
    await tab.locator('#ask-confirm').click();
    const result = tab.locator('#ask-result');
    await waitUntil(async () => await result.textContent() === 'Working … there is no answer yet.', 'it says that it waits');
    await waitUntil(async () => (await result.textContent()).startsWith('No answer came within 10 s.'),
      'it says that nobody answers');
    assert.equal(proxy.requests.slice(asked).some(({method}) => method === 'POST'), false);
    assert.ok(await tab.locator('#ask-confirm').isEnabled());
    await other.close();
    await tab.locator('#ask-confirm').click();
    await waitUntil(async () => await result.textContent() === 'Worker w takes no new work', 'it can be tried again');
  });

  test('an answer that comes too late for its dialog does not stand in another one', async t => {
    const {fleet, proxy, tabs} = await start(t, {count: 1});
    const [tab] = tabs;
    await fleet.register('v');
    await live(tab);
    let answer;
    proxy.answers.set('/api/worker/w/drain', (request, response) => { answer = () =>
      response.writeHead(503, {'Content-Type': 'application/json'}).end('{"detail": "late"}'); });
    await tab.evaluate(() => { location.hash = '#/worker/w'; });
    await tab.getByRole('button', {name: 'Drain', exact: true}).click();
    await tab.locator('#ask-confirm').click();
    await waitUntil(() => answer, 'it is asked');
    await tab.locator('#ask-cancel').click();
    await tab.evaluate(() => { location.hash = '#/worker/v'; });
    await tab.getByRole('heading', {name: 'v', exact: true}).waitFor();
    await tab.getByRole('button', {name: 'Remove'}).click();
    const arrived = tab.waitForResponse(response => response.url().endsWith('/api/worker/w/drain'));
    answer();
    await (await arrived).finished();
    await tab.evaluate(() => new Promise(resolve => setTimeout(resolve, 100)));
    assert.equal(await tab.locator('#ask-result').textContent(), '');
    assert.equal(await tab.locator('#ask-title').textContent(), 'Remove v?');
  });
});
