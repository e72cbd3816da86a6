//! What the configuration says of requests, as the Master takes it.

use slapos_master::{OtherMaster, RequestsConfig, SchemaMode, Web};
use slapos_node::config::{OtherMasterOptions, RequestsOptions, Schema, SchemaHttp};
use slapos_node::{NodeError, read_token, tls_identity};

/// Reads the files that the options name.
pub(super) fn requests(options: &RequestsOptions) -> Result<RequestsConfig, NodeError> {
    let others = options.other_masters.iter().map(other_master);
    Ok(RequestsConfig {
        schema: match options.schema {
            Schema::Enforce => SchemaMode::Enforce,
            Schema::Warn => SchemaMode::Warn,
            Schema::Off => SchemaMode::Off,
        },
        schema_http: web(&options.schema_http),
        direct_frontends: options.direct_frontends,
        other_masters: others.collect::<Result<_, _>>()?,
        ..RequestsConfig::default()
    })
}

fn web(options: &SchemaHttp) -> Web {
    let SchemaHttp { https, http, hosts } = options.clone();
    Web { https, http, hosts }
}

fn other_master(options: &OtherMasterOptions) -> Result<OtherMaster, NodeError> {
    let shown = options.identity.is_some() || options.ca_file.is_some();
    let identity = tls_identity(options.identity.as_ref(), options.ca_file.as_deref())?;
    Ok(OtherMaster {
        url: options.url.clone(),
        software: options.software.clone(),
        requester: options.requester.clone(),
        identity: shown.then_some(identity),
        token: options.token_file.as_deref().map(read_token).transpose()?,
    })
}
