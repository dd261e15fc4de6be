// The real binary with a Redis of its own, and workers to talk to it.

import {execFileSync, spawn} from 'node:child_process';
import {closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync} from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import {fileURLToPath} from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const BINARY = path.join(ROOT, 'build', process.env.MODE || 'release', 'rma-coordinator');
const PATIENCE_MS = 30000;

// Waits until `condition` gives something true, and returns it.
export async function waitUntil(condition, what, withinMs = PATIENCE_MS) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`after ${withinMs} ms it was still not so that ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

function ended(child) {
  return child.exitCode !== null || child.signalCode !== null ? Promise.resolve()
    : new Promise(resolve => child.once('exit', resolve));
}

// A port that the kernel gives nobody as the end of a connection, nor the system tests to their servers.
async function quietPort() {
  for (let port = 11000 + process.pid % 900; ; port++) {
    const free = await new Promise(resolve => {
      const probe = net.createServer().once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

export class Fleet {
  // clock: whether the test moves it. A coordinator that is to be restarted keeps its port.
  static async start({clock = false, restarts = false, settings = {}} = {}) {
    const fleet = new Fleet();
    fleet.directory = mkdtempSync('/tmp/rma-browser-');
    fleet.environment = {PATH: process.env.PATH};
    if (clock) {
      const file = path.join(fleet.directory, 'clock');
      writeFileSync(file, Buffer.alloc(8));
      const library = execFileSync('/usr/bin/python3', ['-c', 'import preloaded; print(preloaded.build("clock"))'],
        {cwd: path.join(ROOT, 'tests', 'lib')});
      Object.assign(fleet.environment, {LD_PRELOAD: library.toString().trim(), CLOCK_OFFSET_FILE: file});
    }
    mkdirSync(path.join(fleet.directory, 'redis'));
    fleet.socket = path.join(fleet.directory, 'redis', 'redis.sock');
    fleet.settings = {HOST: '127.0.0.1', PORT: restarts ? await quietPort() : 0, THREADS: 1, REGISTRATIONS_PER_MINUTE: 0,
      LOG_FORMAT: 'json',
      REDIS_URL: `unix://${fleet.socket}`, ...settings};
    await fleet.startRedis();
    await fleet.startCoordinator();
    return fleet;
  }

  async startRedis() {
    this.redis = spawn('redis-server', ['--port', '0', '--unixsocket', this.socket, '--dir', path.dirname(this.socket),
      '--appendonly', 'yes', '--appendfsync', 'no', '--save', ''], // a disk that is busy would hold it up
      {env: this.environment, stdio: 'ignore'});
    await waitUntil(() => new Promise(resolve => {
      const probe = net.connect(this.socket, () => resolve(true)).on('error', () => resolve(false));
      probe.unref();
    }), 'Redis answers');
  }

  async startCoordinator() {
    const child = this.coordinator = spawn(BINARY, [],
      {env: {...this.environment, ...this.settings}, stdio: ['ignore', 'ignore', 'pipe']});
    const lines = readline.createInterface({input: child.stderr});
    this.port = await new Promise((resolve, reject) => {
      lines.on('line', line => {
        const {event, port} = line.startsWith('{') ? JSON.parse(line) : {};
        if (event === 'listening') resolve(port);
      });
      child.once('exit', code => reject(new Error(`the coordinator ended with ${code}`)));
    });
    await waitUntil(() => this.get('/readyz').then(answer => answer.status === 200, () => false), 'the coordinator is ready');
  }

  get url() {
    return `http://127.0.0.1:${this.port}/`;
  }

  async kill() {
    this.coordinator.kill('SIGKILL');
    await ended(this.coordinator);
  }

  async stop() {
    for (const child of [this.coordinator, this.redis]) child.kill('SIGKILL');
    await Promise.all([ended(this.coordinator), ended(this.redis)]);
    rmSync(this.directory, {recursive: true, force: true});
  }

  // Moves the clocks of Redis and the coordinator forward.
  moveClock(seconds) {
    this.offset = (this.offset || 0n) + BigInt(seconds * 1000);
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(this.offset);
    const file = openSync(this.environment.CLOCK_OFFSET_FILE, 'r+'); // not truncated: it is mapped
    writeSync(file, bytes, 0, 8, 0);
    closeSync(file);
  }

  // The answer's status and JSON. Each request has a connection of its own: a moved clock ends those that are kept.
  send(method, address, body, headers = {}) {
    return new Promise((resolve, reject) => {
      const options = {method, agent: false, headers: {'Content-Type': 'application/json', ...headers}};
      const request = http.request(new URL(address, this.url), options, async answer => {
        let text = '';
        for await (const part of answer) text += part;
        resolve({status: answer.statusCode, json: JSON.parse(text)});
      });
      request.on('error', reject).end(body && JSON.stringify(body));
    });
  }

  get(address) {
    return this.send('GET', address);
  }

  async post(address, body) {
    const {status, json} = await this.send('POST', address, body);
    if (status !== 200) throw new Error(`POST ${address}: ${status} ${JSON.stringify(json)}`);
    return json;
  }

  // Takes over workers as the registry of the file-based coordinator has them.
  import(workers) {
    const file = path.join(this.directory, 'registry.json');
    writeFileSync(file, JSON.stringify(Object.fromEntries(workers.map(worker => [worker.worker_id, worker]))));
    execFileSync(BINARY, ['import', file], {env: {...this.environment, ...this.settings}, stdio: ['ignore', 'ignore', 'inherit']});
  }

  // Runs a command of the binary with this fleet's Redis; `input` is its standard input.
  command(words, input) {
    execFileSync(BINARY, words, {env: {...this.environment, REDIS_URL: this.settings.REDIS_URL}, input,
      stdio: ['pipe', 'ignore', 'inherit']});
  }

  // Starts another coordinator in place of this one, with other settings.
  async restart(settings) {
    await this.kill();
    Object.assign(this.settings, settings);
    await this.startCoordinator();
  }

  register(workerId, capabilities = SERVICE, more = {}) {
    return this.post('/api/worker/register', {worker_id: workerId, capabilities, ...more});
  }

  beat(workerId, more = {}) {
    return this.post('/api/worker/heartbeat', {worker_id: workerId, ...more});
  }
}

// What agents of the field say of their machines.
export const SERVICE = {cpu_cores: 8, ram: '15.6GB', storage: '466.0GB'};
export const GPU = {cpu_cores: 16, ram: '62.7GB', storage: '915.3GB', gpu_memory: '24564 MiB', gpu_type: 'NVIDIA GeForce RTX 4090',
  gpu_driver: 'nvidia'};

// Seven workers of all tiers, one of them degraded, one draining, one offline.
export async function registerSeven(fleet) {
  const workers = [
    ['gpu-lisbon', GPU, {current_load: 0.71, active_requests: 4, loaded_models: ['llama3.2'], gpu_utilization: 65.3}],
    ['rag-berlin', SERVICE, {current_load: 0.24, active_requests: 2, available_memory: '9.8GB', services_status: {rag: 'running'}}],
    ['rag-oslo', {...SERVICE, cpu_cores: 16, ram: '31.3GB'}, {current_load: 0.31}],
    ['notes-porto', {...SERVICE, cpu_cores: 4, ram: '7.8GB'}, {current_load: 0.91, status: 'degraded'}],
    ['ner-vienna', SERVICE, {current_load: 0.12, status: 'draining'}],
    ['store-lyon', {worker_type: 'storage', cpu_cores: 4, ram: '7.8GB', storage: '4TB'}, {current_load: 0.08}],
    ['edge-madrid', {worker_type: 'edge', cpu_cores: 2, ram: '2GB'}, {status: 'offline'}],
  ];
  for (const [id, capabilities, heartbeat] of workers) {
    await fleet.register(id, capabilities);
    await fleet.beat(id, heartbeat);
  }
}
