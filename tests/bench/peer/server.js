// A service such as one writes in an afternoon: fastify, ioredis, one script call for each heartbeat. It is measured
// beside the coordinator.
//   node server.js PORT REDIS_SOCKET
import { readFileSync } from 'node:fs';
import fastify from 'fastify';
import Redis from 'ioredis';

const [port, socket] = process.argv.slice(2);
const redis = new Redis({ path: socket });
redis.defineCommand('beat', { numberOfKeys: 3, lua: readFileSync(new URL('../naive.lua', import.meta.url), 'utf8') });

const app = fastify({ logger: false });
app.post('/api/worker/heartbeat', {
  schema: {
    body: {
      type: 'object',
      required: ['worker_id'],
      properties: { worker_id: { type: 'string' }, status: { type: 'string' }, current_load: { type: 'number' } }
    }
  }
}, async (request, reply) => {
  const { worker_id: id, status = 'healthy', current_load: load = 0 } = request.body;
  const known = await redis.beat(`naive:worker:${id}`, `naive:online:${id}`, 'naive:index', id, status, load);
  return known ? { status: 'ok', message: 'Heartbeat received' } : reply.code(404).send({ detail: 'Worker not found' });
});
await app.listen({ host: '127.0.0.1', port: Number(port) });
process.on('SIGTERM', async () => {
  await app.close();
  redis.disconnect();
});
