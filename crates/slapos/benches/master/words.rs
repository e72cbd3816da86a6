//! What nodes and users say to a Master, as requests.

use std::net::Ipv4Addr;

use slapos_slap::convert::{description_to_value, request_to_form};
use slapos_slap::marshal::dumps;
use slapos_slap::{Address, ComputerDescription, InstanceRequest, PartitionDescription};

use crate::http::{Request, encode};

/// The Software Release of all instances; it is never built.
pub(crate) const SOFTWARE: &str = "https://example.com/software/bench/software.cfg";

/// Words for one Master.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    /// Empty for the original, which asks for none.
    pub(crate) token: String,
}

impl Words {
    fn post(&self, path: &str, fields: &[(&str, String)]) -> Request {
        Request::post(path, &self.token, fields)
    }

    /// A computer says how it is formatted: with so many partitions of two addresses each.
    pub(crate) fn format(&self, computer: &str, partitions: usize) -> Request {
        let described = (0..partitions).map(partition).collect();
        let mut description = ComputerDescription::new(computer.into(), described);
        "127.0.0.1".clone_into(&mut description.address);
        "255.255.255.255".clone_into(&mut description.netmask);
        let xml = dumps(&description_to_value(&description)).expect("it is plain text");
        self.post("/loadComputerConfigurationFromXML", &[("xml", xml)])
    }

    /// Somebody supplies the Software Release.
    pub(crate) fn supply(&self, computer: &str) -> Request {
        let fields = [("url", SOFTWARE), ("computer_id", computer), ("state", "available")];
        self.post("/supplySupply", &fields.map(|(name, value)| (name, value.to_owned())))
    }

    /// Somebody asks for an instance on a computer, with a parameter.
    pub(crate) fn request(&self, title: &str, computer: &str, parameter: &str) -> Request {
        let mut request = InstanceRequest::new(title, SOFTWARE);
        request.parameters.insert("_".to_owned(), format!("{{\"size\": \"{parameter}\"}}"));
        request.sla.insert("computer_guid".to_owned(), computer.to_owned());
        let form = request_to_form(&request).expect("it is plain text");
        self.post("/requestComputerPartition", &form)
    }

    /// A node says that an instance is started.
    pub(crate) fn started(&self, computer: &str, partition: usize) -> Request {
        let fields = [
            ("computer_id", computer.to_owned()),
            ("computer_partition_id", format!("slappart{partition}")),
        ];
        self.post("/startedComputerPartition", &fields)
    }

    /// A node asks for everything.
    pub(crate) fn full(&self, computer: &str) -> Request {
        let path = format!("/getFullComputerInformation?computer_id={}", encode(computer));
        Request::get(&path, &self.token)
    }

    /// Somebody asks about one partition.
    pub(crate) fn partition(&self, computer: &str, partition: usize) -> Request {
        let path = format!(
            "/registerComputerPartition?computer_reference={}\
             &computer_partition_reference=slappart{partition}",
            encode(computer)
        );
        Request::get(&path, &self.token)
    }

    /// A node listens.
    pub(crate) fn events(&self, computer: &str) -> Request {
        Request::get(&format!("/api/v1/events?computer={}", encode(computer)), &self.token)
    }
}

fn partition(index: usize) -> PartitionDescription {
    let last = u8::try_from(index % 250).unwrap_or(0) + 1;
    let local = Address { addr: Ipv4Addr::new(10, 0, 0, last).into(), netmask: masked(32) };
    let global = format!("2001:db8::{:x}", index + 1).parse().expect("an address");
    let global = Address { addr: global, netmask: masked(128) };
    PartitionDescription::new(format!("slappart{index}").into(), vec![local, global])
}

fn masked(bits: u8) -> String {
    match bits {
        32 => "255.255.255.255".to_owned(),
        _ => "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".to_owned(),
    }
}
