//! The part of the HATEOAS face that `slapos service list` and `info` need: find the entry
//! document, search, follow a result to its view.

use indexmap::IndexMap;
use serde_json::Value as Json;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::SlapClient;
use super::transport::Reply;
use crate::error::SlapError;
use crate::instance_xml::xml2dict;
use crate::types::{InstanceInfo, InstanceSummary};
use crate::words::SoftwareUrl;

const INSTANCE_TREES: &str = "portal_type:\"Instance Tree\" AND validation_state:validated";
const FIELDS: &str = "title,url_string,relative_url";

impl SlapClient {
    /// The root instances, by title.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn instance_trees(&self) -> Result<Vec<InstanceSummary>, SlapError> {
        let (route, rows) = self.search(INSTANCE_TREES, FIELDS)?;
        let mut trees = Vec::with_capacity(rows.len());
        for row in rows {
            let (Some(title), Some(url)) = (row["title"].as_str(), row["url_string"].as_str())
            else {
                return Err(self.unexpected(&route, "a row without \"title\" or \"url_string\""));
            };
            trees.push(InstanceSummary { title: title.to_owned(), software: url.into() });
        }
        trees.sort_by(|a, b| a.title.cmp(&b.title));
        Ok(trees)
    }

    /// The root instance of that title, or `None`.
    ///
    /// # Errors
    /// Any [`SlapError`].
    pub fn instance(&self, title: &str) -> Result<Option<InstanceInfo>, SlapError> {
        let quoted = title.replace('\\', "\\\\").replace('"', "\\\"");
        let (route, rows) =
            self.search(&format!("{INSTANCE_TREES} AND title:=\"{quoted}\""), FIELDS)?;
        let Some(row) = rows.into_iter().find(|row| row["title"].as_str() == Some(title)) else {
            return Ok(None);
        };
        let relative = row["relative_url"]
            .as_str()
            .ok_or_else(|| self.unexpected(&route, "a row without \"relative_url\""))?;
        let (_, entry) = self.entry()?;
        let values = [("relative_url", relative), ("view", "slaposjs_view")];
        let (route, view) = self.follow(&entry, "traverse", &values)?;
        self.info(&route, title, &view["_embedded"]["_view"]).map(Some)
    }

    /// The entry document, from the address that the Master names or, as some name none, from
    /// the usual one.
    pub(super) fn entry(&self) -> Result<(String, Json), SlapError> {
        let url = match self.transport.get("getHateoasUrl", &[]) {
            Ok(reply) => {
                let named = reply.body.trim();
                Url::parse(named)
                    .map_err(|error| self.transport.bad_url(named, &error.to_string()))?
            }
            Err(SlapError::NotFound { .. }) => self.transport.url("hateoas/")?,
            Err(error) => return Err(error),
        };
        self.parsed(&self.transport.get_url(&url)?)
    }

    pub(super) fn search(
        &self,
        query: &str,
        fields: &str,
    ) -> Result<(String, Vec<Json>), SlapError> {
        let (_, entry) = self.entry()?;
        let values = [("query", query), ("select_list", fields)];
        let (route, mut found) = self.follow(&entry, "raw_search", &values)?;
        match found["_embedded"]["contents"].take() {
            Json::Array(rows) => Ok((route, rows)),
            _ => Err(self.unexpected(&route, "a search result without \"contents\"")),
        }
    }

    /// Follows a link template of the entry document.
    fn follow(
        &self,
        entry: &Json,
        link: &str,
        values: &[(&str, &str)],
    ) -> Result<(String, Json), SlapError> {
        let template = entry["_links"][link]["href"]
            .as_str()
            .ok_or_else(|| self.unexpected("hateoas/", &format!("no link {link:?}")))?;
        let address = expand(template, values);
        let url = self
            .transport
            .url(&address)
            .map_err(|error| self.transport.bad_url(&address, &error.to_string()))?;
        self.parsed(&self.transport.get_url(&url)?)
    }

    pub(super) fn parsed(&self, reply: &Reply) -> Result<(String, Json), SlapError> {
        serde_json::from_str(&reply.body)
            .map(|json| (reply.route.clone(), json))
            .map_err(|error| self.unexpected(&reply.route, &error.to_string()))
    }

    pub(super) fn unexpected(&self, route: &str, reason: &str) -> SlapError {
        SlapError::Protocol {
            url: self.base_url().to_owned(),
            reason: format!("{route}: {reason}"),
        }
    }

    fn info(&self, route: &str, title: &str, view: &Json) -> Result<InstanceInfo, SlapError> {
        let text = |field: &str| view[field]["default"].as_str().unwrap_or("").to_owned();
        let parameters = |field: &str| -> Result<IndexMap<String, String>, SlapError> {
            xml2dict(&text(field))
                .map_err(|error| self.unexpected(route, &format!("{field}: {error}")))
        };
        let root_slave = &view["my_root_slave"]["default"];
        Ok(InstanceInfo {
            project: String::new(),
            title: title.to_owned(),
            software: SoftwareUrl::new(text("my_url_string")),
            software_type: text("my_source_reference"),
            shared: root_slave.as_bool().unwrap_or(root_slave.as_i64().unwrap_or(0) != 0),
            requested_state: text("my_slap_state"),
            parameters: parameters("my_text_content")?,
            connection: parameters("my_connection_parameter_list")?,
            news: serde_json::from_value(view["my_news"]["default"]["instance"].clone()).ok(),
        })
    }
}

/// Expands the address templates in use: `{name}`, and `{?a,b*}` or `{&a,b*}`, which leave out
/// names without value.
fn expand(template: &str, values: &[(&str, &str)]) -> String {
    let encoded = |name: &str| -> Option<String> {
        let (_, value) = values.iter().find(|(key, _)| *key == name)?;
        // In a query a space may be `+`, but servers also split templates in paths.
        let text: String = byte_serialize(value.as_bytes()).collect();
        Some(text.replace('+', "%20"))
    };
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((names, after)) = after.split_once('}') else {
            break;
        };
        rest = after;
        let Some(list) = names.strip_prefix(['?', '&']) else {
            out.push_str(&encoded(names).unwrap_or_default());
            continue;
        };
        let mut mark = &names[..1];
        for name in list.split(',').map(|name| name.trim_end_matches('*')) {
            if let Some(value) = encoded(name) {
                out.push_str(&format!("{mark}{name}={value}"));
                mark = "&";
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_both_kinds_of_master() {
        let values = [("query", "a:\"b c\""), ("view", "v")];
        assert_eq!(
            expand("http://m/?mode=search&query={query}&select_list={select_list}", &values),
            "http://m/?mode=search&query=a%3A%22b%20c%22&select_list="
        );
        assert_eq!(
            expand("http://m/?mode=x{&query,select_list*,view*}", &values),
            "http://m/?mode=x&query=a%3A%22b%20c%22&view=v"
        );
        assert_eq!(expand("http://m/{?view}#z", &values), "http://m/?view=v#z");
    }
}
