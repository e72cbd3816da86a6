//! A new SQLite file as bytes: no tables, marked as ours, with a write-ahead log.
//!
//! SQLite sets that mode of the journal as one who has read and then wants to write, and lets such a one
//! not wait for another who writes: that could last for ever. Of Masters that start at once on a file
//! without the mode, one would be told that the file is locked. So a file has it before it has its name.
//!
//! The bytes follow SQLite's description of its file format, and are what it writes itself.

/// The length of the file, its only page, in bytes.
const PAGE: u16 = 4096;

/// The file.
pub(super) fn file(application_id: u32) -> Vec<u8> {
    let one = 1_u32.to_be_bytes();
    let parts: [(usize, &[u8]); 10] = [
        (0, b"SQLite format 3\0"),
        (16, &PAGE.to_be_bytes()),
        // Who reads and who writes needs to know of write-ahead logs.
        (18, &[2, 2]),
        // Which parts of a page an entry may take: there are no other numbers.
        (21, &[64, 32, 32]),
        // It was changed once, has one page, and that is true since this change.
        (24, &one),
        (28, &one),
        (92, &one),
        (68, &application_id.to_be_bytes()),
        // The first version of SQLite that had write-ahead logs.
        (96, &3_007_000_u32.to_be_bytes()),
        // The list of tables: a leaf without entries, whose room for them ends with the page.
        (100, &[13, 0, 0, 0, 0, 0x10, 0, 0]),
    ];
    let mut page = vec![0; usize::from(PAGE)];
    for (at, bytes) in parts {
        page[at..at + bytes.len()].copy_from_slice(bytes);
    }
    page
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests arrange files directly")]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_ours_and_has_a_write_ahead_log() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new.db");
        std::fs::write(&path, file(7)).unwrap();
        let database = rusqlite::Connection::open(&path).unwrap();
        let found = |pragma: &str| {
            let row = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
            format!("{:?}", database.query_row(pragma, [], row).unwrap())
        };
        assert_eq!(found("PRAGMA integrity_check"), r#"Text("ok")"#);
        assert_eq!(found("PRAGMA journal_mode"), r#"Text("wal")"#);
        assert_eq!(found("PRAGMA application_id"), "Integer(7)");
        assert_eq!(found("PRAGMA encoding"), r#"Text("UTF-8")"#);
        database.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
        assert_eq!(found("SELECT n FROM t"), "Integer(1)");
        assert_eq!(found("PRAGMA integrity_check"), r#"Text("ok")"#);
    }

    #[test]
    fn it_is_what_sqlite_writes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new.db");
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch("PRAGMA application_id = 7").unwrap();
        drop(database);
        let (mut theirs, ours) = (std::fs::read(&path).unwrap(), file(7));
        // The mode, and the version of SQLite.
        for part in [18..20, 96..100] {
            theirs[part.clone()].copy_from_slice(&ours[part]);
        }
        assert!(theirs == ours, "{:?}", &theirs[..110]);
    }
}
