// By itself, NNI's manager listens on every network interface, without a login, and so does the
// TensorBoard that its web page starts. This file is loaded before the manager, by
// `node --require`, and makes both listen on 127.0.0.1 only.
'use strict';
const { Server } = require('net');
const childProcess = require('child_process');
const { listen } = Server.prototype;
const { spawn } = childProcess;

Server.prototype.listen = function (...args) {
    const callback = args.find((argument) => typeof argument === 'function');
    const first = typeof args[0] === 'function' ? undefined : args[0];
    const options = typeof first === 'object' && first !== null ? first : { port: first ?? 0 };
    if (options.port === undefined || options.port === null || Number.isNaN(Number(options.port))) {
        return listen.apply(this, args);  // a pipe, or a handle that already listens
    }
    return listen.call(this, { ...options, port: Number(options.port), host: '127.0.0.1' }, callback);
};

childProcess.spawn = function (command, args, ...rest) {
    if (command === 'tensorboard' && Array.isArray(args)) {
        args = [...args.map((argument) => argument.replace('--bind_all', '')), '--host=127.0.0.1'];
    }
    return spawn.call(this, command, args, ...rest);
};
