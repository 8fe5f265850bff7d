// SPDX-License-Identifier: Apache-2.0
//
// Requests over TLS as fast as they can be written: sockets that keep many under way, and read the answers. Forked by
// assault.test.ts: `node flood.js {"port", "sockets", "deep", "seconds", "token"}`; sends {sent, answered, byStatus}.
import { connect } from 'node:tls';

const { port, sockets, deep, seconds, token } = JSON.parse(process.argv[2]);
const request = Buffer.from(
  `GET /v1/status HTTP/1.1\r\nHost: cellwall\r\n${token ? `Authorization: Bearer ${token}\r\n` : ''}\r\n`,
);
const end = Date.now() + seconds * 1000;
const total = { sent: 0, answered: 0, byStatus: {}, broken: 0 };

function open() {
  const socket = connect({ port, host: '127.0.0.1', servername: '', rejectUnauthorized: false });
  let rest = '';
  const send = (count) => {
    if (Date.now() > end) return socket.destroy();
    total.sent += count;
    socket.write(Buffer.concat(Array(count).fill(request)));
  };
  socket.on('secureConnect', () => send(deep));
  socket.on('data', (data) => {
    const text = rest + data.toString('latin1');
    const found = text.match(/HTTP\/1\.1 \d{3}/g) ?? [];
    // What may be the beginning of another one.
    rest = text.slice(-11).replace(/HTTP\/1\.1 \d{3}/, '');
    for (const line of found) total.byStatus[line.slice(9)] = (total.byStatus[line.slice(9)] ?? 0) + 1;
    total.answered += found.length;
    if (found.length > 0) send(found.length);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    if (Date.now() > end) return;
    total.broken++;
    setTimeout(open, 100);
  });
}

for (let i = 0; i < sockets; i++) open();
setTimeout(() => process.send(total, () => process.exit(0)), seconds * 1000 + 200);
