//! The original's `slapos computer token` and `slapos node register` at our Master.

use std::path::Path;

use slapos_testkit::{Run, free_port};

use crate::master::{Master, TOKEN, original};

/// What `slapos node register` does once it knows that root runs it; then the node asks for its
/// computer by what it got.
const REGISTER: &str = "
import configparser, logging, requests, sys
from slapos.cli.register import RegisterConfig, do_register
directory, url, token = sys.argv[1:]
logging.basicConfig()
conf = RegisterConfig(logger=logging.getLogger())
for name, value in dict(
    node_name='far', master_url=url, master_url_web=url, token=token, login=None, login_auth=False,
    password=None, dry_run=False, interface_name='lo', ipv4_local_network='10.0.0.0/16',
    partition_number=3, create_tap=False, software_root='/s', instance_root='/i',
    slapos_configuration=directory + '/slapos').items():
  setattr(conf, name, value)
assert do_register(conf) == 0
written = configparser.ConfigParser(interpolation=None, strict=False)
written.read(directory + '/slapos/slapos.cfg')
slapos = written['slapos']
print(slapos['computer_id'], slapos['master_url'])
answer = requests.get(
  url + '/getFullComputerInformation?computer_id=' + slapos['computer_id'],
  cert=(slapos['cert_file'], slapos['key_file']), verify=False)
print(answer.status_code)
";

fn file(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_machine_becomes_a_computer_by_the_commands_of_the_original() {
    let test = "a_machine_becomes_a_computer_by_the_commands_of_the_original";
    let Some(python) = original(test) else { return };
    let port = free_port();
    let master = Master::ours(&format!("tls_port = {port}\n"));
    let home = tempfile::Builder::new().prefix("slapos-register-").tempdir().unwrap();
    let by_token = format!("[slapos]\nmaster_url = {}/token/{TOKEN}\n", master.url());
    let config = file(&home.path().join("client.cfg"), &by_token);
    let script = file(&home.path().join("register.py"), REGISTER);
    python.person.give(home.path());

    let mut command = python.command("slapos");
    command.args(["computer", "token"]).env("SLAPOS_CLIENT_CONFIGURATION", config);
    let told = Run::of(&command.current_dir(home.path()).output().unwrap());
    let said = told.out + &told.err;
    let token = said.split("Computer token: ").nth(1).unwrap_or_else(|| panic!("{said}"));
    let token = token.split_whitespace().next().unwrap();

    let url = format!("https://127.0.0.1:{port}");
    let register = |token: &str| {
        let mut command = python.command("python");
        command.arg(&script).arg(home.path()).args([url.as_str(), token]);
        Run::of(&command.current_dir(home.path()).output().unwrap())
    };
    let done = register(token);
    assert_eq!(done.out, format!("COMP-far {url}\n200\n"), "{}", done.err);
    // There is one of that name now.
    let again = register(token);
    assert!(again.err.contains("409 Client Error: "), "{}", again.err);
    // Vouchers of nobody, and tokens that are good elsewhere.
    assert_eq!(register("slapos_r_9999999999__00").code, 1);
    assert_eq!(register(TOKEN).code, 1);
}
