//! Sealing the authority's key anew, after the operator's token was changed.
//!
//! A Master that runs has the key in its memory and goes on; one that starts needs the token by which
//! the key is sealed at present.

use std::sync::Arc;

use slapos_slap::ComputerId;
use slapos_sys::Secret;
use slapos_sys::clock::SystemClock;

use crate::authority::reseal;
use crate::error::MasterError;
use crate::store::{Database, Store};

/// Has the present token open the authority of a database that the former one opened; `home` is
/// the computer that requests go to when they name none. Returns whether anything was to be done: a
/// database without an authority, and one that the present token opens, stay as they are.
///
/// # Errors
/// [`AuthorityError::OtherToken`](crate::AuthorityError::OtherToken) when it was sealed by neither.
pub async fn rekey(
    database: &Database,
    home: ComputerId,
    former: &Secret,
    present: &Secret,
) -> Result<bool, MasterError> {
    let store = Store::open(database, home, Arc::new(SystemClock)).await?;
    let done = rekey_in(&store, former, present).await;
    store.close().await;
    done
}

async fn rekey_in(store: &Store, former: &Secret, present: &Secret) -> Result<bool, MasterError> {
    let Some(kept) = store.authority().await? else { return Ok(false) };
    match reseal(&kept, former, present) {
        Ok(None) => Ok(false),
        Ok(Some(sealed)) => Ok(store.reseal_authority(&kept, &sealed).await?),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Authority;
    use crate::testing::database;

    #[test]
    fn the_present_token_opens_what_the_former_one_sealed() {
        let directory = tempfile::tempdir().unwrap();
        let database = database(&directory.path().join("proxy.db"));
        let [former, present, neither] = ["former", "present", "neither"].map(Secret::new);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rekey = |former, present| rekey(&database, "home".into(), former, present);
            assert!(!rekey(&former, &present).await.unwrap(), "there is no authority");
            let store = Store::open(&database, "home".into(), Arc::new(SystemClock)).await.unwrap();
            let made = Authority::make(&former, store.time()).unwrap();
            store.keep_authority(&made).await.unwrap();
            let wrong = rekey(&neither, &present).await.unwrap_err();
            assert!(wrong.to_string().contains("slapos proxy ca rekey"), "{wrong}");
            assert!(rekey(&former, &present).await.unwrap());
            assert!(!rekey(&former, &present).await.unwrap(), "once is enough");
            let kept = store.authority().await.unwrap().unwrap();
            assert!(Authority::open(&kept, &present).is_ok());
            assert!(Authority::open(&kept, &former).is_err());
            assert_eq!(kept.certificate, made.certificate);
            let told = store.audit("", 10).await.unwrap();
            assert_eq!((told.len(), told[0].route.as_str()), (1, "slapos proxy ca rekey"));
            store.close().await;
        });
    }
}
