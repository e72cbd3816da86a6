//! Databases that are not what they should be: refused with what to do, and left alone.

use std::os::unix::fs::FileExt as _;

use super::masters::{Configured, Place, computer, server, wish};

/// What a Master says that does not start.
fn refusal(master: &Configured) -> String {
    let run = master.run(&["start"]);
    assert_eq!(run.code, 1, "{}", run.err);
    run.told()
}

/// A file with something in it.
fn used(place: &Place) -> Configured {
    let master = place.configure("a.cfg", &place.file());
    let running = master.start();
    master.client().load_computer_configuration(&computer(50)).unwrap();
    master.client().request(&wish("a")).unwrap();
    running.kill();
    // Brings all into the one file.
    master.ok(&["migrate"]);
    master
}

#[test]
fn a_file_that_is_cut_off_or_overwritten_is_refused() {
    let place = Place::new();
    let master = used(&place);
    let whole = std::fs::read(place.file()).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(place.file()).unwrap();
    file.set_len(u64::try_from(whole.len() / 2).unwrap()).unwrap();
    let told = refusal(&master);
    assert!(told.contains("is damaged") && told.contains("have a backup restored"), "{told}");
    file.write_all_at(&whole, 0).unwrap();
    for page in 1..whole.len() / 4096 {
        let at = u64::try_from(page * 4096).unwrap();
        file.write_all_at(&[0xa5; 4096], at).unwrap();
    }
    let told = refusal(&master);
    assert!(told.contains("is damaged") && told.contains("have a backup restored"), "{told}");
    file.write_all_at(&whole, 0).unwrap();
    drop(master.start());
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let test = "a_database_of_another_program_is_refused_and_left_alone";
    let Some(server) = server(test) else { return };
    let place = Place::new();
    let database = server.database("other");
    server.sql("other", "CREATE TABLE person (name TEXT); CREATE TABLE schema_migration (x TEXT)");
    let master = place.configure("a.cfg", &database);
    let told = refusal(&master);
    let wanted = "is not a slapos Master database (it has tables of another program: person, \
                  schema_migration); it was left as it is";
    assert!(told.contains(wanted), "{told}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.sql("other", tables), "2");
    let missing = refusal(&place.configure("b.cfg", &server.uri("nothing")));
    assert!(missing.contains("database \"nothing\" does not exist"), "{missing}");
}

#[test]
fn a_newer_database_is_refused_and_a_password_is_not_told() {
    let test = "a_newer_database_is_refused_and_a_password_is_not_told";
    let Some(server) = server(test) else { return };
    let place = Place::new();
    let database = server.database("newer");
    let master = place.configure("a.cfg", &format!("{database}&password=s3cret"));
    drop(master.start());
    server.sql("newer", "INSERT INTO schema_migration VALUES (99, 'later', 0)");
    for words in [&["start"][..], &["migrate"], &["migrate", "--to", "1"], &["backup", "-"]] {
        let run = master.run(words);
        assert_eq!(run.code, 1, "{words:?}: {}", run.err);
        assert!(run.err.contains("was written by a newer slapos (schema 99"), "{}", run.err);
        assert!(!run.err.contains("s3cret"), "{}", run.err);
    }
}
