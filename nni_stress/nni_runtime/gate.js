// Lets the other files of this folder look at every HTTP request, and at every upgrade to a
// WebSocket, of all servers of a node process before anything else does, and refuse it with 403.
'use strict';
const http = require('http');
const https = require('https');

const EVENTS = ['request', 'checkContinue', 'checkExpectation', 'upgrade', 'connect'];
const checks = [];

// `reasonAgainst` is called with the request, the response (or the socket) and the server; it
// returns why the request is refused, or null.
exports.guard = (reasonAgainst) => checks.push(reasonAgainst);

function refuse(isRequest, other, reason) {
    const body = `nni-stress: ${reason}\n`;
    if (isRequest) {
        other.writeHead(403, { 'Content-Type': 'text/plain', Connection: 'close' });
        other.end(body);
    } else {
        other.end(`HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    }
}

for (const { Server } of [http, https]) {
    const { emit } = Server.prototype;
    Server.prototype.emit = function (event, request, other, ...rest) {
        if (EVENTS.includes(event)) {
            for (const reasonAgainst of checks) {
                const reason = reasonAgainst(request, other, this);
                if (reason) {
                    refuse(event !== 'upgrade' && event !== 'connect', other, reason);
                    return true;
                }
            }
        }
        return emit.call(this, event, request, other, ...rest);
    };
}
