//! What is told of computers and Software Releases by what their nodes told last.

use slapos_slap::SoftwareState;

use super::Running;

#[test]
fn what_was_never_heard_of_is_told_otherwise_than_what_was() {
    let (running, client) = Running::formatted(1);
    let (computer, url) = ("computer".into(), "http://s".into());
    client.supply(&url, &computer, SoftwareState::Available).unwrap();
    let ask = |query: &str| running.raw(&format!("GET /{query} HTTP/1.1"), "");
    let of_computer = || ask("getComputerStatus?computer_id=computer").1;
    let software = "getSoftwareInstallationStatus?url=http://s&computer_id=computer";
    assert!(of_computer().contains("#error no data found for computer"), "{}", of_computer());
    assert!(ask(software).1.contains("#error no data found for http://s"));

    client.full_computer_information(&computer).unwrap();
    client.software_building(&url, &computer).unwrap();
    assert!(of_computer().contains("#access computer"), "{}", of_computer());
    assert!(ask(software).1.contains("#building software release http://s"));
    client.software_error(&url, &computer, "no").unwrap();
    assert!(ask(software).1.contains("#error while installing http://s"));

    assert_eq!(ask("getComputerStatus?computer_id=other").0, 404);
    let other = "getSoftwareInstallationStatus?url=http://s&computer_id=other";
    assert_eq!(ask(other).0, 404);
}
