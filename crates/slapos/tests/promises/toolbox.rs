//! The checks that this program has against the plugins of slapos.toolbox that they stand for: the
//! same files are checked by both, in both modes, and the verdicts are the same.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use slapos_testkit::{python_with, skipped};

use crate::original::{PEERS, by_ours, by_the_original, caches, place, results};

const TOOLBOX: &str = "slapos.toolbox==0.170";
const NAME: &str = "built_in_checks_judge_as_the_plugins_do";

/// Answers 404, to who shows a password 200, and `/moved` leads away.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            // Some only connect.
            let Some(first) = head.first() else { continue };
            let (status, more) = match first.contains("/moved") {
                true => (302, "Location: /\r\n"),
                false if head.iter().any(|line| line.ends_with("Basic dTpw")) => (200, ""),
                false => (404, ""),
            };
            let answer = format!(
                "HTTP/1.1 {status} x\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// Name, module, configuration.
fn cases(url: &str) -> Vec<(&'static str, &'static str, Value)> {
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
    let moved = format!("{url}moved");
    let (file, command, socket) =
        ("check_file_state", "check_command_execute", "check_socket_listening");
    let (web, net, load) = ("check_url_available", "check_interface_up", "check_server_cpu_load");
    vec![
        ("full", file, json!({"filename": "full", "state": "not-empty", "frequency": "5"})),
        ("not-full", file, json!({"filename": "void", "state": "not-empty"})),
        ("void", file, json!({"filename": "void", "state": "empty", "url": "http://x"})),
        ("not-void", file, json!({"filename": "full", "state": "empty", "url": "http://x"})),
        ("absent", file, json!({"filename": "none", "state": "absent"})),
        ("present", file, json!({"filename": "full", "state": "absent"})),
        ("missing", file, json!({"filename": "none", "state": "empty"})),
        ("stateless", file, json!({"filename": "full"})),
        (
            "twice",
            file,
            json!({"filename": "none", "state": "empty", "result-count": "3", "failure-amount": "2"}),
        ),
        ("periodic", file, json!({"filename": "none", "state": "empty", "perdiodic-only": "true"})),
        ("quiet", file, json!({"filename": "none", "state": "empty", "report-anomaly": "no"})),
        ("true", command, json!({"command": "true"})),
        ("false", command, json!({"command": "echo no; exit 3"})),
        (
            "thrice",
            command,
            json!({"command": "false", "result_count": "3", "failure_amount": "3"}),
        ),
        ("open", socket, json!({"host": "127.0.0.1", "port": port})),
        ("closed", socket, json!({"host": "127.0.0.1", "port": "1"})),
        (
            "closed-once",
            socket,
            json!({"host": "127.0.0.1", "port": "1", "result-count": "1", "failure-amount": "1"}),
        ),
        ("unix", socket, json!({"pathname": "s.sock"})),
        ("no-unix", socket, json!({"pathname": "none.sock"})),
        ("nowhere", socket, json!({"pathname": "s.sock", "abstract": "x"})),
        ("web-404", web, json!({"url": url})),
        ("web-404-wanted", web, json!({"url": url, "http-code": "404"})),
        ("web-any", web, json!({"url": url, "ignore-code": "1"})),
        ("web-known", web, json!({"url": url, "username": "u", "password": "p"})),
        ("web-moved", web, json!({"url": moved, "http-code": "404"})),
        ("web-stays", web, json!({"url": moved, "http-code": "302", "allow-redirects": "0"})),
        ("web-closed", web, json!({"url": "http://127.0.0.1:1/"})),
        ("net", net, json!({"ifname": "none0"})),
        ("net-lo", net, json!({"ifname": "lo"})),
        ("net-testing", net, json!({"ifname": "none0", "testing": "True"})),
        ("load", load, json!({"cpu-load-threshold": "1000000"})),
        ("load-high", load, json!({"cpu-load-threshold": "0.000001"})),
    ]
}

fn arrange(partition: &Path, url: &str) -> UnixListener {
    let folder = partition.join("etc/plugin");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(partition.join("full"), "x").unwrap();
    std::fs::write(partition.join("void"), "").unwrap();
    for (name, module, config) in cases(url) {
        let module = format!("slapos.promise.plugin.{module}");
        let header = json!({"module": module, "config": config});
        // Strings of JSON are strings of Python.
        let text = format!(
            "# slapos-promise: {header}\nextra_config_dict = {config}\nfrom {module} import RunPromise\n"
        );
        std::fs::write(folder.join(format!("{name}.py")), text).unwrap();
    }
    UnixListener::bind(partition.join("s.sock")).unwrap()
}

/// Kind and verdict by file.
fn verdicts(partition: &Path) -> Vec<(String, Value, Value)> {
    let verdict = |(name, result): (String, Value)| {
        (name, result["result"]["type"].clone(), result["result"]["failed"].clone())
    };
    results(partition).into_iter().map(verdict).collect()
}

#[test]
fn built_in_checks_judge_as_the_plugins_do() {
    let bin = match python_with(&place(), &PEERS) {
        Ok(bin) => bin,
        Err(why) => return skipped(NAME, &why),
    };
    // It asks for much that these plugins do not need.
    let install = ["75", "-q", "--no-deps", "--no-build-isolation", TOOLBOX];
    let mut pip = Command::new("timeout");
    pip.arg(install[0]).arg(bin.join("pip")).arg("install").args(&install[1..]);
    if !pip.output().is_ok_and(|output| output.status.success()) {
        return skipped(NAME, "slapos.toolbox cannot be installed");
    }
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = serve();
    let _sockets = [arrange(theirs.path(), &url), arrange(ours.path(), &url)];
    for mode in ["test", "anomaly", "anomaly", "test"] {
        by_the_original(&bin.join("python"), theirs.path(), mode);
        let done = by_ours(ours.path(), None, mode);
        let in_python = done.to_string().contains("Traceback");
        assert!(!in_python, "all of these are built in: {done:#}");
        assert_eq!(verdicts(ours.path()), verdicts(theirs.path()), "{mode}");
    }
    assert_eq!(caches(ours.path()), caches(theirs.path()));
    assert_eq!(caches(ours.path()).len(), cases(&url).len());
}
