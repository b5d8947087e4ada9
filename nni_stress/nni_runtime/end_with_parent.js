// Ends NNI's manager, with its trials, when the process that follows its experiment has ended,
// however that came: NNI_STRESS_PARENT is that process as "PID:TIME OF ITS START". Loaded by
// `node --require` before the manager.
'use strict';
const fs = require('fs');
const [pid, started] = (process.env.NNI_STRESS_PARENT || '').split(':');

function isAlive() {
    try {
        const status = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
        const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
        return fields[0] !== 'Z' && fields[19] === started;  // numbers of processes are used again
    } catch {
        return false;
    }
}

if (started && isAlive()) {
    const watch = setInterval(() => {
        if (!isAlive()) {
            clearInterval(watch);
            process.kill(process.pid, 'SIGTERM');
            setTimeout(() => process.kill(process.pid, 'SIGKILL'), 60000).unref();
        }
    }, 500);
    watch.unref();
}
