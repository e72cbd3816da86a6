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
