//! `etc/supervisord.conf`: the file in which Python's supervisor, and people, look for what is
//! below an instance root. Our daemon needs none; `supervisorctl -c` does, and so does a
//! `supervisord` that others start for this instance root.

use std::io;
use std::path::PathBuf;

use crate::Paths;

/// As in the original.
const LOG_BYTES: &str = "50MB";
const LOG_BACKUPS: u32 = 10;

/// Writes the file (mode 0600, whole or not at all), and makes the directories that it names.
/// Returns its path.
///
/// # Errors
/// `InvalidInput` when a path cannot be said in the file, else those of the file system.
pub fn write_configuration(paths: &Paths) -> io::Result<PathBuf> {
    paths.prepare()?;
    let file = paths.configuration();
    slapos_sys::fs::write_atomic_if_changed(&file, text(paths)?.as_bytes(), 0o600)?;
    Ok(file)
}

fn text(paths: &Paths) -> io::Result<String> {
    let root = paths.root().to_str().filter(|root| !root.chars().any(char::is_control));
    let root = root.ok_or_else(|| {
        let root = paths.root().display();
        io::Error::new(io::ErrorKind::InvalidInput, format!("{root} cannot be written in a file"))
    })?;
    // A percent sign begins an expression there.
    let root = root.replace('%', "%%");
    Ok(format!(
        "; Written by `slapos node`, for `supervisorctl -c` and programs like it.
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = {root}/etc/supervisord.conf.d/*.conf

[supervisorctl]
serverurl = unix://{root}/sv.sock

[supervisord]
loglevel = info
logfile = {root}/var/log/supervisord.log
logfile_maxbytes = {LOG_BYTES}
logfile_backups = {LOG_BACKUPS}
nodaemon = false
pidfile = {root}/var/run/supervisord.pid

[unix_http_server]
file = {root}/sv.sock
chmod = 0700
"
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_for_its_owner_and_names_what_is_below_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("100%");
        std::fs::create_dir(&root).unwrap();
        let paths = Paths::new(&root);
        let file = write_configuration(&paths).unwrap();
        assert_eq!(file, root.join("etc/supervisord.conf"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("/100%%/sv.sock"), "{text}");
        assert!(write_configuration(&Paths::new("/a\nb")).is_err());
    }
}
