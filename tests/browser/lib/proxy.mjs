// A reverse proxy in front of a coordinator, as people put there: it strips a path prefix, and can be told to answer by itself.

import http from 'node:http';

export class Proxy {
  static async start(fleet, prefix = '') {
    const proxy = new Proxy();
    proxy.answers = new Map(); // by path: (request, response) => …
    proxy.others = () => false; // (request, response, address): whether it answers what has no entry there
    proxy.requests = [];
    proxy.server = http.createServer((request, response) => {
      proxy.requests.push(request);
      response.on('close', () => { request.closedAt = Date.now(); });
      if (!request.url.startsWith(prefix)) {
        response.writeHead(404).end('outside of the prefix');
        return;
      }
      const address = request.url.slice(prefix.length), own = proxy.answers.get(address.split('?')[0]);
      if (own) own(request, response);
      else if (!proxy.others(request, response, address)) forward(fleet, address, request, response);
    });
    await new Promise(resolve => proxy.server.listen(0, '127.0.0.1', resolve));
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}${prefix}/`;
    return proxy;
  }

  // From now on the proxy answers a path with a problem; undone by allow.
  refuse(path, status, detail) {
    this.answers.set(path, (request, response) => {
      response.writeHead(status, {'Content-Type': 'application/problem+json'}).end(JSON.stringify({status, detail}));
    });
  }

  allow(path) {
    this.answers.delete(path);
  }

  // Cuts what is under way, streams of events among it.
  cut() {
    this.server.closeAllConnections();
  }

  async stop() {
    this.cut();
    await new Promise(resolve => this.server.close(resolve));
  }
}

function forward(fleet, address, request, response) {
  const onward = http.request({host: '127.0.0.1', port: fleet.port, path: address, method: request.method,
    headers: request.headers}, answer => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  request.pipe(onward);
}
