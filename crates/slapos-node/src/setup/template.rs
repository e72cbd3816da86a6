//! The texts of new configuration files. Pure.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// How the node shows its Master who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// By a token in a file.
    Token(PathBuf),
    /// By a certificate; those of partitions are kept in the directory. Key and certificate may be one
    /// file.
    Certificate {
        /// The private key.
        key: PathBuf,
        /// The certificate.
        certificate: PathBuf,
        /// The directory.
        repository: PathBuf,
    },
}

/// The embedded Master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: PathBuf,
    pub(super) user: String,
    /// Address and port for others, by https.
    pub(super) tls: Option<(String, u16)>,
}

/// Everything in a new `slapos.cfg`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeFile {
    /// The command that writes it.
    pub(super) command: &'static str,
    pub(super) computer_id: String,
    pub(super) master_url: String,
    /// `None` for the embedded Master, whose token is found beside its database.
    pub(super) identity: Option<Identity>,
    /// The Master's authority, unless the machine knows it.
    pub(super) authority: Option<PathBuf>,
    pub(super) software_root: PathBuf,
    pub(super) instance_root: PathBuf,
    pub(super) shared: PathBuf,
    pub(super) partition_amount: u32,
    pub(super) interface_name: Option<String>,
    pub(super) ipv6_interface: Option<String>,
    pub(super) ipv4_local_network: Option<String>,
    pub(super) create_tap: bool,
    pub(super) computer_xml: Option<PathBuf>,
    pub(super) software_user: String,
    pub(super) user_base_name: String,
    pub(super) alter_user: bool,
    pub(super) proxy: Option<Proxy>,
}

/// The text of a node's configuration.
pub(super) fn node_file(file: &NodeFile) -> String {
    let mut text = head(file.command);
    text.push_str("[slapos]\n");
    let mut option = |name: &str, value: &str| line(&mut text, name, value);
    option("computer_id", &file.computer_id);
    option("master_url", &file.master_url);
    match &file.identity {
        None => {}
        Some(Identity::Token(path)) => option("master_token_file", &shown(path)),
        Some(Identity::Certificate { key, certificate, repository }) => {
            option("key_file", &shown(key));
            option("cert_file", &shown(certificate));
            option("certificate_repository_path", &shown(repository));
        }
    }
    if let Some(authority) = &file.authority {
        option("master_ca_file", &shown(authority));
    }
    option("software_root", &shown(&file.software_root));
    option("instance_root", &shown(&file.instance_root));
    option("shared_part_list", &shown(&file.shared));
    text.push_str("\n[slapformat]\n");
    let mut option = |name: &str, value: &str| line(&mut text, name, value);
    option("partition_amount", &file.partition_amount.to_string());
    option("partition_base_name", "slappart");
    option("user_base_name", &file.user_base_name);
    option("software_user", &file.software_user);
    option("alter_user", &file.alter_user.to_string());
    if let Some(interface) = &file.interface_name {
        option("interface_name", interface);
    }
    if let Some(interface) = &file.ipv6_interface {
        option("ipv6_interface", interface);
    }
    if let Some(network) = &file.ipv4_local_network {
        option("ipv4_local_network", network);
    }
    option("create_tap", &file.create_tap.to_string());
    option("tap_base_name", "slaptap");
    if let Some(computer_xml) = &file.computer_xml {
        option("computer_xml", &shown(computer_xml));
    }
    if let Some(proxy) = &file.proxy {
        text.push_str("\n[slapproxy]\n");
        let mut option = |name: &str, value: &str| line(&mut text, name, value);
        option("host", &proxy.host);
        option("port", &proxy.port.to_string());
        if let Some((host, port)) = &proxy.tls {
            option("tls_host", host);
            option("tls_port", &port.to_string());
        }
        option("database_uri", &shown(&proxy.database));
        option("user", &proxy.user);
    }
    text
}

/// The text of a user's configuration.
pub(super) fn client_file(
    master_url: &str,
    identity: &Identity,
    authority: Option<&Path>,
) -> String {
    let mut text = head("slapos configure client");
    text.push_str("[slapos]\n");
    line(&mut text, "master_url", master_url);
    if let Some(authority) = authority {
        line(&mut text, "master_ca_file", &shown(authority));
    }
    match identity {
        Identity::Token(path) => line(&mut text, "master_token_file", &shown(path)),
        Identity::Certificate { key, certificate, .. } => {
            text.push_str("\n[slapconsole]\n");
            line(&mut text, "cert_file", &shown(certificate));
            line(&mut text, "key_file", &shown(key));
        }
    }
    text
}

fn head(command: &str) -> String {
    format!("# Written by `{command}`. Yours to change: it is not written again.\n\n")
}

/// The syntax takes `%` for itself.
fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name} = {}", value.replace('%', "%%"));
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NodeConfig;
    use slapos_config::Config;

    fn file() -> NodeFile {
        NodeFile {
            command: "slapos node register",
            computer_id: "COMP-7".into(),
            master_url: "https://master.example/".into(),
            identity: Some(Identity::Certificate {
                key: "/etc/opt/slapos/ssl/key".into(),
                certificate: "/etc/opt/slapos/ssl/certificate".into(),
                repository: "/etc/opt/slapos/ssl/partition_pki".into(),
            }),
            authority: None,
            software_root: "/opt/100%".into(),
            instance_root: "/srv/slapgrid".into(),
            shared: "/opt/slapgrid/shared".into(),
            partition_amount: 10,
            interface_name: Some("eth0".into()),
            ipv6_interface: Some("re6st0".into()),
            ipv4_local_network: None,
            create_tap: false,
            computer_xml: Some("/opt/slapos/slapos.xml".into()),
            software_user: "slapsoft".into(),
            user_base_name: "slapuser".into(),
            alter_user: true,
            proxy: None,
        }
    }

    #[test]
    fn a_node_of_a_master_elsewhere() {
        insta::assert_snapshot!(node_file(&file()), @r"
        # Written by `slapos node register`. Yours to change: it is not written again.

        [slapos]
        computer_id = COMP-7
        master_url = https://master.example/
        key_file = /etc/opt/slapos/ssl/key
        cert_file = /etc/opt/slapos/ssl/certificate
        certificate_repository_path = /etc/opt/slapos/ssl/partition_pki
        software_root = /opt/100%%
        instance_root = /srv/slapgrid
        shared_part_list = /opt/slapgrid/shared

        [slapformat]
        partition_amount = 10
        partition_base_name = slappart
        user_base_name = slapuser
        software_user = slapsoft
        alter_user = true
        interface_name = eth0
        ipv6_interface = re6st0
        create_tap = false
        tap_base_name = slaptap
        computer_xml = /opt/slapos/slapos.xml
        ");
    }

    #[test]
    fn what_is_written_is_understood() {
        let proxy = Proxy {
            host: "127.0.0.1".into(),
            port: 8080,
            database: "/m/proxy.db".into(),
            user: "slapproxy".into(),
            tls: Some(("::".into(), 8081)),
        };
        let network = Some("127.20.0.0/16".to_owned());
        let local =
            NodeFile { identity: None, proxy: Some(proxy), ipv4_local_network: network, ..file() };
        let config = Config::parse(&node_file(&local), "slapos.cfg").unwrap();
        let config = NodeConfig::from_config(&config, Path::new("slapos.cfg")).unwrap();
        assert_eq!(config.software_root, Path::new("/opt/100%"));
        assert_eq!(config.master_token_file.unwrap().path, Path::new("/m/master.token"));
        let proxy = config.proxy.unwrap();
        assert_eq!((proxy.port, proxy.access.tls.unwrap().port), (8080, 8081));
        assert_eq!(config.format.ipv4_local_network.to_string(), "127.20.0.0/16");
    }

    #[test]
    fn users_have_a_file_of_their_own() {
        let identity = Identity::Token("/home/u/.slapos/client.token".into());
        insta::assert_snapshot!(client_file("https://127.0.0.1:5443", &identity, Some(Path::new("/ca.pem"))), @r"
        # Written by `slapos configure client`. Yours to change: it is not written again.

        [slapos]
        master_url = https://127.0.0.1:5443
        master_ca_file = /ca.pem
        master_token_file = /home/u/.slapos/client.token
        ");
        let certificate = Identity::Certificate {
            key: "/home/u/.slapos/client.key".into(),
            certificate: "/home/u/.slapos/client.crt".into(),
            repository: PathBuf::new(),
        };
        insta::assert_snapshot!(client_file("https://master.example/", &certificate, None), @r"
        # Written by `slapos configure client`. Yours to change: it is not written again.

        [slapos]
        master_url = https://master.example/

        [slapconsole]
        cert_file = /home/u/.slapos/client.crt
        key_file = /home/u/.slapos/client.key
        ");
    }
}
