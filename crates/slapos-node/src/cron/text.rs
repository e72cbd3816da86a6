//! The files that have the commands of a node run: for cron, and for systemd. Pure.
//!
//! The same node always gets the same text, so that installing again changes nothing. When in a
//! minute or an hour its commands run comes from its name: thousands of nodes must not ask one
//! Master at one moment.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use slapos_slap::SoftwareUrl;
use slapos_sys::process::Command;

use crate::routine::Job;

/// The first line of every file of ours; what lacks it is not touched.
pub(super) const MARK: &str =
    "# Written by `slapos node cron --install`; `slapos node cron --remove` takes it away.";

/// Exit codes that are no failure of the machine: promises, no Master, another run.
const EXPECTED: &str = "2 3 10";

/// The command for the start of the machine, and what it does.
const BOOT: &str = "boot";
const BOOT_WHAT: &str = "addresses and services come back, and everything is looked at";
/// The unit that runs it: enabled, and started by the machine's start alone.
pub(super) const BOOT_UNIT: &str = "slapos-node-boot.service";
/// The unit that runs the agent.
pub(super) const AGENT_UNIT: &str = "slapos-agent.service";

/// Whose commands run, and how.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// This program.
    pub(super) program: PathBuf,
    /// The node's configuration.
    pub(super) config: PathBuf,
    /// Where the output goes that cron would send by mail.
    pub(super) logs: PathBuf,
    /// As whom it is run.
    pub(super) user: String,
    /// Names the node.
    pub(super) name: String,
    /// What it has run.
    pub(super) jobs: Vec<Job>,
}

impl Subject {
    /// The words of a command.
    fn words(&self, command: &[&str]) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let mut words = vec![path(&self.program), "node".to_owned()];
        words.extend(command.iter().map(|word| (*word).to_owned()));
        words.extend(["--cfg".to_owned(), path(&self.config)]);
        words
    }

    /// A command as cron takes it: for the shell, and `%` is cron's own.
    fn line(&self, command: &[&str]) -> String {
        let name = command.first().unwrap_or(&"node");
        let log = self.logs.join(format!("slapos-node-{name}.log"));
        let words = self.words(command);
        let mut command = Command::new(&self.program);
        let command = command.args(&words[1..]).display();
        let log = Command::new(log).display();
        format!("{command} >> {log} 2>&1").replace('%', "\\%")
    }

    /// What begins the part of a unit that says what it runs. Units of the machine run as root unless they
    /// say otherwise.
    fn service(&self) -> String {
        match self.user.as_str() {
            "root" => "[Service]\n".to_owned(),
            user => format!("[Service]\nUser={user}\n"),
        }
    }

    /// A number below `most` that belongs to this node and to that command.
    fn share(&self, word: &str, most: u32) -> u32 {
        let text = format!("{}\n{}\n{word}", self.name, self.config.display());
        let digest = SoftwareUrl::new(text).md5_hex();
        u32::from_str_radix(&digest[..7], 16).unwrap_or(0) % most
    }
}

/// The file for `/etc/cron.d` with the commands.
pub(super) fn crontab(subject: &Subject) -> String {
    let mut text = crontab_head();
    for job in &subject.jobs {
        let (word, what, hourly) = (job.word(), job.what(), job.is_hourly());
        let line = subject.line(&[word]);
        let _ = match hourly {
            true => {
                let minute = subject.share(word, 60);
                let user = &subject.user;
                writeln!(
                    text,
                    "\n# Once an hour: {what}.\n{minute} * * * * {user} umask 027; {line}"
                )
            }
            false => {
                let second = subject.share(word, 30);
                let user = &subject.user;
                writeln!(
                    text,
                    "\n# Once a minute: {what}.\n* * * * * {user} umask 027; sleep {second}; {line}"
                )
            }
        };
    }
    text + &at_boot(subject)
}

/// The entry of cron for the start of the machine.
fn at_boot(subject: &Subject) -> String {
    let (user, line) = (&subject.user, subject.line(&[BOOT]));
    format!("\n# After a start of the machine: {BOOT_WHAT}.\n@reboot {user} umask 027; {line}\n")
}

/// The file for `/etc/cron.d` that keeps the agent running where no systemd does: one that is
/// started beside another ends at once.
pub(super) fn crontab_of_agent(subject: &Subject) -> String {
    let line = subject.line(&["agent", "--unless-running"]);
    let user = &subject.user;
    format!(
        "{}\n# Started again within a minute, whatever ends it; a second one ends at once.\n\
         * * * * * {user} umask 027; {line}\n{}",
        crontab_head(),
        at_boot(subject)
    )
}

fn crontab_head() -> String {
    format!(
        "{MARK}\nSHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nMAILTO=\"\"\n"
    )
}

/// What keeps the logs of the commands small, for `/etc/logrotate.d`.
pub(super) fn logrotate(subject: &Subject) -> String {
    let logs = subject.logs.join("slapos-node-*.log").display().to_string();
    let logs = logs.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "{MARK}\n\"{logs}\" {{\n    weekly\n    maxsize 20M\n    rotate 8\n    compress\n    \
         delaycompress\n    missingok\n    notifempty\n    copytruncate\n}}\n"
    )
}

/// The names and texts of the units that run the commands.
pub(super) fn timers(subject: &Subject) -> Vec<(String, String)> {
    let mut units = Vec::new();
    let service = subject.service();
    for job in &subject.jobs {
        let (word, what, hourly) = (job.word(), job.what(), job.is_hourly());
        let command = exec_line(&subject.words(&[word]));
        units.push((
            format!("slapos-node-{word}.service"),
            format!(
                "{MARK}\n[Unit]\nDescription=SlapOS node: {what}\nWants=network-online.target\n\
                 After=network-online.target\n\n{service}Type=oneshot\nExecStart={command}\n\
                 SuccessExitStatus={EXPECTED}\n{KEEP_SERVICES}"
            ),
        ));
        let (first, every, spread) = match hourly {
            true => ("5min", "1h", "10min"),
            false => ("30s", "1min", "20s"),
        };
        units.push((
            format!("slapos-node-{word}.timer"),
            format!(
                "{MARK}\n[Unit]\nDescription=SlapOS node: {what}\n\n[Timer]\nOnBootSec={first}\n\
                 OnUnitInactiveSec={every}\nRandomizedDelaySec={spread}\nAccuracySec=1s\n\n\
                     [Install]\nWantedBy=timers.target\n"
            ),
        ));
    }
    units.push(unit_of_boot(subject));
    units
}

/// The name and text of the unit for the start of the machine. The others wait only until it has
/// begun: it keeps `node instance` waiting itself until addresses are there.
fn unit_of_boot(subject: &Subject) -> (String, String) {
    let command = exec_line(&subject.words(&[BOOT]));
    let services = unit_names().into_iter().filter(|name| name.ends_with(".service"));
    let others: Vec<String> = services.filter(|name| name != BOOT_UNIT).collect();
    let service = subject.service();
    let text = format!(
        "{MARK}\n[Unit]\nDescription=SlapOS node: {BOOT_WHAT}\n\
         Wants=network-online.target\nAfter=network-online.target\nBefore={}\n\n\
         {service}Type=exec\nExecStart={command}\nRestart=on-abnormal\nRestartSec=5s\n\
         {KEEP_SERVICES}\n[Install]\nWantedBy=multi-user.target\n",
        others.join(" ")
    );
    (BOOT_UNIT.to_owned(), text)
}

/// The names and texts of the units that run the agent, and the machine's start.
pub(super) fn units_of_agent(subject: &Subject) -> Vec<(String, String)> {
    let command = exec_line(&subject.words(&["agent"]));
    let service = subject.service();
    let text = format!(
        "{MARK}\n[Unit]\nDescription=SlapOS node: does what its Master wants\n\
         Wants=network-online.target\nAfter=network-online.target\n\n{service}Type=exec\n\
         ExecStart={command}\nExecReload=/bin/kill -HUP $MAINPID\nRestart=always\nRestartSec=5s\n\
         RestartPreventExitStatus=10\n{KEEP_SERVICES}\n[Install]\nWantedBy=multi-user.target\n"
    );
    vec![(AGENT_UNIT.to_owned(), text), unit_of_boot(subject)]
}

/// For units below which the supervisor may have been started.
const KEEP_SERVICES: &str = "# The supervisor and its services go on when this unit ends.\n\
     KillMode=process\nTasksMax=infinity\n";

/// All names of units that may be ours.
pub(super) fn unit_names() -> Vec<String> {
    let of = |job: Job| {
        let word = job.word();
        [format!("slapos-node-{word}.service"), format!("slapos-node-{word}.timer")]
    };
    let mut names: Vec<String> = Job::ALL.into_iter().flat_map(of).collect();
    names.extend([AGENT_UNIT, BOOT_UNIT].map(str::to_owned));
    names
}

/// A command as systemd takes it: quoted, with `%` and `$` for themselves.
fn exec_line(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@+,".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            return word.clone();
        }
        let escaped = word.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{}\"", escaped.replace('%', "%%").replace('$', "$$"))
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            program: "/usr/bin/slapos".into(),
            config: "/etc/opt/slapos/slapos.cfg".into(),
            logs: "/srv/slapgrid/var/log".into(),
            user: "root".into(),
            name: "COMP-1".into(),
            jobs: Job::ALL.to_vec(),
        }
    }

    #[test]
    fn the_entries_of_cron() {
        insta::assert_snapshot!(crontab(&subject()), @r#"
        # Written by `slapos node cron --install`; `slapos node cron --remove` takes it away.
        SHELL=/bin/sh
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        MAILTO=""

        # Once an hour: users, directories and addresses of partitions.
        13 * * * * root umask 027; /usr/bin/slapos node format --cfg /etc/opt/slapos/slapos.cfg >> /srv/slapgrid/var/log/slapos-node-format.log 2>&1

        # Once a minute: build and remove Software Releases.
        * * * * * root umask 027; sleep 29; /usr/bin/slapos node software --cfg /etc/opt/slapos/slapos.cfg >> /srv/slapgrid/var/log/slapos-node-software.log 2>&1

        # Once an hour: report usage, and remove instances that are to be destroyed.
        38 * * * * root umask 027; /usr/bin/slapos node report --cfg /etc/opt/slapos/slapos.cfg >> /srv/slapgrid/var/log/slapos-node-report.log 2>&1

        # Once a minute: deploy, change, start and stop instances.
        * * * * * root umask 027; sleep 17; /usr/bin/slapos node instance --cfg /etc/opt/slapos/slapos.cfg >> /srv/slapgrid/var/log/slapos-node-instance.log 2>&1

        # Once a minute: note what instances use of this machine.
        * * * * * root umask 027; sleep 26; /usr/bin/slapos node collect --cfg /etc/opt/slapos/slapos.cfg >> /srv/slapgrid/var/log/slapos-node-collect.log 2>&1

        # After a start of the machine: addresses and services come back, and everything is looked at.
        @reboot root umask 027; /usr/bin/slapos node boot --cfg /etc/opt/slapos/slapos.cfg >> /srv/slapgrid/var/log/slapos-node-boot.log 2>&1
        "#);
    }

    #[test]
    fn the_agent_by_cron() {
        insta::assert_snapshot!(crontab_of_agent(&subject()), @r#"
        # Written by `slapos node cron --install`; `slapos node cron --remove` takes it away.
        SHELL=/bin/sh
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        MAILTO=""

        # Started again within a minute, whatever ends it; a second one ends at once.
        * * * * * root umask 027; /usr/bin/slapos node agent --unless-running --cfg /etc/opt/slapos/slapos.cfg >> /srv/slapgrid/var/log/slapos-node-agent.log 2>&1

        # After a start of the machine: addresses and services come back, and everything is looked at.
        @reboot root umask 027; /usr/bin/slapos node boot --cfg /etc/opt/slapos/slapos.cfg >> /srv/slapgrid/var/log/slapos-node-boot.log 2>&1
        "#);
    }

    #[test]
    fn logs_stay_small() {
        insta::assert_snapshot!(logrotate(&subject()), @r#"
        # Written by `slapos node cron --install`; `slapos node cron --remove` takes it away.
        "/srv/slapgrid/var/log/slapos-node-*.log" {
            weekly
            maxsize 20M
            rotate 8
            compress
            delaycompress
            missingok
            notifempty
            copytruncate
        }
        "#);
    }

    #[test]
    fn the_timers() {
        let units = timers(&subject());
        assert_eq!(units.len(), 11);
        assert!(units.iter().all(|(name, _)| unit_names().contains(name)));
        insta::assert_snapshot!(units[2].1, @r"
        # Written by `slapos node cron --install`; `slapos node cron --remove` takes it away.
        [Unit]
        Description=SlapOS node: build and remove Software Releases
        Wants=network-online.target
        After=network-online.target

        [Service]
        Type=oneshot
        ExecStart=/usr/bin/slapos node software --cfg /etc/opt/slapos/slapos.cfg
        SuccessExitStatus=2 3 10
        # The supervisor and its services go on when this unit ends.
        KillMode=process
        TasksMax=infinity
        ");
        insta::assert_snapshot!(units[3].1, @r"
        # Written by `slapos node cron --install`; `slapos node cron --remove` takes it away.
        [Unit]
        Description=SlapOS node: build and remove Software Releases

        [Timer]
        OnBootSec=30s
        OnUnitInactiveSec=1min
        RandomizedDelaySec=20s
        AccuracySec=1s

        [Install]
        WantedBy=timers.target
        ");
        insta::assert_snapshot!(units[5].1, @r"
        # Written by `slapos node cron --install`; `slapos node cron --remove` takes it away.
        [Unit]
        Description=SlapOS node: report usage, and remove instances that are to be destroyed

        [Timer]
        OnBootSec=5min
        OnUnitInactiveSec=1h
        RandomizedDelaySec=10min
        AccuracySec=1s

        [Install]
        WantedBy=timers.target
        ");
    }

    #[test]
    fn the_unit_of_the_agent() {
        let units = units_of_agent(&subject());
        assert!(unit_names().contains(&units[0].0));
        insta::assert_snapshot!(units[0].1, @r"
        # Written by `slapos node cron --install`; `slapos node cron --remove` takes it away.
        [Unit]
        Description=SlapOS node: does what its Master wants
        Wants=network-online.target
        After=network-online.target

        [Service]
        Type=exec
        ExecStart=/usr/bin/slapos node agent --cfg /etc/opt/slapos/slapos.cfg
        ExecReload=/bin/kill -HUP $MAINPID
        Restart=always
        RestartSec=5s
        RestartPreventExitStatus=10
        # The supervisor and its services go on when this unit ends.
        KillMode=process
        TasksMax=infinity

        [Install]
        WantedBy=multi-user.target
        ");
    }

    #[test]
    fn the_unit_for_the_start_of_the_machine() {
        for units in [timers(&subject()), units_of_agent(&subject())] {
            assert_eq!(units.last(), Some(&unit_of_boot(&subject())));
        }
        insta::assert_snapshot!(unit_of_boot(&subject()).1, @r"
        # Written by `slapos node cron --install`; `slapos node cron --remove` takes it away.
        [Unit]
        Description=SlapOS node: addresses and services come back, and everything is looked at
        Wants=network-online.target
        After=network-online.target
        Before=slapos-node-format.service slapos-node-software.service slapos-node-report.service slapos-node-instance.service slapos-node-collect.service slapos-agent.service

        [Service]
        Type=exec
        ExecStart=/usr/bin/slapos node boot --cfg /etc/opt/slapos/slapos.cfg
        Restart=on-abnormal
        RestartSec=5s
        # The supervisor and its services go on when this unit ends.
        KillMode=process
        TasksMax=infinity

        [Install]
        WantedBy=multi-user.target
        ");
    }

    #[test]
    fn units_run_as_the_nodes_user() {
        let others = Subject { user: "me".into(), ..subject() };
        for units in [timers(&others), units_of_agent(&others)] {
            let services = units.iter().filter(|(name, _)| name.ends_with(".service"));
            for (name, text) in services {
                assert!(text.contains("[Service]\nUser=me\nType="), "{name}: {text}");
            }
        }
        assert!(!unit_of_boot(&subject()).1.contains("User="));
    }

    #[test]
    fn strange_paths_mean_themselves() {
        let strange = Subject { config: "/a b/50%/it's$HOME\"".into(), ..subject() };
        insta::assert_snapshot!(strange.line(&["software"]), @r#"/usr/bin/slapos node software --cfg '/a b/50\%/it'\''s$HOME"' >> /srv/slapgrid/var/log/slapos-node-software.log 2>&1"#);
        insta::assert_snapshot!(exec_line(&strange.words(&["software"])), @r#"/usr/bin/slapos node software --cfg "/a b/50%%/it's$$HOME\"""#);
    }

    #[test]
    fn nodes_have_their_own_moments() {
        let share = |name: &str| {
            let subject = Subject { name: name.into(), ..subject() };
            (subject.share("report", 60), subject.share("format", 60))
        };
        assert_eq!(share("COMP-1"), share("COMP-1"));
        assert_ne!(share("COMP-1"), share("COMP-2"));
    }
}
