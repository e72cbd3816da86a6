//! The methods that there are, with what they do, for `system.listMethods` and `methodHelp`.

/// Name, arguments and meaning.
pub(crate) const METHODS: &[(&str, &str)] = &[
    (
        "slapos.follow",
        "(name, position, length): what was added to a log after a position, through rotations",
    ),
    ("slapos.generation", "(): how many times the daemon's program was replaced"),
    ("slapos.remarks", "(): what was left out of the definitions when they were read last"),
    ("slapos.replace", "(): execute the daemon's program as it is on disk; services go on"),
    ("slapos.update", "([groups]): read the definitions and make groups as they say"),
    ("slapos.usage", "(): what processes use, where the kernel accounts for it"),
    ("supervisor.addProcessGroup", "(group): make a defined group active"),
    ("supervisor.clearAllProcessLogs", "(): empty the logs of all processes"),
    ("supervisor.clearLog", "(): empty the daemon's own log"),
    ("supervisor.clearProcessLog", "(name): empty the log of a process"),
    ("supervisor.clearProcessLogs", "(name): empty the log of a process"),
    ("supervisor.getAPIVersion", "(): the version of this interface"),
    ("supervisor.getAllConfigInfo", "(): what is defined"),
    ("supervisor.getAllProcessInfo", "(): all processes and their states"),
    ("supervisor.getIdentification", "(): the daemon's name"),
    ("supervisor.getPID", "(): the daemon's process id"),
    ("supervisor.getProcessInfo", "(name): a process and its state"),
    ("supervisor.getState", "(): the daemon's state"),
    ("supervisor.getSupervisorVersion", "(): the daemon's version"),
    ("supervisor.getVersion", "(): the version of this interface"),
    ("supervisor.readLog", "(offset, length): a piece of the daemon's own log"),
    ("supervisor.readMainLog", "(offset, length): a piece of the daemon's own log"),
    ("supervisor.readProcessLog", "(name, offset, length): a piece of a log"),
    ("supervisor.readProcessStderrLog", "(name, offset, length): a piece of a listener's log"),
    ("supervisor.readProcessStdoutLog", "(name, offset, length): a piece of a log"),
    ("supervisor.reloadConfig", "(): read the definitions and tell what changed"),
    ("supervisor.removeProcessGroup", "(group): forget a stopped group"),
    ("supervisor.restart", "(): stop everything, read the definitions, start"),
    ("supervisor.sendProcessStdin", "(name, text): refused, services have no standard input"),
    ("supervisor.sendRemoteCommEvent", "(type, data): tell listeners something"),
    ("supervisor.shutdown", "(): stop everything and end"),
    ("supervisor.signalAllProcesses", "(signal): send a signal to all processes"),
    ("supervisor.signalProcess", "(name, signal): send a signal to a process"),
    ("supervisor.signalProcessGroup", "(group, signal): send a signal to a group's processes"),
    ("supervisor.startAllProcesses", "([wait]): start what does not run"),
    ("supervisor.startProcess", "(name, [wait]): start a process"),
    ("supervisor.startProcessGroup", "(group, [wait]): start what does not run of a group"),
    ("supervisor.stopAllProcesses", "([wait]): stop what runs"),
    ("supervisor.stopProcess", "(name, [wait]): stop a process"),
    ("supervisor.stopProcessGroup", "(group, [wait]): stop what runs of a group"),
    ("supervisor.tailProcessLog", "(name, offset, length): what was added to a log"),
    (
        "supervisor.tailProcessStderrLog",
        "(name, offset, length): what was added to a listener's log",
    ),
    ("supervisor.tailProcessStdoutLog", "(name, offset, length): what was added to a log"),
    ("system.listMethods", "(): the names of all methods"),
    ("system.methodHelp", "(method): what a method does"),
    ("system.multicall", "([{methodName, params}]): several calls at once"),
];

/// What a method does.
pub(crate) fn help(method: &str) -> Option<String> {
    let found = METHODS.iter().find(|(name, _)| *name == method)?;
    Some(format!("{}{}", found.0, found.1))
}
