// Gives NNI's tuner 90 seconds to start, instead of 10, which a busy machine needs, and lets nnictl
// know whether it has: every answer has a header that says so. Loaded by `node --require`.
'use strict';
const Module = require('module');
const path = require('path');
const { guard } = require('./gate.js');

const CHANNEL = path.join('core', 'tuner_command_channel.js');
const INITIALIZED = 'ID';  // NNI's command by which a tuner says that it is ready
const { _compile } = Module.prototype;
let ready = false;

Module.prototype._compile = function (content, filename, ...rest) {
    if (!filename.endsWith(CHANNEL)) {
        return _compile.call(this, content, filename, ...rest);
    }
    const patient = content.replace(/\b10000\b/, '90000').replace('in 10 seconds', 'in 90 seconds');
    const result = _compile.call(this, patient, filename, ...rest);
    this.exports.getTunerServer().onCommand((type) => { ready ||= type === INITIALIZED; });
    guard((_, response) => {
        response.setHeader?.('X-NNI-Stress-Tuner', ready ? 'ready' : 'awaited');
        return null;
    });
    return result;
};
