//! Addresses of other Masters that an earlier version wrote with the tokens in them.
//!
//! They are written as they may be told, and compared as such; so what is there otherwise is told to whom
//! it does not concern, and is not found again. A migration, which is SQL, cannot take an address apart.
//! Invariant: what is wanted of another Master is not to be destroyed there.

use slapos_slap::told_url;

use super::connection::Connection;
use super::rows::text;
use crate::error::StoreError;

/// Those that may have a token.
const SUSPECTS: &str = "SELECT master_url FROM forwarded_request \
     WHERE master_url LIKE '%@%' OR master_url LIKE '%/token/%' \
     UNION SELECT master_url FROM farewell \
     WHERE master_url LIKE '%@%' OR master_url LIKE '%/token/%'";

/// What is asked there.
const ASKED: &str = "UPDATE forwarded_request SET master_url = $2 WHERE master_url = $1";

/// What is to be destroyed there, unless that is known already, or it is wanted.
const TO_DESTROY: [&str; 2] = [
    "DELETE FROM farewell WHERE master_url = $1 AND (\
     EXISTS (SELECT 1 FROM farewell other WHERE other.master_url = $2 \
     AND other.title = farewell.title AND other.shared = farewell.shared) \
     OR EXISTS (SELECT 1 FROM forwarded_request wanted WHERE wanted.master_url = $2 \
     AND wanted.forwarded_title = farewell.title AND wanted.shared = farewell.shared))",
    "UPDATE farewell SET master_url = $2 WHERE master_url = $1",
];

/// Takes the tokens out.
pub(super) async fn without_tokens(tx: &mut Connection) -> Result<(), StoreError> {
    let rows = sqlx::query(SUSPECTS).fetch_all(&mut *tx).await?;
    let mut addresses = Vec::new();
    for row in &rows {
        let written = text(row, "master_url")?;
        let told = told_url(&written);
        if told != written {
            addresses.push((written, told));
        }
    }
    // What is wanted may be to be destroyed under another token.
    for (written, told) in &addresses {
        rewrite(tx, ASKED, written, told).await?;
    }
    for (written, told) in &addresses {
        for statement in TO_DESTROY {
            rewrite(tx, statement, written, told).await?;
        }
    }
    Ok(())
}

async fn rewrite(
    tx: &mut Connection,
    statement: &'static str,
    written: &str,
    told: &str,
) -> Result<(), StoreError> {
    sqlx::query(statement).bind(written).bind(told).execute(tx).await?;
    Ok(())
}
