//! The parameters of classic SLAP: the query of a GET, the form of a POST.

use std::collections::HashMap;

use axum::extract::{Form, FromRequest, Request};
use axum::response::IntoResponse as _;
use slapos_slap::convert::partition_id;
use slapos_slap::marshal::is_xml;
use slapos_slap::{ComputerId, PartitionId, SoftwareUrl};

use super::ApiError;

/// The one parameter that holds the output of programs.
const MESSAGE: &str = "error_log";

/// The parameters of a request.
pub(super) struct Params(HashMap<String, String>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Params, ApiError> {
        match Form::<HashMap<String, String>>::from_request(request, state).await {
            Ok(Form(params)) => Params::checked(params),
            Err(rejection) => {
                let message = rejection.to_string();
                Err(ApiError::new(rejection.into_response().status(), message))
            }
        }
    }
}

impl Params {
    /// Refuses texts that could be stored but never be sent again: answers are XML.
    fn checked(params: HashMap<String, String>) -> Result<Params, ApiError> {
        let bad = |(name, text): &(&String, &String)| {
            name.as_str() != MESSAGE && text.chars().any(|character| !is_xml(character))
        };
        match params.iter().find(bad) {
            None => Ok(Params(params)),
            Some((name, _)) => Err(ApiError::bad_request(format!(
                "the parameter {name:?} has a control character"
            ))),
        }
    }

    /// The message of a report. Messages are the output of programs, so that control characters
    /// are to be expected: they are replaced.
    pub(super) fn message(&self) -> String {
        let text = self.optional(MESSAGE).unwrap_or("");
        text.chars().map(|c| if is_xml(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
    }

    /// A parameter as it is, possibly empty.
    pub(super) fn require(&self, name: &str) -> Result<&str, ApiError> {
        self.0
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| ApiError::bad_request(format!("the parameter {name:?} is missing")))
    }

    /// A parameter that may be left out. Python clients send an absent one as `None`.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name).map(String::as_str);
        text.filter(|text| !text.is_empty() && *text != "None")
    }

    pub(super) fn computer(&self) -> Result<ComputerId, ApiError> {
        self.require("computer_id").map(ComputerId::new)
    }

    pub(super) fn partition(&self) -> Result<PartitionId, ApiError> {
        Ok(partition_id(self.require("computer_partition_id")?)?)
    }

    pub(super) fn software(&self) -> Result<SoftwareUrl, ApiError> {
        self.require("url").map(SoftwareUrl::new)
    }
}
