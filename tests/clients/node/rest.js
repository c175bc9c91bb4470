'use strict';

// REST as the Node.js client of Eventuate speaks it: the same paths, headers and bodies, over the
// same keep-alive agent.

const http = require('http');
const path = require('path');
const Agent = require('agentkeepalive');

const RETRY_DELAY = 1000;
const MOST_RETRIES = 5;

/** Any answer but 200. */
class Refused extends Error {
  constructor(status, body) {
    super(`status ${status}`);
    this.status = status;
    this.code = body && body.error;
  }
}

class Rest {
  constructor(url, key, space) {
    this.url = new URL(url);
    this.key = key;
    this.space = space;
    this.agent = new Agent({
      maxSockets: 100,
      maxFreeSockets: 10,
      keepAlive: true,
      keepAliveMsecs: 60000,
    });
  }

  // Options go into the body as they are, beside the rest of it.
  async create(entityTypeName, events, options) {
    const body = { entityTypeName, events, ...options };
    return this.call(path.join('/entity', this.space), 'POST', body);
  }

  async update(entityTypeName, entityId, entityVersion, events, options) {
    const body = { entityId, entityVersion, events, ...options };
    return this.call(path.join('/entity', this.space, entityTypeName, entityId), 'POST', body);
  }

  // Options go into the query string as they are, unescaped.
  async find(entityTypeName, entityId, options) {
    let target = path.join('/entity', this.space, entityTypeName, entityId);
    const query = Object.keys(options).map((name) => `${name}=${options[name]}`).join('&');
    if (query) {
      target += `?${query}`;
    }
    return this.call(target, 'GET', null);
  }

  // Only 503 is tried again.
  async call(target, method, body) {
    for (let retry = 1; ; retry += 1) {
      try {
        return await this.once(target, method, body);
      } catch (error) {
        if (error.status !== 503 || retry > MOST_RETRIES) {
          throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
      }
    }
  }

  once(target, method, body) {
    return new Promise((resolve, reject) => {
      const credentials = Buffer.from(`${this.key.id}:${this.key.secret}`).toString('base64');
      const headers = { Authorization: `Basic ${credentials}` };
      let data = null;
      if (method === 'POST') {
        data = JSON.stringify(body);
        headers['Content-Type'] = 'application/json';
        headers['Content-Length'] = Buffer.byteLength(data, 'utf8');
      }
      const request = http.request(
        {
          host: this.url.hostname,
          port: this.url.port,
          path: target,
          method,
          headers,
          agent: this.agent,
        },
        (response) => {
          response.setEncoding('utf8');
          let text = '';
          response.on('data', (chunk) => {
            text += chunk;
          });
          response.on('end', () => {
            // An answer that doesn't say that it is JSON stays a text, and has no fields.
            const json = /^application\/json/i.test(response.headers['content-type']);
            const answer = json ? JSON.parse(text) : text;
            if (response.statusCode === 200) {
              resolve(answer);
            } else {
              reject(new Refused(response.statusCode, answer));
            }
          });
        },
      );
      request.on('error', reject);
      if (data !== null) {
        request.write(data);
      }
      request.end();
    });
  }
}

module.exports = { Refused, Rest };
