//! How a machine becomes a computer by the original's `slapos computer token` and `slapos node
//! register`: a person gets a voucher, and whoever shows that gets a new computer's certificate.
//!
//! A voucher is kept nowhere: it says in whose name it speaks and how long, under a seal that only
//! the operator's token makes. It is good for a day, for making computers in a project that the
//! person is in at that moment, and for nothing else.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use slapos_slap::proof::ProofKey;

use super::access::{Audited, Caller, Route, Rule};
use super::own::not_yours;
use super::params::Params;
use super::{ApiError, App};

type Shared = State<Arc<App>>;
type Answer = Result<Response, ApiError>;

/// What vouchers begin with.
const KIND: &str = "slapos_r_";

/// How long one is good, in seconds.
const LIFE: i64 = 24 * 3600;

/// What clients of the original look for in a certificate, to know what their computer is called.
const COMPUTER: &str = "COMP-";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/hateoas/computer_module/Base_getComputerToken", Rule::USER, voucher)
            .audited(Audited::Everybody),
        Route::post("/Person_requestComputer", Rule::USER, request_computer)
            .vouched()
            .audited(Audited::Everybody),
    ]
}

async fn voucher(State(app): Shared, caller: Caller) -> Answer {
    // Otherwise it would be of no use.
    app.authority()?;
    Ok(Json(json!({ "access_token": app.voucher(&caller)? })).into_response())
}

/// Makes a computer known and certifies it. The certificate has its name before it, as text.
async fn request_computer(State(app): Shared, caller: Caller, params: Params) -> Answer {
    app.authority()?;
    let title = params.require("title")?;
    let name = format!("{COMPUTER}{}", title.strip_prefix(COMPUTER).unwrap_or(title));
    let computer = app.make_computer(&caller, &name, None).await?;
    let pair = app.new_certificate(&computer, None).await?;
    let certificate = format!("Subject: CN={computer}/emailAddress=\n{}", pair.certificate);
    Ok(Json(json!({ "certificate": certificate, "key": pair.key.expose() })).into_response())
}

/// What a request shows in the place of a token.
pub(super) fn shown(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-access-token")?.to_str().ok()
}

impl App {
    fn voucher(&self, caller: &Caller) -> Result<String, ApiError> {
        let name = match caller {
            Caller::Operator => "",
            Caller::User(name) => name,
            Caller::Computer(_) | Caller::Partition(..) => return Err(not_yours()),
        };
        Ok(make(&self.proof_key, name, self.store.time() / 1_000_000 + LIFE))
    }

    /// Who is spoken for by a voucher that is good.
    pub(super) fn vouched(&self, voucher: &str) -> Option<Caller> {
        let name = read(&self.proof_key, voucher, self.store.time() / 1_000_000)?;
        Some(if name.is_empty() { Caller::Operator } else { Caller::User(name) })
    }
}

/// A voucher in that name, good until `end`, in seconds since 1970.
fn make(key: &ProofKey, name: &str, end: i64) -> String {
    let said = format!("{end}_{}", hex(name));
    format!("{KIND}{said}_{}", key.prove(&sealed(&said)))
}

/// The name in a voucher that is good.
fn read(key: &ProofKey, voucher: &str, now: i64) -> Option<String> {
    let (said, seal) = voucher.strip_prefix(KIND)?.rsplit_once('_')?;
    if !key.verifies(&sealed(said), seal) {
        return None;
    }
    let (end, name) = said.split_once('_')?;
    if end.parse::<i64>().ok()? <= now {
        return None;
    }
    text(name)
}

/// What is sealed. It is no nonce, so that nobody gets a seal by asking for a proof.
fn sealed(said: &str) -> String {
    format!("registration:{said}")
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn text(hex: &str) -> Option<String> {
    let digits = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(digits).collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use slapos_slap::proof::is_nonce;
    use slapos_sys::Secret;

    use super::*;

    #[test]
    fn a_voucher_is_good_for_a_while_and_as_it_was_made() {
        let key = ProofKey::new(&Secret::new("token"));
        for name in ["", "ann", "é_:"] {
            let voucher = make(&key, name, 10);
            assert_eq!(read(&key, &voucher, 9).as_deref(), Some(name));
            assert_eq!(read(&key, &voucher, 10), None, "it has expired");
            assert_eq!(read(&ProofKey::new(&Secret::new("other")), &voucher, 9), None);
            assert_eq!(read(&key, &voucher.replacen("_10_", "_11_", 1), 9), None);
            assert_eq!(read(&key, &voucher.replacen("_10_", "_10_62", 1), 9), None);
        }
        for wrong in ["", KIND, "slapos_r_10__", "slapos_u_10__0"] {
            assert_eq!(read(&key, wrong, 9), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_sealed_is_no_nonce() {
        assert!(!is_nonce(&sealed("0123456789abcdef0123456789abcdef")));
    }
}
