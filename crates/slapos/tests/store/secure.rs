//! A PostgreSQL server that is reached over the network: by TLS, with a password that is kept in a file.

use slapos_testkit::Certificates;

use super::masters::{Place, computer, server, wish};

#[test]
fn a_server_is_reached_by_tls_and_only_if_it_is_the_right_one() {
    let test = "a_server_is_reached_by_tls_and_only_if_it_is_the_right_one";
    let Some(mut server) = server(test) else { return };
    let place = Place::new();
    let Some(certificates) = Certificates::make(&place.path("")) else {
        return slapos_testkit::skipped(test, "there is no openssl");
    };
    server.database("master");
    let (certificate, key) = (certificates.path("master.crt"), certificates.path("master.key"));
    let port = server.serve_tls(&certificate, &key, "s3cret / & % word");
    let uri = |mode: &str, authority: &str| {
        let authority = certificates.path(authority);
        let options = format!("sslmode={mode}&sslrootcert={}", authority.display());
        let password = place.path("password").display().to_string();
        format!(
            "postgresql://slapos@127.0.0.1:{port}/master?{options}\n\
             database_password_file = {password}"
        )
    };
    std::fs::write(place.path("password"), "s3cret / & % word\n").unwrap();
    let master = place.configure("a.cfg", &uri("verify-full", "ca.crt"));
    let running = master.start();
    let client = master.client();
    client.load_computer_configuration(&computer(1)).unwrap();
    client.request(&wish("a")).unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE datname = 'master' AND usename = 'slapos' AND client_port > 0 AND NOT ssl";
    assert_eq!(server.sql("master", encrypted), "0");
    running.kill();

    // The certificate of somebody else, a wrong password, and no encryption.
    let refused = |uri: &str| {
        let run = place.configure("b.cfg", uri).run(&["start"]);
        assert_eq!(run.code, 1, "{}", run.err);
        assert!(!run.err.contains("s3cret"), "{}", run.err);
        run.err
    };
    let told = refused(&uri("verify-full", "node.crt"));
    assert!(told.contains("certificate"), "{told}");
    let told = refused(&uri("disable", "ca.crt"));
    assert!(told.contains("no encryption"), "{told}");
    std::fs::write(place.path("password"), "s3cret\n").unwrap();
    let told = refused(&uri("verify-full", "ca.crt"));
    assert!(told.contains("password authentication failed"), "{told}");
}
