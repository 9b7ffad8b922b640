//! HAProxy, of Debian's package `haproxy`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::{Command, filled};
use crate::launch::most_descriptors;

const CONFIGURATION: &str = include_str!("../../peers/haproxy.cfg");
/// Descriptors that HAProxy keeps for itself.
const OWN_DESCRIPTORS: u64 = 60;

pub(super) fn command(program: &Path, folder: &Path, address: SocketAddr, upstream: SocketAddr) -> Result<Command> {
    // Two descriptors for each connection of a caller.
    let connections = (most_descriptors() - OWN_DESCRIPTORS) / 2;
    let words = [
        ("CONNECTIONS", connections.to_string()),
        ("PORT", address.port().to_string()),
        ("UPSTREAM", upstream.to_string()),
    ];
    fs::write(folder.join("haproxy.cfg"), filled(CONFIGURATION, &words))?;
    let arguments = ["-db", "-f", "haproxy.cfg"].map(str::to_owned).into();
    Ok(Command { name: "haproxy", program: program.to_owned(), arguments, address })
}
