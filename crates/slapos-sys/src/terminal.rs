//! Asking a person for a secret.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::Secret;

/// The longest secret that is read, in bytes.
const MAX_SECRET: u64 = 4096;

/// Asks for a secret on standard error and reads one line of standard input; a terminal does not
/// show it. Without a terminal nothing is asked: whoever calls us knows what to write.
///
/// # Errors
/// When nothing can be read, or there is only an empty line.
pub fn ask_secret(question: &str) -> io::Result<Secret> {
    let input = io::stdin();
    let hidden = match input.is_terminal() {
        true => Some(Hidden::start(question)?),
        false => None,
    };
    let mut line = String::new();
    io::Read::take(input.lock(), MAX_SECRET).read_line(&mut line)?;
    drop(hidden);
    match line.trim() {
        "" => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "nothing was given")),
        secret => Ok(Secret::new(secret)),
    }
}

/// While it lives, the terminal shows nothing of what is typed.
struct Hidden(Termios);

impl Hidden {
    fn start(question: &str) -> io::Result<Hidden> {
        let mut error = io::stderr();
        write!(error, "{question}: ")?;
        error.flush()?;
        let former = tcgetattr(io::stdin())?;
        let mut quiet = former.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Hidden(former))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
        let _ = writeln!(io::stderr());
    }
}
