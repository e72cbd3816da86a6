//! Groups to files.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::limits::GroupLimits;
use crate::spec::{AutoRestart, ProgramSpec};

/// Writes `<conf_dir>/<group>.conf` (mode 0600, whole or not at all) so that it defines `group`
/// with exactly these programs. Returns whether the file changed.
///
/// # Errors
/// `InvalidInput` for what the syntax cannot say, else those of the file system.
pub fn write_group(conf_dir: &Path, group: &str, programs: &[ProgramSpec]) -> io::Result<bool> {
    write_limited_group(conf_dir, group, &GroupLimits::default(), programs)
}

/// As [`write_group`], with limits of what the programs may take together.
///
/// # Errors
/// As [`write_group`].
pub fn write_limited_group(
    conf_dir: &Path,
    group: &str,
    limits: &GroupLimits,
    programs: &[ProgramSpec],
) -> io::Result<bool> {
    let text = render(group, limits, programs)?;
    slapos_sys::fs::create_dir_all(conf_dir, 0o700)?;
    slapos_sys::fs::write_atomic_if_changed(&file(conf_dir, group)?, text.as_bytes(), 0o600)
}

/// Writes `<conf_dir>/<name>.conf` (mode 0600, whole or not at all) so that it defines the event
/// listener `spec`, a group of its own. Returns whether the file changed.
///
/// # Errors
/// `InvalidInput` for what the syntax cannot say, or what is no listener; else those of the file
/// system.
pub fn write_listener(conf_dir: &Path, spec: &ProgramSpec) -> io::Result<bool> {
    let name = &spec.program;
    check_name("listener", name)?;
    let Some(listener) = &spec.listener else {
        return Err(invalid(format!("program `{name}` is no event listener")));
    };
    let mut options = options(spec)?;
    options.retain(|(key, _)| *key != "redirect_stderr");
    for (key, _) in &mut options {
        *key = match *key {
            "stdout_logfile" => "stderr_logfile",
            "stdout_logfile_maxbytes" => "stderr_logfile_maxbytes",
            "stdout_logfile_backups" => "stderr_logfile_backups",
            other => other,
        };
    }
    options.push(("events", listener.events.join(",")));
    options.push(("buffer_size", listener.buffer_size.to_string()));
    let text = section("eventlistener", name, &options)?;
    check_readable(name, std::slice::from_ref(spec), &text)?;
    slapos_sys::fs::create_dir_all(conf_dir, 0o700)?;
    slapos_sys::fs::write_atomic_if_changed(&file(conf_dir, name)?, text.as_bytes(), 0o600)
}

/// Removes what [`write_group`] wrote for `group`. Returns whether there was a file.
///
/// # Errors
/// Those of the file system.
pub fn remove_group(conf_dir: &Path, group: &str) -> io::Result<bool> {
    match std::fs::remove_file(file(conf_dir, group)?) {
        Ok(()) => slapos_sys::fs::sync_dir(conf_dir).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn file(conf_dir: &Path, group: &str) -> io::Result<PathBuf> {
    check_name("group", group)?;
    Ok(conf_dir.join(format!("{group}.conf")))
}

pub(super) fn render(
    group: &str,
    limits: &GroupLimits,
    programs: &[ProgramSpec],
) -> io::Result<String> {
    check_name("group", group)?;
    let mut names = Vec::new();
    for spec in programs {
        check_name("program", &spec.program)?;
        check_name("process", &spec.process_name)?;
        if names.contains(&spec.program.as_str()) {
            let name = &spec.program;
            return Err(invalid(format!("group `{group}`: two programs are named `{name}`")));
        }
        names.push(spec.program.as_str());
    }
    let mut text = format!("[group:{group}]\nprograms={}\n", escape(&names.join(",")));
    for (key, value) in limits.options() {
        let _ = writeln!(text, "{key}={}", escape(value));
    }
    for spec in programs {
        text.push('\n');
        text.push_str(&section("program", &spec.program, &options(spec)?)?);
    }
    check_readable(group, programs, &text)?;
    Ok(text)
}

fn section(kind: &str, name: &str, options: &[(&'static str, String)]) -> io::Result<String> {
    let mut text = format!("[{kind}:{name}]\n");
    for (key, value) in options {
        let one_line = !value.chars().any(char::is_control) && value.trim() == value;
        if !one_line {
            let message = format!(
                "`{key}` of program `{name}` holds a line break, or a space at an end, which the \
                 configuration cannot express: {value:?}"
            );
            return Err(invalid(message));
        }
        let _ = writeln!(text, "{key}={}", escape(value));
    }
    Ok(text)
}

/// What is written must read back as what was meant: a file that the daemon refuses would take
/// its group away from it, and one that says something else would run something else.
fn check_readable(group: &str, programs: &[ProgramSpec], text: &str) -> io::Result<()> {
    let read = super::parse(text, &format!("{group}.conf"))
        .map_err(|error| invalid(format!("group `{group}` cannot be written: {error}")))?;
    let mut meant: Vec<&ProgramSpec> = programs.iter().collect();
    meant.sort_by_key(|spec| spec.priority);
    let read: Vec<&ProgramSpec> = read.iter().flat_map(|group| &group.programs).collect();
    let differs = meant.iter().zip(&read).find(|(meant, read)| meant != read);
    match differs {
        None if meant.len() == read.len() => Ok(()),
        differs => Err(invalid(format!(
            "group `{group}` cannot be written: program `{}` would be read back differently",
            differs.map_or("", |(meant, _)| meant.program.as_str())
        ))),
    }
}

fn options(spec: &ProgramSpec) -> io::Result<Vec<(&'static str, String)>> {
    let path = |path: &Option<PathBuf>| path.as_deref().map(utf8).transpose();
    let restart = match spec.autorestart {
        AutoRestart::Always => "true",
        AutoRestart::Never => "false",
        AutoRestart::Unexpected => "unexpected",
    };
    let codes: Vec<_> = spec.exitcodes.iter().map(i32::to_string).collect();
    let options = [
        ("command", Some(command(spec)?)),
        ("process_name", Some(spec.process_name.clone())),
        ("directory", path(&spec.directory)?),
        ("user", spec.user.clone()),
        ("group", spec.group.clone()),
        ("environment", environment(spec)?),
        ("autostart", Some(spec.autostart.to_string())),
        ("autorestart", Some(restart.to_owned())),
        ("startsecs", Some(spec.startsecs.to_string())),
        ("startretries", Some(spec.startretries.to_string())),
        ("exitcodes", Some(codes.join(","))),
        ("stopsignal", Some(spec.stopsignal.to_string())),
        ("stopwaitsecs", Some(spec.stopwaitsecs.to_string())),
        ("stopasgroup", Some(spec.stopasgroup.to_string())),
        ("killasgroup", Some(spec.killasgroup.to_string())),
        ("redirect_stderr", Some("true".to_owned())),
        ("stdout_logfile", Some(path(&spec.stdout_logfile)?.unwrap_or_else(|| "NONE".to_owned()))),
        ("stdout_logfile_maxbytes", Some(size(spec.stdout_logfile_maxbytes))),
        ("stdout_logfile_backups", Some(spec.stdout_logfile_backups.to_string())),
        ("umask", Some(format!("{:03o}", spec.umask))),
        ("priority", Some(spec.priority.to_string())),
    ];
    let set = options.into_iter().filter_map(|(key, value)| Some((key, value?)));
    Ok(set.chain(spec.limits.options()).collect())
}

fn command(spec: &ProgramSpec) -> io::Result<String> {
    if spec.command.is_empty() {
        return Err(invalid(format!("program `{}` has no command", spec.program)));
    }
    let words = spec.command.iter().map(String::as_str);
    shlex::try_join(words).map_err(|error| {
        let program = &spec.program;
        invalid(format!("the command of program `{program}`: {error}"))
    })
}

fn environment(spec: &ProgramSpec) -> io::Result<Option<String>> {
    let mut pairs = Vec::new();
    for (name, value) in &spec.environment {
        if name.is_empty() || name.contains(['=', ',', '"', '\'', ' ']) {
            return Err(invalid(format!("`{name}` is not the name of a variable")));
        }
        pairs.push(format!("{name}={}", quote(value)));
    }
    Ok((!pairs.is_empty()).then(|| pairs.join(",")))
}

/// In double quotes, but for the double quotes themselves, which go into single ones.
fn quote(value: &str) -> String {
    let pieces: Vec<_> = value.split('"').map(|piece| format!("\"{piece}\"")).collect();
    match value.contains('"') && !value.contains('\'') {
        true => format!("'{value}'"),
        false => pieces.join("'\"'"),
    }
}

fn size(bytes: u64) -> String {
    for (unit, bits) in [("GB", 30), ("MB", 20), ("KB", 10)] {
        if bytes > 0 && bytes.is_multiple_of(1 << bits) {
            return format!("{}{unit}", bytes >> bits);
        }
    }
    bytes.to_string()
}

fn escape(value: &str) -> String {
    value.replace('%', "%%")
}

fn utf8(path: &Path) -> io::Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| invalid(format!("{} is not UTF-8", path.display())))
}

fn check_name(what: &str, name: &str) -> io::Result<()> {
    if super::is_name(name) {
        return Ok(());
    }
    Err(invalid(format!(
        "`{name}` cannot name a {what}: no spaces and none of `,` `:` `/` `]` `*`"
    )))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
