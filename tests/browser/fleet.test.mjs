// What the page shows of a fleet.

import assert from 'node:assert/strict';
import {after, afterEach, before, test} from 'node:test';
import {comes, launch, live, open, row, rows} from './lib/browser.mjs';
import {Fleet, registerSeven, SERVICE, waitUntil} from './lib/fleet.mjs';
import {Proxy} from './lib/proxy.mjs';

let browser, fleet;
before(async () => { browser = await launch(); });
after(() => browser.close());
afterEach(() => fleet.stop());

const title = page => page.locator('#health-title').textContent();
const reasons = page => page.locator('#health-reasons').textContent();
const counted = page => page.locator('#workers-count').textContent();
const ids = page => rows(page).locator('.cell.id').allTextContents();

// The totals by their titles.
function figures(page) {
  return page.locator('#figures .figure').evaluateAll(all => Object.fromEntries(all.map(each =>
    [each.querySelector('dt').textContent, each.querySelector('dd').firstChild.textContent])));
}

function serviceStates(page) {
  return page.locator('#services tr').evaluateAll(all =>
    Object.fromEntries(all.map(each => [each.cells[0].textContent, each.cells[1].textContent + ' ' + each.cells[2].textContent])));
}

test('an empty fleet says how to begin, and its first worker appears', async () => {
  fleet = await Fleet.start();
  const page = await open(browser, fleet.url);
  await waitUntil(async () => await title(page) === 'The fleet is empty', 'it is empty');
  const command = await page.locator('#welcome-command').textContent();
  assert.ok(command.startsWith(`curl ${fleet.url}api/worker/register `), command);
  assert.equal(await page.locator('#workers-none').textContent(), 'No workers yet.');
  const body = /-d '(.*)'/.exec(command)[1];
  await fleet.post('/api/worker/register', JSON.parse(body));
  await row(page, 'my-worker').waitFor();
  await waitUntil(async () => !await page.locator('#welcome').isVisible(), 'the welcome is gone');
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('seven workers are seen at a glance', async () => {
  fleet = await Fleet.start();
  await registerSeven(fleet);
  const page = await open(browser, fleet.url);
  await waitUntil(async () => await counted(page) === '7 workers', 'all are there');
  await comes(() => figures(page),
    {Workers: '7', Healthy: '4', Degraded: '1', Draining: '1', Offline: '1', Load: '40 %', 'Tasks completed': '0'});
  await comes(() => title(page), 'The fleet is well');
  await comes(() => reasons(page), '6 of 7 workers live. 1 worker is offline. 1 worker is degraded.');
  await comes(() => page.locator('#tiers tr').evaluateAll(all => all.map(each => each.innerText.replace(/\s+/g, ' '))),
    ['GPU 1 71 %', 'Service 4 40 %', 'Data 1 8 %', 'Edge 1 0 %']);
  const gpu = row(page, 'gpu-lisbon');
  assert.equal(await gpu.locator('.cell.hardware').textContent(), 'RTX 4090 24 GB · 16 cores · 62.7 GB');
  assert.equal(await gpu.locator('.cell.load').textContent(), '71 %');
  assert.equal(await gpu.locator('.fill').evaluate(fill => fill.style.width), '71%');
  assert.match(await gpu.locator('.cell.lastHeartbeat').textContent(), /^\d+ s ago$/);
  assert.equal(await row(page, 'edge-madrid').locator('.cell.status').textContent(), 'Offline');
  assert.equal(await row(page, 'edge-madrid').locator('.cell.load').textContent(), '–', 'an offline worker bears no load');
  const {gaps} = (await fleet.get('/api/admin/gaps')).json;
  await comes(() => serviceStates(page), Object.fromEntries(gaps.map(({service, current_workers: workers, status}) =>
    [service, `${workers} ${{critical: 'Missing', warning: 'Only one', ok: 'Covered'}[status]}`])));
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('a worker that falls silent goes offline before one’s eyes, and is removed', async () => {
  fleet = await Fleet.start({clock: true});
  await fleet.register('silent');
  await fleet.register('steady');
  const page = await open(browser, fleet.url);
  await waitUntil(async () => await counted(page) === '2 workers', 'both are there');
  const status = id => row(page, id).locator('.cell.status').textContent();
  assert.equal(await status('silent'), 'Healthy');
  fleet.moveClock(240); // a minute is left for all of it
  const age = id => row(page, id).locator('.cell.lastHeartbeat').textContent();
  // and is listened to again
  await waitUntil(async () => /^[4-9] min/.test(await age('steady')), 'the stream goes on after the leap');
  await fleet.beat('steady', {current_load: 0.5});
  fleet.moveClock(61);
  await waitUntil(async () => await status('silent') === 'Offline', 'silence is shown');
  await waitUntil(async () => /^[5-9] min \d+ s ago$/.test(await row(page, 'silent').locator('.cell.lastHeartbeat').textContent()),
    'its last heartbeat is that old');
  await waitUntil(async () => await row(page, 'steady').locator('.cell.load').textContent() === '50 %',
    'the other one’s heartbeat is shown');
  assert.equal(await status('steady'), 'Healthy');
  await waitUntil(async () => (await reasons(page)).startsWith('1 of 2 workers live.'), 'the head line counts');
  fleet.moveClock(1500);
  await fleet.beat('steady');
  await waitUntil(async () => (await ids(page)).join() === 'steady', 'it is removed');
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('what happens is told', async () => {
  fleet = await Fleet.start({clock: true});
  const page = await open(browser, fleet.url);
  await live(page);
  assert.equal(await page.locator('#events-none').textContent(), 'Nothing has happened since you opened this page.');
  await fleet.register('w');
  await fleet.post('/api/worker/w/drain');
  await fleet.post('/api/worker/w/undrain');
  await fleet.beat('w', {status: 'degraded'});
  fleet.moveClock(301);
  const told = () => page.locator('#events .what').allTextContents();
  await waitUntil(async () => (await told())[0] === 'w went offline: no heartbeat', 'its silence is told');
  await fleet.beat('w');
  await waitUntil(async () => (await told())[0] === 'w is back online', 'its return is told');
  await fleet.send('DELETE', '/api/worker/unregister/w');
  await waitUntil(async () => (await told()).length === 7, 'its end is told');
  assert.deepEqual(await told(), ['w was removed', 'w is back online', 'w went offline: no heartbeat',
    'w reports that it is degraded',
    'w takes work again', 'w is drained: it gets no new work', 'w registered']);
  await waitUntil(async () => await title(page) === 'The fleet is empty', 'the totals follow');
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('the load of the last hour is plotted', async () => {
  fleet = await Fleet.start();
  await fleet.register('w');
  await fleet.beat('w', {current_load: 0.3});
  // an hour that nobody has waited for: with a peak, and five minutes without a coordinator
  const proxy = await Proxy.start(fleet), minute = 60000, start = Date.now() - 54.5 * minute;
  const points = Array.from({length: 55}, // five minutes less: while one looks, the first ones would leave the plot
    (_, n) => ({time: new Date(start + n * minute).toISOString(), live_workers: n, average_load: n === 20 ? 0.5 : 0.1}))
    .filter((_, n) => n < 30 || n >= 35);
  proxy.answers.set('/api/admin/history', (request, response) =>
    response.writeHead(200, {'Content-Type': 'application/json'}).end(JSON.stringify({interval_seconds: 60, points})));
  const page = await open(browser, proxy.url), svg = page.locator('#load-plot svg');
  await waitUntil(async () =>
    await svg.getAttribute('aria-label') === 'Average load over the last hour: now 30 %, lowest 10 %, highest 50 %.',
    'the plot has it');
  await live(page);
  assert.equal(await svg.locator('.line').count(), 2, 'the line is broken where nobody measured');
  const words = await svg.locator('text').allTextContents();
  assert.deepEqual(words.filter(word => word.endsWith('%')), ['0 %', '15 %', '30 %', '45 %', '60 %']);
  assert.ok(words.filter(word => /^\d\d:\d0$/.test(word)).length >= 5, 'every ten minutes have their time');
  const heights = await svg.locator('.line').first()
    .evaluate(line => line.getAttribute('d').slice(1).split('L').map(each => Number(each.split(' ')[1])));
  assert.equal(heights.indexOf(Math.min(...heights)), 20, 'the peak is where it was');
  await svg.hover({position: {x: 60, y: 50}});
  const pointedAt = /^\d\d:\d\d {2}· {2}10 % {2}· {2}\d live workers?$/, readout = page.locator('#load-plot .readout');
  assert.match(await readout.textContent(), pointedAt);
  points[25].average_load = 0.05;
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange'))); // it reads all again
  await svg.and(page.getByRole('img', {name: 'lowest 5 %'})).waitFor();
  assert.match(await readout.textContent(), pointedAt, 'it stays when the plot is drawn anew');
  await page.mouse.move(5, 5);
  assert.equal(await readout.textContent(), '');
  await page.close();
  await proxy.stop();
});

test('ages tick', async () => {
  fleet = await Fleet.start();
  await fleet.register('w');
  const page = await open(browser, fleet.url);
  const age = async () => parseInt(await row(page, 'w').locator('.cell.lastHeartbeat').textContent(), 10);
  await row(page, 'w').waitFor();
  const first = await age();
  await waitUntil(async () => await age() >= first + 2, 'two seconds are counted');
  await page.close();
});

test('a service that is not well is marked', async () => {
  fleet = await Fleet.start();
  await fleet.register('w', SERVICE, {services: [{name: 'ocr', port: 9}], containers: [{name: 'own', port: 7}, {}]});
  await fleet.beat('w', {services_status: {ocr: {status: 'down'}, own: 'running'}});
  const page = await open(browser, fleet.url);
  await row(page, 'w').waitFor();
  assert.equal(await row(page, 'w').locator('.cell.services').textContent(), 'ocr (not well), own, rag');
  await page.getByRole('link', {name: 'w', exact: true}).click();
  const state = name => page.getByRole('rowheader', {name, exact: true}).locator('xpath=..').locator('td').nth(1).textContent();
  await page.getByRole('heading', {name: 'Services', exact: true}).waitFor();
  assert.equal(await state('ocr'), 'not well: not given out ({"status":"down"})');
  assert.equal(await state('own'), 'running');
  await page.close();
});

test('what workers say is shown as text', async () => {
  fleet = await Fleet.start();
  const bad = n => `<script>window.broken=${n}</script><img src=x onerror="window.broken=${n}">`;
  await fleet.register('hostile', {...SERVICE, gpu_type: bad(1), [bad(2)]: bad(3), nested: {deep: [bad(4)]}},
    {tunnel_url: `javascript:${bad(5)}`, ip_address: bad(6), services: [{name: 'ocr', version: bad(7), health: bad(8)}]});
  await fleet.beat('hostile', {specialization: bad(9), loaded_models: [bad(10)], services_status: {ocr: bad(11)},
    available_memory: bad(12).slice(0, 64)});
  const page = await open(browser, fleet.url);
  await row(page, 'hostile').waitFor();
  assert.ok((await row(page, 'hostile').locator('.cell.hardware').textContent()).includes(bad(1)));
  await page.getByRole('link', {name: 'hostile', exact: true}).click();
  await page.getByRole('heading', {name: 'hostile', exact: true}).waitFor();
  await page.getByRole('heading', {name: 'Hardware'}).waitFor();
  const shown = await page.locator('#worker').textContent();
  assert.ok(!shown.includes(bad(5)) && !shown.includes(bad(6)), 'what is no address is left out');
  for (const n of [1, 3, 4, 7, 9, 10, 11])
    assert.ok(shown.includes(n === 4 ? JSON.stringify(bad(n)) : bad(n)), `${n} is shown as text`);
  assert.equal(await page.locator('#worker script, #worker img, #worker a[href^=javascript]').count(), 0);
  assert.equal(await page.evaluate(() => window.broken), undefined);
  assert.deepEqual(page.faults, []);
  await page.goto(fleet.url + '#/worker/' + encodeURIComponent('<script>window.broken=13</script>'));
  await waitUntil(async () => (await page.locator('#worker').textContent()).includes('<script>window.broken=13</script>'),
    'an address is text, too');
  assert.equal(await page.evaluate(() => window.broken), undefined);
  await page.close();
});

test('the table filters and sorts by every column', async () => {
  fleet = await Fleet.start();
  await registerSeven(fleet);
  const page = await open(browser, fleet.url);
  await waitUntil(async () => await counted(page) === '7 workers', 'all are there');
  const filter = async (name, value) => page.getByLabel(name, {exact: true})[name === 'Text' ? 'fill' : 'selectOption'](value);
  for (const [name, value, expected] of [
    ['Text', 'RTX', ['gpu-lisbon']], ['Text', 'rag 31.3', ['rag-oslo']], ['Text', 'nothing like it', []], ['Text', '', null],
    ['Status', 'degraded', ['notes-porto']], ['Status', '', null], ['Tier', '3', ['store-lyon']], ['Tier', '', null],
    ['Service', 'postgres', ['store-lyon']], ['Service', '', null]]) {
    await filter(name, value);
    const all = ['edge-madrid', 'gpu-lisbon', 'ner-vienna', 'notes-porto', 'rag-berlin', 'rag-oslo', 'store-lyon'];
    await waitUntil(async () => (await ids(page)).join() === (expected || all).join(), `${name} ${value} gives ${expected}`);
  }
  await filter('Text', 'nothing like it');
  assert.equal(await counted(page), '0 of 7 workers');
  assert.equal(await page.locator('#workers-none').textContent(), 'No worker matches.');
  await filter('Text', '');

  for (const [heading, first, last] of [
    ['Status', 'gpu-lisbon', 'edge-madrid'], ['Tier', 'gpu-lisbon', 'edge-madrid'], ['Services', null, null],
    ['Load', 'notes-porto', 'edge-madrid'],
    ['Last heartbeat', 'edge-madrid', 'gpu-lisbon'], ['Hardware', 'edge-madrid', 'gpu-lisbon'], ['Tasks', null, null],
    ['Worker', 'edge-madrid', 'store-lyon']]) {
    const column = page.locator('#workers').getByRole('columnheader', {name: heading, exact: true});
    await column.getByRole('button').click();
    const order = await ids(page), sorted = await column.getAttribute('aria-sort');
    assert.ok(['ascending', 'descending'].includes(sorted), heading);
    assert.equal(await page.locator('[aria-sort=ascending], [aria-sort=descending]').count(), 1);
    if (first) assert.deepEqual([order[0], order.at(-1)], [first, last], heading);
    await column.getByRole('button').click();
    assert.notEqual(await column.getAttribute('aria-sort'), sorted, 'once more turns it round');
    if (last) assert.equal((await ids(page))[0], last, heading);
  }
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('one worker’s page follows its worker', async () => {
  fleet = await Fleet.start();
  await fleet.register('w');
  await fleet.beat('w', {current_load: 0.1, active_requests: 3});
  const page = await open(browser, fleet.url + '#/worker/w');
  const text = () => page.locator('#worker').innerText();
  await waitUntil(async () => (await text()).includes('466.0GB'), 'its hardware is shown');
  assert.equal(await page.title(), 'w – RMA Coordinator');
  assert.match(await text(), /Active requests\s+3/);
  await fleet.beat('w', {current_load: 0.87, status: 'degraded'});
  await waitUntil(async () => /Degraded[^]*87 %/.test(await text()), 'the next heartbeat is shown');
  await page.getByRole('link', {name: '← Fleet'}).click();
  await row(page, 'w').waitFor();
  await page.goto(fleet.url + '#/worker/nobody');
  await waitUntil(async () => (await text()).includes('There is no such worker'), 'it says that there is none');
  await page.close();
});

test('two machines that use one id are marked', async () => {
  fleet = await Fleet.start();
  const page = await open(browser, fleet.url);
  await live(page);
  for (const boot of ['one', 'two', 'one']) await fleet.register('w', SERVICE, {boot_id: boot});
  await row(page, 'w').waitFor();
  await row(page, 'w').getByRole('img', {name: 'Two machines use this id in turn'}).waitFor();
  await waitUntil(async () => (await page.locator('#events').textContent()).includes('w is used by two machines in turn'),
    'it is told');
  await page.goto(fleet.url + '#/worker/w');
  await waitUntil(async () => (await page.locator('#worker').textContent()).includes('two machines use this id in turn'),
    'its page says so');
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('a worker that fails at tasks which others complete is marked', async () => {
  fleet = await Fleet.start();
  await fleet.register('bad');
  await fleet.register('good');
  const page = await open(browser, fleet.url);
  await live(page);
  for (let number = 0; number < 5; number++) await fleet.send('POST', '/api/tasks', {type: 'work'});
  const end = (worker, how, task, more) => fleet.post(`/api/worker/task-${how}`,
    {worker_id: worker, task_id: task.task_id, lease: task.lease, ...more});
  for (const task of (await fleet.get('/api/worker/tasks?worker_id=bad&max=5')).json.tasks)
    await end('bad', 'fail', task, {error: 'no', retry_after: 0});
  const done = new Set();
  await waitUntil(async () => {
    for (const task of (await fleet.get('/api/worker/tasks?worker_id=good&max=5')).json.tasks) {
      await end('good', 'complete', task, {result: 1});
      done.add(task.task_id);
    }
    return done.size === 5;
  }, 'the other one completes them');
  await row(page, 'bad').getByRole('img', {name: 'Others completed tasks at which it failed'}).waitFor();
  assert.equal(await row(page, 'good').getByRole('img').count(), 0);
  await waitUntil(async () => (await page.locator('#events').textContent()).includes('bad failed at tasks that others completed'),
    'it is told');
  await page.reload();
  await row(page, 'bad').getByRole('img', {name: 'Others completed tasks at which it failed'}).waitFor();
  await page.goto(fleet.url + '#/worker/bad');
  await waitUntil(async () => (await page.locator('#worker').textContent()).includes('others completed tasks at which it failed'),
    'its page says so');
  assert.deepEqual(page.faults, []);
  await page.close();
});
