//! Progress: a spinner for each running part on a terminal, timestamped lines elsewhere.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use slapos_node::worker::Event;
use slapos_node::{NodeError, Reporter};
use slapos_sys::clock::{Clock as _, SystemClock, local_text};

use super::{body, colour, plain};
use crate::cli::Global;

/// Parts that take less are only worth a line with `-v`, seconds.
const WORTH_A_LINE: f64 = 0.2;

/// Shows what a command does on standard error.
pub(crate) struct Watch {
    bars: Option<MultiProgress>,
    running: Mutex<HashMap<(String, String), ProgressBar>>,
    verbose: bool,
    quiet: bool,
    colour: bool,
    /// Lines on a terminal have the time too.
    timed: bool,
}

impl Watch {
    /// Spinners if standard error is a terminal, else lines.
    pub(crate) fn new(global: &Global) -> Self {
        let quiet = global.quiet;
        let terminal = std::io::stderr().is_terminal() && !quiet;
        Self {
            bars: terminal.then(MultiProgress::new),
            running: Mutex::default(),
            verbose: global.verbosity() > 0,
            quiet,
            colour: colour(&std::io::stderr()),
            timed: global.log_time,
        }
    }

    fn line(&self, mark: &str, paint: &str, subject: &str, text: &str) {
        let text = &indented(&plain(text));
        super::log_file::line(mark, subject, text);
        let (start, dim, off) =
            if self.colour { (paint, "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let now = local_text(SystemClock.now(), "%Y-%m-%d %H:%M:%S");
        match &self.bars {
            Some(bars) => {
                let time = if self.timed { format!("{dim}{now}{off} ") } else { String::new() };
                let line = format!("{time}{start}{mark}{off} {dim}{subject}{off} {text}");
                let _ = bars.println(line);
            }
            None => {
                let _ = writeln!(std::io::stderr(), "{now} {mark} {subject}: {text}");
            }
        }
    }

    fn info(&self, subject: &str, text: &str) {
        if !self.quiet {
            self.line("INFO", "\x1b[32m", subject, text);
        }
    }

    fn start(&self, subject: &str, part: &str, text: String) {
        let Some(bars) = &self.bars else { return };
        let style = ProgressStyle::with_template(
            "{spinner:.cyan} {prefix:.bold} {wide_msg:.dim} {elapsed}",
        );
        let bar = bars.add(ProgressBar::new_spinner());
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(part.to_owned());
        bar.set_message(text);
        bar.enable_steady_tick(Duration::from_millis(100));
        let mut running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        running.insert((subject.to_owned(), part.to_owned()), bar);
    }

    fn with_bar(&self, subject: &str, part: &str, end: bool, act: impl FnOnce(&ProgressBar)) {
        let key = (subject.to_owned(), part.to_owned());
        let mut running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = running.get(&key) {
            act(bar);
        }
        if end {
            running.remove(&key);
        }
    }

    fn progress(&self, subject: &str, part: &str, text: &str) {
        match self.bars {
            Some(_) => self.with_bar(subject, part, false, |bar| bar.set_message(plain(text))),
            None => self.info(subject, &format!("{part}: {text}")),
        }
    }
}

/// `text` with all lines but the first a little to the right: what a file's name or an error holds
/// must not look like a line of ours.
fn indented(text: &str) -> String {
    let mut lines = text.split('\n');
    let mut all = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        let is_ours =
            line.is_empty() || line.starts_with([' ', '\t']) || line.starts_with("help: ");
        all.push_str(if is_ours { "\n" } else { "\n  " });
        all.push_str(line);
    }
    all
}

impl Reporter for Watch {
    fn note(&self, subject: &str, text: &str) {
        self.info(subject, text);
    }

    fn warn(&self, subject: &str, text: &str) {
        self.line("WARNING", "\x1b[33m", subject, text);
    }

    fn failed(&self, subject: &str, error: &NodeError) {
        self.line("ERROR", "\x1b[31m", subject, body(error, false).trim_end());
    }

    fn part(&self, subject: &str, event: &Event) {
        match event {
            Event::PlanMade { install, update, keep, remove } => {
                if self.verbose {
                    self.info(subject, &format!(
                        "parts: {install} to install, {update} to update, {keep} to keep, {remove} to remove"
                    ));
                }
            }
            Event::PartStarted { part, action, reason } => {
                self.start(subject, part, reason.clone());
                if self.verbose {
                    self.info(subject, &format!("{action} {part}: {reason}"));
                }
            }
            Event::PartProgress { part, text } => self.progress(subject, part, text),
            Event::PartFinished { part, seconds } => {
                self.with_bar(subject, part, true, ProgressBar::finish_and_clear);
                if self.verbose || *seconds >= WORTH_A_LINE {
                    self.info(subject, &format!("{part} done in {seconds:.1} s"));
                }
            }
            // The whole story comes with the error that ends the run, when others are done.
            Event::PartFailed { part, message, log, .. } => {
                self.with_bar(subject, part, true, ProgressBar::finish_and_clear);
                let text = format!("{part} failed: {message} (log: {})", log.display());
                self.line("ERROR", "\x1b[31m", subject, &text);
            }
            Event::Warning { part, text } => match part {
                Some(part) => self.warn(subject, &format!("{part}: {text}")),
                None => self.warn(subject, text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_looks_like_a_line_of_ours() {
        let forged = "etc/service/x\n2026-11-26 13:51:51 INFO slappart9: destroyed";
        insta::assert_snapshot!(indented(forged), @r"
        etc/service/x
          2026-11-26 13:51:51 INFO slappart9: destroyed
        ");
        let usual = "it failed\n  here\n\nhelp: mend it";
        assert_eq!(indented(usual), usual);
    }
}
