// BullMQ, measured beside the coordinator: adds jobs, or works on them. Prints when it began and when it was done: ms since 1970, a
// line each.
//   node tasks.js add|work REDIS_SOCKET IN_FLIGHT BULK COUNT
import { Queue, Worker } from 'bullmq';

const [role, path, inFlight, bulk, count] = process.argv.slice(2).map((word, at) => (at > 1 ? Number(word) : word));
const data = { payload: 'x'.repeat(200 - '{"payload":""}'.length) };

function printTime() {
  console.log(Date.now());
}

if (role === 'add') {
  const queue = new Queue('bench', { connection: { path } });
  let begun = 0;
  await queue.waitUntilReady();
  printTime();
  const add = async () => {
    while (begun < count) {
      const some = Math.min(bulk, count - begun);
      begun += some;
      await (bulk > 1 ? queue.addBulk(Array.from({ length: some }, () => ({ name: 'bench', data }))) : queue.add('bench', data));
    }
  };
  await Promise.all(Array.from({ length: inFlight }, add));
  printTime();
  await queue.close();
} else {
  let done = 0;
  const worker = new Worker('bench', async () => 1, { connection: { path, maxRetriesPerRequest: null }, concurrency: inFlight });
  const all = new Promise((resolve) => {
    worker.on('completed', () => ++done === count && resolve());
  });
  await worker.waitUntilReady();
  printTime();
  await all;
  printTime();
  await worker.close(true);
}
