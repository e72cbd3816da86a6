//! Usage reports of partitions.

use std::os::unix::fs::PermissionsExt;

use slapos_testkit::{runs, wait_for};

use super::{Managed, name_of};

const REPORT: &str = "<consumption><movement><resource>CPU</resource><title>t</title><reference>x</reference><quantity>1.5</quantity><price>0</price><VAT></VAT></movement></consumption>";

#[test]
fn usage_is_gathered_and_handed_in_once() {
    let managed = Managed::new("", "");
    managed.request("started");
    managed.node(&["node", "instance"]);
    let program = |name: &str, text: &str| {
        let path = managed.plant(&format!("etc/report/{name}"), text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("cpu", &format!("#!/bin/sh\nid -un > ran\necho '{REPORT}' > $1\n"));
    managed.plant("var/xml_report/wrong", "<consumption/>");
    let reports = managed.node.partition(0).join("var/xml_report");
    let left = || {
        let entries = std::fs::read_dir(&reports).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let run = managed.node(&["node", "report"]);
    assert!(
        run.err.contains(
            "usage report wrong is left where it is: <consumption> needs <movement> here"
        ),
        "{}",
        run.err
    );
    assert!(run.err.contains("usage: reported"), "{}", run.err);
    assert_eq!(left(), ["wrong"]);
    let ran = std::fs::read_to_string(managed.node.partition(0).join("etc/report/ran")).unwrap();
    assert_eq!(ran.trim(), name_of(managed.uid()));
    // A program that fails is told, and stops neither the others nor removals.
    program("broken", "#!/bin/sh\necho no meter; exit 1\n");
    let run = managed.try_node(&["node", "report"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("etc/report/broken failed: exit status: 1 no meter"), "{}", run.err);
    assert_eq!(left(), ["wrong"]);
    let info = managed.node.json(&["proxy", "show"]);
    assert!(info.to_string().contains("no meter"), "the Master was told: {info}");
}

#[test]
fn what_makes_reports_keeps_nobody_waiting_and_leaves_nothing() {
    let managed = Managed::new("", "");
    let secret = ["--parameters", "admin-password=hunter22"];
    let words = ["request", "service", &managed.profile, "--state", "started"];
    managed.node.ok(&[&words[..], &secret].concat());
    managed.node(&["node", "instance"]);
    let directory = managed.node.partition(0);
    // It goes on until an instance was deployed meanwhile, leaves a process, and tells a secret.
    let script = format!(
        "#!/bin/sh\ncd {}\ntouch begun\nwhile test ! -e go; do sleep 0.1; done\n\
         setsid sh -c 'echo $$ > left; exec sleep 86400' &\n\
         while test ! -s left; do sleep 0.1; done\necho hunter22 is wrong; exit 1\n",
        directory.display()
    );
    let path = managed.plant("etc/report/slow", &script);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut report = managed.node.start(&["node", "report"]);
    wait_for("the report to begin", 60, || directory.join("begun").exists().then_some(()));
    managed.node(&["node", "instance", "--all"]);
    managed.plant("go", "");
    assert_eq!(report.wait().unwrap().code(), Some(1));
    let pid = std::fs::read_to_string(directory.join("left")).unwrap();
    let pid = pid.trim().parse().unwrap();
    wait_for("what it left to be gone", 60, || (!runs(pid)).then_some(()));
    let info = managed.node.json(&["proxy", "show"])["instances"][0]["reported"].to_string();
    assert!(info.contains("*** is wrong") && !info.contains("hunter22"), "{info}");
}

#[test]
fn what_a_killed_run_had_gathered_counts_once() {
    let managed = Managed::new("", "");
    managed.request("started");
    managed.node(&["node", "instance"]);
    let root = managed.node.root().join("instance/var");
    let directory = root.join("xml_report/local");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::create_dir_all(root.join("slapgrid")).unwrap();
    let odd = directory.join("odd");
    std::fs::write(&odd, "<journal/>").unwrap();
    let movement = REPORT.replace("<consumption>", "").replace("</consumption>", "");
    let journal = format!(
        "<?xml version=\"1.0\"?><journal><transaction type=\"a\"><start_date/><stop_date/><reference/><currency/><payment_mode/><arrow type=\"b\"/>{movement}</transaction></journal>"
    );
    let intent = serde_json::json!({
        "name": "usage.1.xml", "document": journal,
        "taken": [["slappart0", {"name": "one", "text": REPORT}]],
    });
    // What a run leaves behind that was killed before it wrote the journal, before it took the
    // report away, and before it forgot what it was about to do.
    for (written, taken) in [(false, false), (true, false), (true, true)] {
        let report = managed.plant("var/xml_report/one", REPORT);
        if taken {
            std::fs::remove_file(&report).unwrap();
        }
        if written {
            std::fs::write(directory.join("usage.1.xml"), &journal).unwrap();
        }
        std::fs::write(root.join("slapgrid/usage.json"), intent.to_string()).unwrap();
        let run = managed.node(&["node", "report"]);
        assert!(!report.exists() && !root.join("slapgrid/usage.json").exists());
        assert_eq!(run.err.matches("usage: reported").count(), 1, "{}", run.err);
        let left: Vec<_> = std::fs::read_dir(&directory).unwrap().collect();
        assert_eq!(left.len(), 1, "only what is no journal stays");
    }
}
