'use strict';

// Does what it is told on standard input, one JSON object a line, and answers on standard output:
// `answer` to each command, in order, and `event` or `note` whenever something comes.
// See client_process.py, which is the other end.
//
// Run as: node main.js REST_URL STOMP_PORT SPACE KEY_ID KEY_SECRET fork|package

const readline = require('readline');
const { Stomp } = require('stomp');
const { Refused, Rest } = require('./rest');
const { ForkedStomp } = require('./stomp_fork');
const { Subscriber } = require('./subscriber');

const [url, stompPort, space, id, secret, variant] = process.argv.slice(2);

// The package prints what it doesn't understand; standard output is for answers.
console.log = console.error;

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

const rest = new Rest(url, { id, secret }, space);
const StompClient = variant === 'fork' ? ForkedStomp : Stomp;
const subscriber = new Subscriber(
  () => new StompClient({ host: '127.0.0.1', port: Number(stompPort), login: id, passcode: secret }),
  space,
  (note) => say({ note }),
);
const deliveries = [];

const commands = {
  create: ({ entityType, events, entityId }) => (
    rest.create(entityType, events, entityId ? { entityId } : {})
  ),
  update: ({ entityType, entityId, entityVersion, events, token }) => (
    rest.update(
      entityType, entityId, entityVersion, events, token ? { triggeringEventToken: token } : {},
    )
  ),
  find: ({ entityType, entityId, token }) => (
    rest.find(entityType, entityId, token ? { triggeringEventToken: token } : {})
  ),
  subscribe: async ({ subscriberId, selection, options }) => {
    await subscriber.subscribe(subscriberId, selection, options, (event, finish) => {
      deliveries.push(finish);
      say({ event: { ...event, subscriberId, delivery: deliveries.length - 1 } });
    });
    return {};
  },
  finish: ({ delivery }) => ({ sent: deliveries[delivery]() }),
  close: () => {
    subscriber.disconnect();
    return {};
  },
};

async function carryOut(command) {
  try {
    say({ answer: await commands[command.do](command) });
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    say({ answer: { status: error.status, error: error.code } });
  }
}

readline.createInterface({ input: process.stdin })
  .on('line', (line) => carryOut(JSON.parse(line)))
  .on('close', () => process.exit());
