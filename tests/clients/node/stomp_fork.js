'use strict';

// The published Node.js client carries a changed copy of the `stomp` package. This is that package
// with what the copy changed, as far as a server can see it:
//   - CONNECT has a heart-beat header, and the connection is given up when nothing came for three
//     times what the server promised; yet no heart-beat is ever sent;
//   - a read that is one line end is a heart-beat; in any other, line ends are part of a frame,
//     but for those right behind a NUL;
//   - each read is decoded for itself, as UTF-8;
//   - ACK names its message in `id`.

const net = require('net');
const { Stomp } = require('stomp');
const { Frame } = require('stomp/lib/frame');

const HEART_BEAT = [5000, 5000];
const SOCKET_TIMEOUT = 50000;
const BEATS_TO_WAIT = 3;
const BETWEEN_FRAMES = /\u0000[\n]*/;

class ForkedStomp extends Stomp {
  connect() {
    this.buffer = '';
    this.socket = new net.Socket();
    this.socket.setTimeout(SOCKET_TIMEOUT);
    this.socket.on('connect', () => {
      this.emit('socketConnected');
      const headers = { login: this.login, passcode: this.passcode };
      headers['heart-beat'] = HEART_BEAT.join(',');
      this.write('CONNECT', headers);
    });
    this.socket.on('data', (chunk) => this.onData(chunk.toString()));
    this.socket.on('error', (error) => {
      this.emit('error', error);
      this.disconnect();
    });
    this.socket.on('close', (error) => this.emit('disconnected', error));
    this.socket.on('timeout', () => this.disconnect());
    this.socket.connect(this.port, this.host);
  }

  subscribe(headers) {
    this.write('SUBSCRIBE', { ...headers, session: this.session });
    this._subscribed_to[headers.destination] = { enabled: true };
  }

  disconnect() {
    this.socket.end();
    if (this.socket.readyState === 'readOnly') {
      this.socket.destroy();
    }
  }

  ack(id) {
    this.write('ACK', { id });
  }

  write(command, headers) {
    this.socket.write(new Frame().build_frame({ command, headers }).as_string());
  }

  onData(chunk) {
    if (chunk === '\n') {
      return;
    }
    this.buffer += chunk;
    if (!BETWEEN_FRAMES.test(this.buffer)) {
      return;
    }
    const frames = this.buffer.split(BETWEEN_FRAMES);
    this.buffer = frames.pop();
    let text;
    while ((text = frames.shift())) {
      this.onFrame(parsed(text));
    }
  }

  onFrame(frame) {
    if (frame.command === 'CONNECTED') {
      const promised = parseInt((frame.headers['heart-beat'] || '0').split(',')[0], 10);
      if (promised) {
        this.socket.setTimeout(promised * BEATS_TO_WAIT);
      }
      this.session = frame.headers.session;
      this.emit('connected');
    } else {
      this.handle_new_frame(frame);
    }
  }
}

// What is no header is passed over; the body is what blank lines part, and content-length is not
// looked at.
function parsed(text) {
  const command = text.split('\n')[0];
  const [head, ...body] = text.slice(command.length + 1).split('\n\n');
  const headers = {};
  for (const line of head.split('\n')) {
    const [name, ...value] = line.split(':');
    if (value.length) {
      headers[name.trim()] = value.join(':').trim();
    }
  }
  return new Frame().build_frame({ command, headers, body });
}

module.exports = { ForkedStomp };
