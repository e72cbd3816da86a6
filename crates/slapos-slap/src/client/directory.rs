//! What people ask about computers and Software Products, through the HATEOAS face where the
//! original does.

use serde_json::Value as Json;

use super::SlapClient;
use crate::error::SlapError;
use crate::marshal::loads;
use crate::words::{ComputerId, SoftwareUrl};

const COMPUTERS: &str = "portal_type:\"Compute Node\" AND validation_state:validated";

/// One line of `slapos computer list`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ComputerSummary {
    /// Its reference.
    pub reference: ComputerId,
    /// What people call it.
    pub title: String,
}

impl SlapClient {
    /// The computers, by reference.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn computer_list(&self) -> Result<Vec<ComputerSummary>, SlapError> {
        self.find_computers(COMPUTERS)
    }

    /// The computer of that reference, or `None`.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn computer_summary(
        &self,
        reference: &ComputerId,
    ) -> Result<Option<ComputerSummary>, SlapError> {
        let quoted = reference.as_str().replace('\\', "\\\\").replace('"', "\\\"");
        let found = self.find_computers(&format!("{COMPUTERS} AND reference:=\"{quoted}\""))?;
        Ok(found.into_iter().find(|computer| computer.reference == *reference))
    }

    fn find_computers(&self, query: &str) -> Result<Vec<ComputerSummary>, SlapError> {
        let (route, rows) = self.search(query, "title,reference")?;
        let text = |row: &Json, field: &str| row[field].as_str().map(str::to_owned);
        let read = |row: &Json| {
            let reference = text(row, "reference")?;
            let title = text(row, "title").unwrap_or_else(|| reference.clone());
            Some(ComputerSummary { reference: ComputerId::new(reference), title })
        };
        let found: Option<Vec<_>> = rows.iter().map(read).collect();
        let mut found =
            found.ok_or_else(|| self.unexpected(&route, "a row without \"reference\""))?;
        found.sort_by(|one, two| one.reference.as_str().cmp(two.reference.as_str()));
        Ok(found)
    }

    /// A token by which another machine can be made a computer of this Master.
    ///
    /// # Errors
    /// [`SlapError::NotFound`] when the Master gives out none.
    pub fn computer_token(&self) -> Result<String, SlapError> {
        let (route, entry) = self.entry()?;
        let base = entry["_links"]["self"]["href"]
            .as_str()
            .ok_or_else(|| self.unexpected(&route, "no link \"self\""))?;
        let address = format!("{base}/computer_module/Base_getComputerToken");
        let url = self.transport.url(&address)?;
        let (route, answer) = self.parsed(&self.transport.get_url(&url)?)?;
        let token = answer["access_token"].as_str().map(str::to_owned);
        token.ok_or_else(|| self.unexpected(&route, "no \"access_token\""))
    }

    /// The Software Releases of a Software Product, the best one first.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn software_product(&self, name: &str) -> Result<Vec<SoftwareUrl>, SlapError> {
        let query = [("software_product_reference", name)];
        let reply = self.transport.get("getSoftwareReleaseListFromSoftwareProduct", &query)?;
        let value =
            loads(&reply.body).map_err(|error| self.protocol(&reply, &error.to_string()))?;
        let urls = value.as_list().ok_or_else(|| self.protocol(&reply, "it is no list"))?;
        Ok(urls.iter().filter_map(|url| url.as_str()).map(SoftwareUrl::new).collect())
    }
}
