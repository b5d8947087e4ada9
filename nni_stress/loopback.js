// NNI's manager binds every interface, without a login. Loaded before it by `node --require`, this makes all its
// servers listen on 127.0.0.1 only.
'use strict';
const { Server } = require('net');
const listen = Server.prototype.listen;

Server.prototype.listen = function (first, ...rest) {
    const port = typeof first === 'object' && first !== null ? first.port : first;
    const isPort = port !== undefined && port !== null && !Number.isNaN(Number(port)) && typeof first !== 'function';
    if (!isPort) {
        return listen.call(this, first, ...rest);  // a pipe, or a handle that listens already
    }
    const callback = rest.find((argument) => typeof argument === 'function');
    const options = typeof first === 'object' ? first : {};
    return listen.call(this, { ...options, port: Number(port), host: '127.0.0.1' }, callback);
};
