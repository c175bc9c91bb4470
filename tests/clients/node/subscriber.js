'use strict';

// Subscriptions as the Node.js client of Eventuate keeps them: one connection for all, the events
// handed to a handler, acknowledged in the order in which they came, and everything subscribed to
// again after a reconnection, with the same headers.

const { randomUUID } = require('crypto');

const FIRST_INTERVAL = 500;
const LONGEST_INTERVAL = 16000;

const escaped = (text) => text
  .replace(/\\/g, '\\\\')
  .replace(/:/g, '\\c')
  .replace(/\r/g, '\\r')
  .replace(/\n/g, '\\n');

// No backslash is ever undone: an ack header must hold none.
const unescaped = (text) => text
  .replace(/\\c/g, ':')
  .replace(/\\r/g, '\r')
  .replace(/\\n/g, '\n');

/** Lets an acknowledgement go only when all before it have gone. */
class AcknowledgementOrder {
  constructor() {
    this.pending = [];
  }

  add(header) {
    this.pending.push({ header, done: false });
  }

  /** Returns the headers that may be acknowledged now. */
  done(header) {
    const entry = this.pending.find((each) => each.header === header && !each.done);
    if (!entry) {
      return [];
    }
    entry.done = true;
    let count = this.pending.findIndex((each) => !each.done);
    if (count < 0) {
      count = this.pending.length;
    }
    return this.pending.splice(0, count).map((each) => each.header);
  }
}

class Subscriber {
  /** `newStomp` makes the client of a connection; `note` is told what happens to it. */
  constructor(newStomp, space, note) {
    this.newStomp = newStomp;
    this.space = space;
    this.note = note;
    this.subscriptions = {};
    this.receipts = {};
    this.interval = FIRST_INTERVAL;
    this.stomp = null;
    this.connecting = null;
    this.closed = false;
  }

  /** Resolves when the server has confirmed it. `handler` takes an event, and what finishes it. */
  async subscribe(subscriberId, entityTypesAndEvents, options, handler) {
    await this.connect();
    const destination = { entityTypesAndEvents, subscriberId, space: this.space };
    if (options) {
      destination.durability = options.durability;
      destination.readFrom = options.readFrom;
      destination.progressNotifications = options.progressNotifications;
    }
    const unique = randomUUID().replace(/-/g, '');
    const receipt = `receipt-id-${unique}`;
    this.subscriptions[subscriberId] = {
      order: new AcknowledgementOrder(),
      handler,
      headers: {
        id: `subscription-id-${unique}`,
        receipt,
        destination: escaped(JSON.stringify(destination)),
      },
    };
    await new Promise((resolve) => {
      this.receipts[receipt] = resolve;
      this.stomp.subscribe(this.subscriptions[subscriberId].headers);
    });
  }

  disconnect() {
    this.closed = true;
    this.stomp.disconnect();
  }

  connect() {
    this.connecting = this.connecting || new Promise((resolve) => {
      this.stomp = this.newStomp();
      this.stomp.on('socketConnected', () => {
        this.interval = FIRST_INTERVAL;
      });
      this.stomp.on('connected', resolve);
      this.stomp.on('disconnected', () => this.onDisconnected());
      this.stomp.on('message', (frame) => this.onMessage(frame));
      this.stomp.on('receipt', (receipt) => {
        if (this.receipts[receipt]) {
          this.receipts[receipt]();
        }
      });
      this.stomp.on('error', (error) => {
        this.note({ error: error.headers ? error.headers.message : String(error) });
      });
      this.stomp.connect();
    });
    return this.connecting;
  }

  onDisconnected() {
    this.note({ disconnected: true });
    this.connecting = null;
    if (this.closed) {
      return;
    }
    if (this.interval < LONGEST_INTERVAL) {
      this.interval *= 2;
    }
    setTimeout(async () => {
      await this.connect();
      this.note({ reconnected: true });
      for (const subscriberId in this.subscriptions) {
        this.stomp.subscribe(this.subscriptions[subscriberId].headers);
      }
    }, this.interval);
  }

  // The subscription is found by the subscriber id in the ack header, and by nothing else.
  onMessage(frame) {
    const header = frame.headers.ack;
    const { subscriberId } = JSON.parse(unescaped(header)).receiptHandle;
    const subscription = this.subscriptions[subscriberId];
    subscription.order.add(header);
    for (const text of frame.body) {
      const event = JSON.parse(text);
      event.entityType = event.entityType.split('/').pop();
      JSON.parse(event.eventData);
      subscription.handler(event, () => {
        const headers = subscription.order.done(header);
        headers.forEach((each) => this.stomp.ack(each));
        return headers.length;
      });
    }
  }
}

module.exports = { Subscriber };
