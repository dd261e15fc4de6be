// Five thousand workers.

import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {launch, open, row, rows} from './lib/browser.mjs';
import {Fleet, GPU, SERVICE, waitUntil} from './lib/fleet.mjs';

const COUNT = 5000;

let browser, fleet;
before(async () => {
  [browser, fleet] = await Promise.all([launch(), Fleet.start()]);
  const time = new Date().toISOString();
  fleet.import(Array.from({length: COUNT}, (_, n) => ({
    worker_id: `w-${String(n).padStart(4, '0')}`, tier: n % 10 ? 2 : 1, status: 'healthy', current_load: n % 100 / 100,
    last_heartbeat: time,
    registered_at: time, tasks_completed: n, ip_address: `203.0.113.${n % 250}`, assigned_containers: [],
    capabilities: n % 10 ? SERVICE : GPU,
  })));
});
after(() => Promise.all([browser.close(), fleet.stop()]));

test('five thousand workers are filtered and scrolled without stumbling', async () => {
  const page = await open(browser, fleet.url);
  const counted = () => page.locator('#workers-count').textContent();
  await waitUntil(async () => await counted() === '5,000 workers', 'all are there', 30000);

  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver(list => {
      for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
    }).observe({type: 'longtask'});
  });
  await page.getByLabel('Text').pressSequentially('4090 w-12');
  await waitUntil(async () => await counted() === '10 of 5,000 workers', 'the filter has them');
  assert.deepEqual(await rows(page).locator('.cell.id').allTextContents(), Array.from({length: 10}, (_, n) => `w-12${n}0`));
  await page.getByLabel('Text').fill('');
  await page.getByRole('columnheader', {name: 'Worker'}).getByRole('button').click();
  await row(page, 'w-4999').waitFor();
  await page.getByRole('columnheader', {name: 'Worker'}).getByRole('button').click();
  await row(page, 'w-0000').waitFor();

  // from top to bottom in 120 steps: what the page itself does in each, layout included
  const {steps, most} = await page.evaluate(async () => {
    const view = document.getElementById('workers'), body = document.getElementById('workers-body');
    const steps = [], distance = (view.scrollHeight - view.clientHeight) / 120;
    let most = 0;
    for (let i = 1; i <= 120; i++) {
      await new Promise(requestAnimationFrame);
      const before = performance.now();
      view.scrollTop = i * distance;
      view.dispatchEvent(new Event('scroll'));
      body.lastElementChild.getBoundingClientRect();
      steps.push(performance.now() - before);
      most = Math.max(most, body.childElementCount);
    }
    return {steps, most};
  });
  await row(page, 'w-4999').waitFor();
  const view = await page.locator('#workers').boundingBox(), last = await row(page, 'w-4999').boundingBox();
  assert.ok(last.y + last.height <= view.y + view.height + 1, 'the last row is in view');
  assert.ok(most < 60, `only what can be seen exists, not ${most} rows`);
  const median = steps.sort((a, b) => a - b)[60], longest = await page.evaluate(() => window.longest);
  console.log(`# median step ${median.toFixed(1)} ms, longest task ${longest} ms, at most ${most} rows`);
  assert.deepEqual(page.faults, []);
  await page.close();
});
