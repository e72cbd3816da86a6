//! What the command line says of itself.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests run the program directly"
)]

fn slapos(args: &[&str]) -> String {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_slapos")).args(args).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn help_lists_the_commands() {
    insta::assert_snapshot!(slapos(&["--help"]));
    insta::assert_snapshot!(slapos(&["node", "--help"]));
}

#[test]
fn a_misspelt_option_is_told_once_but_not_to_the_log_of_cron_every_minute() {
    let directory = tempfile::tempdir().unwrap();
    let (root, file) = (directory.path().display(), directory.path().join("slapos.cfg"));
    let text = format!(
        "[slapos]\nsoftware_root = {root}/s\ninstance_root = {root}/i\ncomputer_id = c\n\
         master_url = http://127.0.0.1:1\nmaximum_periodicty = 5\nnobody = 1\n[other]\nx = 1\n"
    );
    std::fs::write(&file, text).unwrap();
    let cfg = file.to_str().unwrap();
    let told = |words: &[&str]| slapos(&[words, &["--cfg", cfg]].concat());
    for words in [["node", "format", "--dry-run"].as_slice(), &["service", "list"]] {
        let told = told(words);
        let line = format!(
            "WARNING configuration: {cfg}:6: `maximum_periodicty` is no option of [slapos]; did you \
             mean `maximum_periodicity`?\n"
        );
        assert_eq!(told.matches(&line).count(), 1, "{words:?}: {told}");
        assert_eq!(told.matches("is no option of").count(), 2, "{words:?}: {told}");
    }
    for command in ["software", "instance", "report", "collect"] {
        let told = told(&["node", command]);
        assert!(!told.contains("is no option of"), "{command}: {told}");
    }
}

#[test]
fn lines_on_a_terminal_have_the_time_if_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let (root, file) = (directory.path().display(), directory.path().join("slapos.cfg"));
    let text = format!(
        "[slapos]\nsoftware_root = {root}/s\ninstance_root = {root}/i\ncomputer_id = c\n\
         master_url = http://127.0.0.1:1\nnobody = 1\n"
    );
    std::fs::write(&file, text).unwrap();
    let on_terminal = |words: &[&str]| {
        let program = ["-c", "import pty, sys; pty.spawn(sys.argv[1:])"];
        let mut command = std::process::Command::new("python3");
        command.args(program).arg(env!("CARGO_BIN_EXE_slapos")).args(words);
        command.args(["node", "cron", "--show", "--cron-file"]).arg(directory.path().join("none"));
        command.arg("--cfg").arg(&file).envs([("NO_COLOR", "1"), ("TERM", "xterm")]);
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let timed = |told: &str| {
        let line = told.lines().find(|line| line.contains("`nobody` is no option of [slapos]"));
        let line = line.unwrap_or_else(|| panic!("{told}"));
        let before = line.split("WARNING").next().unwrap_or_default();
        before.matches(|c: char| c.is_ascii_digit()).count() >= 14
    };
    assert!(!timed(&on_terminal(&[])));
    assert!(timed(&on_terminal(&["--log-time"])));
    // The original's as well: as much as can be said.
    assert!(timed(&on_terminal(&["--log-time", "--debug"])));
    assert!(slapos(&["--debug", "--quiet", "node"]).contains("cannot be used with"));
}
