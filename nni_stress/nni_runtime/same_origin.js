// Refuses, with status 403, what a web page of another origin can send to NNI's manager, which has
// no login. Loaded by `node --require` before the manager, it looks at every HTTP request and at
// every upgrade to a WebSocket (which browsers do not check) of all servers of the process:
//   Host    must be localhost, an address of this machine's loopback, or a name that the user gave
//           in NNI_STRESS_HOSTS, so that a name that resolves to 127.0.0.1 (DNS rebinding) is none.
//           Where the user opened the manager to other machines, any IP address is good as well.
//   Origin  must be the same as Host, if there is one, as it is for NNI's own page.
//   Path    must not lead upwards ("..%2f"): NNI would read any file of the user.
'use strict';
const net = require('net');
const { guard } = require('./gate.js');

const names = (process.env.NNI_STRESS_HOSTS || '').toLowerCase().split(/[\s,]+/).filter(Boolean);
const open = process.env.NNI_STRESS_LISTEN === 'everywhere';

function isKnown(host) {
    let url;
    try {
        url = new URL(`http://${host}`);
    } catch {
        return false;
    }
    if (!host || url.host !== host.toLowerCase().replace(/:80$/, '')) {
        return false;  // more than a host and a port
    }
    const name = url.hostname.replace(/^\[|\]$/g, '');
    const isLoopback = name === 'localhost' || name === '::1' || (net.isIPv4(name) && name.startsWith('127.'));
    return isLoopback || (open && net.isIP(name) > 0) || names.includes(name);
}

function isSameOrigin(headers) {
    if (headers.origin !== undefined) {
        return [`http://${headers.host}`, `https://${headers.host}`].includes(headers.origin.toLowerCase());
    }
    const site = headers['sec-fetch-site'];  // sent by browsers only; scripts and trials send none
    return site === undefined || site === 'same-origin' || site === 'none';
}

function isLink(request) {  // a link to NNI's page, or a bookmark, may be followed from anywhere
    const { headers, method } = request;
    return method === 'GET' && headers.origin === undefined && headers['sec-fetch-mode'] === 'navigate'
        && headers['sec-fetch-dest'] === 'document';
}

function leadsUpwards(path) {
    let decoded = path.split('?')[0];
    try {
        for (let last = null; last !== decoded;) {
            last = decoded;
            decoded = decodeURIComponent(decoded);
        }
    } catch {
        return true;  // not a path that NNI makes
    }
    return decoded.split(/[\\/]/).includes('..') || decoded.includes('\0');
}

function reasonAgainst(request) {
    if (!isKnown(request.headers.host || '')) {
        return 'the Host of a request must be local, or named in NNI_STRESS_HOSTS';
    }
    if (!isSameOrigin(request.headers) && !isLink(request)) {
        return 'a request must come from the page of this manager';
    }
    return leadsUpwards(request.url) ? 'a path must not lead upwards' : null;
}

guard(reasonAgainst);
