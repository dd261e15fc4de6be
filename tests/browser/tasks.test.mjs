// The page Work on a real coordinator, with a worker that takes tasks.

import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {launch, open, result} from './lib/browser.mjs';
import {Fleet, waitUntil} from './lib/fleet.mjs';

let browser, fleet;
before(async () => {
  [browser, fleet] = await Promise.all([launch(), Fleet.start()]);
  await fleet.register('rag-berlin');
});
after(() => Promise.all([browser.close(), fleet.stop()]));

async function submit(task) {
  const {status, json} = await fleet.send('POST', '/api/tasks', task);
  assert.equal(status, 201, JSON.stringify(json));
  return json.task_id;
}

// The next task that is given to the worker.
function lease() {
  return waitUntil(async () => (await fleet.get('/api/worker/tasks?worker_id=rag-berlin')).json.tasks[0], 'a task is given out');
}

const fail = (task, error) =>
  fleet.post(`/api/worker/task-fail?worker_id=rag-berlin&task_id=${task.task_id}&lease=${encodeURIComponent(task.lease)}`,
    {error, retryable: false});
const shows = (locator, words) => waitUntil(async () => (await locator.textContent()).includes(words), `it shows: ${words}`);
const queueCells = async (page, queue) => (await page.locator('#queues tr')
  .filter({has: page.getByRole('link', {name: queue, exact: true})}).locator('th, td').allTextContents())
  .map(text => text.trim());

test('a task is followed from its submission to its result', async () => {
  const id = await submit({type: 'sum', queue: 'life', payload: {numbers: [1, 2]}, requirements: {service: 'nobody-has-it'}});
  const page = await open(browser, fleet.url + '#/task/' + id);
  await page.getByRole('heading', {name: 'Why it waits'}).waitFor();
  await shows(page.locator('.explained'), 'nobody-has-it');
  await page.getByRole('button', {name: 'Cancel', exact: true}).click();
  await page.locator('#ask-confirm').click();
  await result(page, 'It is cancelled.');
  await page.locator('#ask-cancel').click();
  await shows(page.locator('#task .badge').first(), 'Cancelled');

  const other = await submit({type: 'sum', queue: 'life', payload: {numbers: [1, 2]}});
  const task = await lease();
  assert.equal(task.task_id, other);
  await page.goto(fleet.url + '#/task/' + other);
  await shows(page.locator('#task .badge').first(), 'Running');
  await fleet.post(`/api/tasks/${other}/progress`, {worker_id: 'rag-berlin', lease: task.lease, percent: 40, message: 'adding'});
  await shows(page.locator('#task .now'), '40 %adding');
  await page.goto(fleet.url + '#/worker/rag-berlin');
  const held = page.locator('#worker section').filter({has: page.getByRole('heading', {name: 'Tasks that it holds'})});
  await shows(held, other);
  await shows(held, '40 %adding');
  await held.getByRole('link', {name: other}).click();
  await fleet.post('/api/worker/task-complete', {worker_id: 'rag-berlin', task_id: other, lease: task.lease, result: {sum: 3}});
  await shows(page.locator('#task .badge').first(), 'Completed');
  await shows(page.locator('.life li').last(), 'rag-berlin completed after');
  await page.locator('details').filter({has: page.getByRole('heading', {name: 'Result'})}).locator('summary').click();
  await shows(page.locator('details[open] pre'), '"sum": 3');
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('queues, dead tasks by their error, and all of them retried', async () => {
  for (let i = 0; i < 7; i++) await submit({type: 'sum', queue: 'sums'});
  for (let i = 0; i < 5; i++) await fail(await lease(), i < 3 ? 'out of memory' : 'timeout');
  const running = await lease();
  const page = await open(browser, fleet.url + '#/work');
  await waitUntil(async () => (await queueCells(page, 'sums')).slice(0, 5).join() === 'sums,1,1,0,5', 'the queue is seen as it is');
  await page.getByRole('button', {name: 'Pause sums'}).click();
  await page.locator('#ask-confirm').click();
  await result(page, 'It is paused.');
  await page.locator('#ask-cancel').click();
  assert.equal((await fleet.get('/api/queues/sums')).json.paused, true);
  await waitUntil(async () => (await page.locator('#dead-rows tr').allTextContents()).length === 2, 'there are two errors');
  await page.getByRole('button', {name: 'Retry those of sums with: out of memory'}).click();
  await result(page, '3 tasks would be queued once more.');
  await page.locator('#ask-confirm').click();
  await result(page, '3 tasks queued once more.');
  await page.locator('#ask-cancel').click();
  await waitUntil(async () => (await queueCells(page, 'sums')).slice(0, 5).join() === 'sumspaused,4,1,0,2', 'they wait again');
  await page.locator('#dead-rows').getByRole('link', {name: 'timeout'}).click();
  await waitUntil(async () => await page.locator('#tasks-count').textContent() === '2 tasks', 'the error leads to its tasks');
  await page.locator('#tasks-body').getByRole('link').first().click();
  await page.getByRole('button', {name: 'Retry', exact: true}).click();
  await page.locator('#ask-confirm').click();
  await result(page, 'It waits in its queue again.');
  await fleet.post('/api/worker/task-complete', {worker_id: 'rag-berlin', task_id: running.task_id, lease: running.lease,
    result: null});
  assert.deepEqual(page.faults, []);
  await page.close();
});

test('a hundred thousand tasks', async () => {
  for (let i = 0; i < 100; i++)
    await fleet.post('/api/tasks/bulk',
      {tasks: Array.from({length: 1000}, (_, n) => ({type: `type-${(i * 1000 + n) % 50000}`, queue: 'large'}))});
  const page = await open(browser, fleet.url + '#/work');
  await waitUntil(async () => (await queueCells(page, 'large'))[1] === '100,000', 'all of them are counted');
  await page.locator('#queues').getByRole('link', {name: '100,000'}).click();
  const rows = page.locator('#tasks-body [role=row]');
  await rows.first().waitFor();
  const read = await page.evaluate(async () => {
    const view = document.getElementById('tasks'), body = document.getElementById('tasks-body');
    while (body.offsetHeight < 2000 * 40) {
      await new Promise(requestAnimationFrame);
      view.scrollTop = view.scrollHeight;
    }
    return body.offsetHeight / 40;
  });
  assert.ok(await rows.count() < 80 && read >= 2000, 'only what can be seen exists');
  await page.getByRole('searchbox', {name: 'Type'}).fill('type-49999');
  await waitUntil(async () => await page.locator('#tasks-count').textContent() === '2 tasks',
    'two of them are found, the last one of all too', 60000);
  assert.deepEqual(page.faults, []);
  await page.close();
});
