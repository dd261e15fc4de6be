// The page Work: queues, tasks, one task, and what can be done to them.

import assert from 'node:assert/strict';
import {after, afterEach, before, beforeEach, test} from 'node:test';
import {barriers, focused, launch, open, result, tabTo} from './lib/browser.mjs';
import {FakeTasks} from './lib/fake_tasks.mjs';
import {Fleet, waitUntil} from './lib/fleet.mjs';
import {Proxy} from './lib/proxy.mjs';

const NASTY = '<img src=x onerror="document.title=1"> \u202e</b>';
const SHOWN = NASTY.replace('\u202e', '\ufffd'); // it turns nothing around

let browser, fleet, proxy, fake;
before(async () => {
  [browser, fleet] = await Promise.all([launch(), Fleet.start()]);
  await fleet.register('rag-berlin');
});
after(() => Promise.all([browser.close(), fleet.stop()]));
beforeEach(async () => {
  proxy = await Proxy.start(fleet);
  fake = new FakeTasks(proxy);
});
afterEach(() => proxy.stop());

const ago = seconds => new Date(Date.now() - seconds * 1000).toISOString();
const queueRow = (page, queue) => page.locator('#queues tr').filter({has: page.getByRole('link', {name: queue, exact: true})});
const cells = async locator => (await locator.locator('th, td').allTextContents()).map(text => text.trim());
const taskRows = page => page.locator('#tasks-body [role=row]');
const shows = (locator, words) => waitUntil(async () => (await locator.textContent()).includes(words), `it shows: ${words}`);

async function end(page) {
  assert.deepEqual(page.faults, []);
  assert.deepEqual([...page.requested], [new URL(proxy.url).origin]);
  await page.close();
}

test('queues are seen with their depth, their oldest task and their rates', async () => {
  fake.queue('default', {oldest_seconds: 3725.2, totals: {enqueued: 100, completed: 40}});
  fake.queue('slow', {paused: true, limit: 3});
  for (let i = 0; i < 12; i++) fake.task(`t${i}`, {state: ['queued', 'leased', 'scheduled'][i % 3]});
  let readings = 0, goOn; // the second reading waits until one has seen what comes of the first
  const isSeen = new Promise(resolve => { goOn = resolve; }), answer = proxy.others;
  proxy.others = (...asked) => {
    if (!asked[2].startsWith('/api/queues') || readings++ === 0) return answer(...asked);
    isSeen.then(() => answer(...asked));
    return true;
  };
  const began = Date.now(), page = await open(browser, proxy.url);
  await page.getByRole('navigation', {name: 'Main'}).getByRole('link', {name: 'Work'}).click();
  await queueRow(page, 'default').waitFor();
  assert.equal(await page.title(), 'Work – RMA Coordinator');
  assert.equal(await page.getByRole('link', {name: 'Work', exact: true}).getAttribute('aria-current'), 'page');
  assert.deepEqual(await cells(queueRow(page, 'default')), ['default', '4', '4', '4', '0', '1 h 2 min', '–', '–', 'Pause']);
  assert.deepEqual(await cells(queueRow(page, 'slow')),
    ['slowpaused · at most 3 at once', '0', '0', '0', '0', '–', '–', '–', 'Resume']);
  fake.queues.get('default').totals = {enqueued: 160, completed: 70};
  goOn();
  const [news, done] = await waitUntil(async () => { const rates = (await cells(queueRow(page, 'default'))).slice(6, 8);
    return rates[0] !== '–' && rates.map(Number); }, 'its rates are known');
  assert.ok(news <= 720 && news >= 60 * 60000 / (Date.now() - began) - 1, `60 more in five seconds or more are ${news} a minute`);
  assert.ok(Math.abs(news - 2 * done) < 2, `half as many are done: ${done}`);
  fake.queues.delete('slow');
  await waitUntil(async () => await queueRow(page, 'slow').count() === 0, 'a queue that is gone is not shown');
  await queueRow(page, 'default').getByRole('link', {name: '4'}).first().click();
  await page.getByRole('heading', {name: 'Queue default'}).waitFor();
  assert.equal(new URL(page.url()).hash, '#/tasks?queue=default&state=queued');
  await waitUntil(async () => await taskRows(page).count() === 4, 'it leads to those that wait');
  await end(page);
});

test('a fleet without queues says so, one whose tasks can’t be read says why', async () => {
  const page = await open(browser, proxy.url + '#/work');
  await shows(page.locator('#queues-none'), 'There are no queues yet');
  proxy.refuse('/api/queues', 503, `Redis ${NASTY} is away.`);
  await waitUntil(async () => await page.locator('#queues-none').textContent() === `Redis ${SHOWN} is away.`,
    'the reason is shown', 15000);
  await end(page);
});

test('a queue is paused and resumed with the keyboard', async () => {
  fake.queue('default');
  fake.task('t');
  const page = await open(browser, proxy.url + '#/work');
  await queueRow(page, 'default').waitFor();
  await tabTo(page, 'Pause');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', {name: 'Pause default?'}).waitFor();
  assert.equal(await focused(page), 'Cancel');
  await tabTo(page, 'Pause');
  await page.keyboard.press('Enter');
  await result(page, 'It is paused.');
  assert.equal(fake.queues.get('default').paused, true);
  await page.keyboard.press('Enter');
  await queueRow(page, 'default').getByRole('button', {name: 'Resume default'}).waitFor();
  await queueRow(page, 'default').getByRole('link', {name: 'default', exact: true}).click();
  await shows(page.locator('#tasks-note'), 'Paused: nothing is given out · 1 waiting');
  await page.getByRole('button', {name: 'Resume', exact: true}).click();
  await page.locator('#ask-confirm').click();
  await result(page, 'Its tasks are given out again.');
  await page.locator('#ask-cancel').click();
  await page.getByRole('button', {name: 'Pause', exact: true}).waitFor();
  assert.equal(fake.queues.get('default').paused, false);
  await end(page);
});

test('tasks are filtered by the coordinator, and the address keeps the filters', async () => {
  fake.queue('default');
  for (let i = 0; i < 30; i++)
    fake.task(`t${i}`, {type: i % 2 ? 'echo' : 'sum', state: i % 3 ? 'queued' : 'dead', error: i % 3 ? null : `error ${i % 2}`,
      worker_id: i === 6 ? 'rag-berlin' : null});
  const page = await open(browser, proxy.url + '#/tasks');
  const counted = words => waitUntil(async () => await page.locator('#tasks-count').textContent() === words, words);
  await counted('30 tasks');
  await page.getByLabel('State').selectOption('Dead');
  await counted('10 tasks');
  await page.getByRole('searchbox', {name: 'Type'}).fill('sum');
  await counted('5 tasks');
  await page.getByRole('searchbox', {name: 'Error'}).fill('error 0');
  await page.getByRole('searchbox', {name: 'Worker'}).fill('rag-berlin');
  await counted('1 task');
  assert.deepEqual(await taskRows(page).locator('.cell.id').allTextContents(), ['t6']);
  assert.equal(new URL(page.url()).hash, '#/tasks?state=dead&type=sum&worker_id=rag-berlin&error=error+0');
  await page.reload();
  await counted('1 task');
  assert.equal(await page.getByRole('searchbox', {name: 'Type'}).inputValue(), 'sum');
  await page.getByRole('searchbox', {name: 'Worker'}).fill('nobody');
  await counted('0 tasks');
  assert.equal(await page.locator('#tasks-none').textContent(), 'No task matches.');
  await end(page);
});

test('tasks that could not be read are read when they can be', async () => {
  fake.queue('default');
  for (let i = 0; i < 130; i++) fake.task(`t${i}`);
  proxy.refuse('/api/tasks', 503, `Redis ${NASTY} is away.`);
  const page = await open(browser, proxy.url + '#/tasks', {clock: true});
  const asked = () => proxy.requests.filter(({url}) => url.startsWith('/api/tasks')).length;
  await waitUntil(async () => await page.locator('#tasks-none').textContent() === `Redis ${SHOWN} is away.`, 'the reason is shown');
  const before = asked();
  await page.locator('#tasks').evaluate(view => view.dispatchEvent(new Event('scroll')));
  await page.clock.fastForward(5500);
  await waitUntil(() => asked() === before + 1, 'it is asked once more');
  proxy.allow('/api/tasks');
  await page.clock.fastForward(5500);
  await taskRows(page).first().waitFor();
  assert.equal(await page.locator('#tasks-none').isVisible(), false);
  await end(page);
});

test('a hundred thousand tasks are scrolled without stumbling, read a page at a time', async () => {
  fake.queue('default');
  for (let i = 0; i < 100000; i++) fake.task(`t-${String(i).padStart(6, '0')}`, {type: i % 10 ? 'echo' : 'sum'});
  const page = await open(browser, proxy.url + '#/tasks?queue=default');
  await taskRows(page).first().waitFor();
  const pages = fake.asked.filter(line => line.startsWith('GET /api/tasks?')).length;
  assert.ok(pages <= 3, `${pages} pages are read for what can be seen`);
  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver(list => {
      for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
    }).observe({type: 'longtask'});
  });
  // to the end of what has been read, again and again: more comes each time
  const {read, steps, most} = await page.evaluate(async () => {
    const view = document.getElementById('tasks'), body = document.getElementById('tasks-body'), steps = [];
    let most = 0;
    while (body.offsetHeight < 3000 * 40) {
      await new Promise(requestAnimationFrame);
      const before = performance.now();
      view.scrollTop = view.scrollHeight;
      view.dispatchEvent(new Event('scroll'));
      body.lastElementChild.getBoundingClientRect();
      steps.push(performance.now() - before);
      most = Math.max(most, body.childElementCount);
    }
    return {read: body.offsetHeight / 40, steps: steps.sort((a, b) => a - b), most};
  });
  const longest = await page.evaluate(() => window.longest), median = steps[Math.floor(steps.length / 2)];
  assert.ok(read >= 3000 && most < 80, `${most} rows of ${read}`);
  console.log(`# ${read} read, median step ${median.toFixed(1)} ms, longest task ${longest} ms, at most ${most} rows`);
  await page.getByRole('searchbox', {name: 'Type'}).fill('sum');
  await waitUntil(async () => (await taskRows(page).first().locator('.type').textContent()) === 'sum', 'it is filtered');
  assert.equal(await taskRows(page).first().locator('.cell.id').textContent(), 't-000000');
  await end(page);
});

test('one task’s life is a timeline, with its payload and result on demand', async () => {
  const payload = {text: 'x'.repeat(6000), more: NASTY};
  fake.task('t1', {type: 'sum', state: 'completed', attempts: 1, worker_id: 'rag-berlin', payload, result: {answer: 42},
    created_at: ago(4000),
    finished_at: ago(10), started_at: ago(20), requirements: {service: 'rag'},
    history: [{worker_id: 'w-gone', started_at: ago(3000), ended_at: ago(2940), outcome: 'failed', error: `ValueError ${NASTY}`},
      {worker_id: 'rag-berlin', started_at: ago(20), ended_at: ago(10), outcome: 'completed', error: null}]});
  const page = await open(browser, proxy.url + '#/task/t1');
  await page.getByRole('heading', {name: 't1'}).waitFor();
  await shows(page.locator('#task .badge').first(), 'Completed');
  const life = (await page.locator('.life li').allTextContents()).map(line => line.replace(/^\d+ \w+ \d+, [\d:]+/, ''));
  assert.deepEqual(life, ['created', `w-gone failed after 1 min 0 sValueError ${SHOWN}`, 'rag-berlin completed after 10 s']);
  assert.equal(await page.locator('.life li').nth(2).getByRole('link').getAttribute('href'), '#/worker/rag-berlin');
  const folded = name => page.locator('details').filter({has: page.getByRole('heading', {name})});
  assert.equal(await folded('Payload').locator('pre').isVisible(), false, 'it is folded');
  await folded('Payload').locator('summary').click();
  const shown = () => folded('Payload').locator('pre').textContent();
  await waitUntil(async () => (await shown()).length > 3000, 'its beginning is shown');
  assert.ok((await shown()).length < 4100 && !(await shown()).includes('onerror'));
  await folded('Payload').getByRole('button', {name: /^Show all 6,\d{3} characters$/}).click();
  assert.deepEqual(JSON.parse(await shown()), payload);
  await folded('Result').locator('summary').click();
  await waitUntil(async () => (await folded('Result').locator('pre').textContent()).includes('42'), 'the result is shown');
  assert.equal(await page.title(), 't1 – RMA Coordinator');
  const asked = fake.asked.length;
  await page.evaluate(() => new Promise(resolve => setTimeout(resolve, 2500)));
  assert.equal(fake.asked.length, asked, 'one that has ended is not asked for again');
  await page.goto(proxy.url + '#/task/nobody');
  await shows(page.locator('#task .title'), 'There is no such task (any more).');
  await end(page);
});

test('a running task is followed, and cancelled', async () => {
  const task = fake.task('t1', {state: 'leased', worker_id: 'rag-berlin', started_at: ago(5),
    progress: {percent: 10, message: NASTY},
    history: [{worker_id: 'rag-berlin', started_at: ago(5), ended_at: null, outcome: 'leased', error: null}]});
  const page = await open(browser, proxy.url + '#/task/t1');
  await shows(page.locator('#task .now'), `10 %${SHOWN}`);
  task.progress = {percent: 55.4, message: 'half'};
  await shows(page.locator('#task .now'), '55 %half');
  await page.getByRole('button', {name: 'Cancel', exact: true}).click();
  await page.locator('#ask-confirm').click();
  await result(page, 'Its worker is told to stop; what it sends until then still counts.');
  await page.locator('#ask-cancel').click();
  await shows(page.locator('#task .title'), 'is being cancelled');
  Object.assign(task, {state: 'cancelled', finished_at: ago(0), cancelling: false, history: []});
  await shows(page.locator('#task .badge').first(), 'Cancelled');
  assert.equal(await page.getByRole('button', {name: 'Cancel', exact: true}).isVisible(), false);
  await end(page);
});

test('a task that waits says why', async () => {
  fake.task('t1', {state: 'queued', requirements: {service: 'whisper'}});
  fake.explained.set('t1', {task_id: 't1', state: 'queued', text: `No live worker has the service ${NASTY}.`, eta_seconds: 90,
    reasons: [{code: 'no-worker', text: '2 are offline since noon.'}, {code: 'position', text: 'It is number 3 of 9.'}],
    position: 3});
  const page = await open(browser, proxy.url + '#/task/t1');
  await page.getByRole('heading', {name: 'Why it waits'}).waitFor();
  assert.equal(await page.locator('.explained p').first().textContent(), `No live worker has the service ${SHOWN}.`);
  assert.deepEqual(await page.locator('.explained li').allTextContents(), ['2 are offline since noon.', 'It is number 3 of 9.']);
  await shows(page.locator('.explained'), 'It begins in about 1 min 30 s');
  fake.tasks.get('t1').state = 'leased';
  await waitUntil(async () => !await page.getByRole('heading', {name: 'Why it waits'}).isVisible(), 'it waits no more');
  await end(page);
});

test('a dead task is retried', async () => {
  const task = fake.task('t1', {state: 'dead', attempts: 5, error: 'it broke', reason: 'attempts', finished_at: ago(3)});
  const page = await open(browser, proxy.url + '#/task/t1');
  await shows(page.locator('.life'), 'dead (attempts)');
  await page.getByRole('button', {name: 'Retry', exact: true}).click();
  await page.locator('#ask-confirm').click();
  await result(page, 'It waits in its queue again.');
  await page.locator('#ask-cancel').click();
  await shows(page.locator('#task .badge').first(), 'Queued');
  Object.assign(task, {state: 'completed', finished_at: ago(0)});
  await shows(page.locator('#task .badge').first(), 'Completed');
  await end(page);
});

test('dead tasks are grouped by error, and retried together after a dry run', async () => {
  fake.queue('default');
  for (let i = 0; i < 250; i++) fake.task(`d${i}`,
    {state: 'dead', type: i % 2 ? 'echo' : 'sum', error: i % 5 ? `out of memory ${NASTY}` : 'timeout', finished_at: ago(i)});
  const page = await open(browser, proxy.url + '#/work');
  await waitUntil(async () => await page.locator('#dead-rows tr').count() === 2, 'there are two errors');
  const [first, second] = await Promise.all([0, 1].map(at => cells(page.locator('#dead-rows tr').nth(at))));
  assert.deepEqual(first.slice(0, 4), [`out of memory ${SHOWN}`, 'default', 'echo, sum', '200']);
  assert.deepEqual(second.slice(0, 4), ['timeout', 'default', 'echo, sum', '50']);
  await page.locator('#dead-rows tr').first().getByRole('button').click();
  await result(page, '200 tasks would be queued once more.');
  assert.equal(fake.matching({state: 'dead'}).length, 250, 'it has only looked');
  await page.locator('#ask-confirm').click();
  await result(page, '200 tasks queued once more.');
  assert.equal(fake.matching({state: 'dead'}).length, 50);
  await page.locator('#ask-cancel').click();
  await waitUntil(async () => await page.locator('#dead-rows tr').count() === 1, 'they are no longer dead');
  await page.locator('#dead-rows').getByRole('link', {name: 'timeout'}).click();
  await waitUntil(async () => await page.locator('#tasks-count').textContent() === '50 tasks', 'the error leads to its tasks');
  await page.getByRole('button', {name: 'Retry all of these …'}).click();
  await result(page, '50 tasks would be queued once more.');
  await page.locator('#ask-cancel').click();
  assert.equal(fake.matching({state: 'dead'}).length, 50);
  await end(page);
});

test('figures stay in their places, and a task without demands or more reasons says so once', async () => {
  fake.queue('default', {oldest_seconds: 4012345});
  for (let i = 0; i < 2500; i++) fake.task(`t${i}`);
  const page = await open(browser, proxy.url + '#/work');
  await shows(page.locator('#work-figures'), 'oldest 46 d');
  for (const width of [1280, 1000, 390]) {
    await page.setViewportSize({width, height: 900});
    assert.deepEqual(await page.locator('#work-figures dd').evaluateAll(all =>
      all.filter(each => each.scrollWidth > each.clientWidth).map(each => each.textContent)), []);
  }
  const texts = ['Queue default is paused.', 'It is number 1 of 2.'];
  fake.explained.set('t1', {task_id: 't1', state: 'queued', text: texts.join(' '), eta_seconds: null, position: 1,
    reasons: texts.map(text => ({code: 'x', text}))});
  await page.goto(proxy.url + '#/task/t1');
  await shows(page.locator('.explained'), texts.join(' '));
  assert.equal(await page.locator('.explained li').count(), 0);
  await shows(page.locator('#task'), 'Any worker may do it.');
  await end(page);
});

test('an error of many lines stays a filter whatever else is typed', async () => {
  fake.queue('default');
  for (const [id, type] of [['a', 'echo'], ['b', 'other']]) fake.task(id, {type, state: 'dead', error: 'Traceback:\n  in main '});
  fake.task('c', {state: 'dead', error: 'Traceback:\n  in other'});
  const page = await open(browser, proxy.url + '#/work');
  await page.getByRole('link', {name: 'in main'}).click();
  await waitUntil(async () => await taskRows(page).count() === 2, 'both are there');
  await page.getByRole('searchbox', {name: 'Type'}).fill('echo');
  await waitUntil(async () => await taskRows(page).count() === 1, 'one is left');
  assert.equal(new URLSearchParams(new URL(page.url()).hash.split('?')[1]).get('error'), 'Traceback:\n  in main ');
  await page.getByRole('searchbox', {name: 'Error'}).fill('other');
  await page.getByRole('searchbox', {name: 'Type'}).fill('');
  await waitUntil(async () => await taskRows(page).count() === 1 && page.url().endsWith('error=other'), 'another error');
  await end(page);
});

test('a queue with many dead tasks hides no other one', async () => {
  for (const queue of ['a', 'b']) fake.queue(queue);
  for (let i = 0; i < 800; i++) fake.task(`a${i}`, {queue: 'a', state: 'dead', error: 'timeout'});
  fake.task('b1', {queue: 'b', state: 'dead', error: 'out of memory'});
  const page = await open(browser, proxy.url + '#/work');
  await waitUntil(async () => await page.locator('#dead-rows tr').count() === 2, 'both errors are there');
  assert.equal(await page.locator('#dead-summary').textContent(), 'the newest 251 of 801, by error');
  await end(page);
});

test('a worker’s page lists what it holds', async () => {
  for (let i = 0; i < 25; i++)
    fake.task(`t${i}`, {state: 'leased', worker_id: 'rag-berlin', started_at: ago(65), progress: {percent: i, message: NASTY}});
  fake.task('other', {state: 'leased', worker_id: 'somebody'});
  const page = await open(browser, proxy.url + '#/worker/rag-berlin');
  const held = page.locator('#worker section').filter({has: page.getByRole('heading', {name: 'Tasks that it holds'})});
  await waitUntil(async () => await held.locator('tbody tr').count() === 20, 'the first ones are listed');
  assert.deepEqual((await cells(held.locator('tbody tr').nth(3))).slice(0, 3), ['t3', 'echo', 'default']);
  await shows(held.locator('tbody tr').nth(3), `3 %${SHOWN}`);
  await held.getByRole('link', {name: 'All of them'}).click();
  await waitUntil(async () => await page.locator('#tasks-count').textContent() === '25 tasks', 'all of them are a click away');
  await end(page);
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds no serious fault of work, ${colorScheme}, and a phone shows it all`, async () => {
    fake.queue('default', {oldest_seconds: 10});
    fake.queue('x'.repeat(100), {paused: true, limit: 3});
    for (let i = 0; i < 40; i++) fake.task(`t${i}`, {state: ['queued', 'leased', 'scheduled', 'dead', 'completed',
      'cancelled'][i % 6], error: i % 6 === 3 ? 'y'.repeat(400) : null,
      type: 'z'.repeat(60), progress: {percent: 5, message: 'm'.repeat(100)}, finished_at: ago(1)});
    fake.task('long', {state: 'leased', type: 't'.repeat(100), worker_id: 'w'.repeat(100), payload: {a: 'b'.repeat(300)},
      progress: {percent: 5, message: 'm'.repeat(100)},
      history: [{worker_id: 'w'.repeat(100), started_at: ago(5), ended_at: ago(4), outcome: 'failed', error: 'e'.repeat(300)}]});
    fake.task('waits');
    for (const viewport of [{width: 1280, height: 900}, {width: 390, height: 844}]) {
      const page = await open(browser, proxy.url + '#/work', {colorScheme, viewport});
      const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      const look = async what => {
        assert.deepEqual(await barriers(page), [], what);
        assert.equal(await overflow(), 0, `${what} is as wide as the screen`);
      };
      await page.locator('#dead-rows tr').first().waitFor();
      await look('queues');
      await page.locator('#dead-rows button').first().click();
      await waitUntil(async () => await page.locator('#ask-confirm').isEnabled(), 'it is counted');
      await look('retrying');
      await page.keyboard.press('Escape');
      await page.goto(proxy.url + '#/tasks');
      await taskRows(page).first().waitFor();
      await look('tasks');
      await page.goto(proxy.url + '#/task/long');
      await page.locator('.life li').nth(1).waitFor();
      await page.locator('summary').first().click();
      await look('a task');
      await page.goto(proxy.url + '#/task/waits');
      await page.getByRole('heading', {name: 'Why it waits'}).waitFor();
      await look('a task that waits');
      await page.close();
    }
  });
}
