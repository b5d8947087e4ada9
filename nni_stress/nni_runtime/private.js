// Keeps NNI's manager, which has no login, from other users of the machine. Loaded by
// `node --require` before the manager.
//   URLs   begin with a secret, NNI's own "URL prefix", which the manager gives to its tuner, its
//          trials and its page. It comes in an environment variable, which other users cannot read,
//          as they can a command line; a request without it gets 403. (NNI would name it in a 404.)
//   Files  that the manager, its tuner and its trials write are for the user alone.
'use strict';
const { timingSafeEqual } = require('crypto');
const { guard } = require('./gate.js');

const prefix = process.env.NNI_STRESS_PREFIX;
delete process.env.NNI_STRESS_PREFIX;  // other node processes, started by trials, are no managers

function isBelow(path) {
    const [start, after] = [Buffer.from(path.slice(0, prefix.length + 1)), path[prefix.length + 1]];
    const expected = Buffer.from(`/${prefix}`);
    return start.length === expected.length && timingSafeEqual(start, expected)
        && [undefined, '/', '?'].includes(after);
}

if (prefix) {
    process.umask(0o077);
    process.argv.push('--url-prefix', prefix);
    const port = Number(process.argv[process.argv.indexOf('--port') + 1]);
    guard((request, _, server) => {
        const address = server.address();  // workers of NNI's reuse mode connect to another port
        return address && address.port === port && !isBelow(request.url)
            ? 'the URL must begin with the secret that `nnictl webui url` shows'
            : null;
    });
}
