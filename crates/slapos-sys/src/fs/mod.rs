//! Files that are whole or not there, read and removed without surprises.
//!
//! Invariant: nothing under a final name is incomplete. What is written goes to a temporary name
//! in the same directory, is synced, renamed, and the directory is synced.

use std::io;

mod draft;
mod read;
mod remove;
mod space;
mod tree;
mod write;

use read::ordinary;

pub use draft::Draft;
pub use read::{
    open_ordinary, open_to_change, read, read_to_string, read_to_string_limited,
    read_to_string_lossy, read_untrusted, tail,
};
pub use remove::remove_tree;
pub use space::{Room, free_space, nameless, punch_out, room, try_to_write};
pub use tree::{
    create_dir_all, make_read_only, may_change_entries, own_directory, set_mode, temp_dir_in,
    temp_dir_named,
};
pub use write::{
    create_new, open_append, remove_unnamed, rename, replace_together, symlink_atomic, sync_dir,
    sync_filesystem, write_atomic, write_atomic_if_changed, write_once, write_replace,
    write_replace_if_changed,
};

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
