//! nginx, of Debian's package `nginx`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::{Command, filled};
use crate::launch::most_descriptors;

const CONFIGURATION: &str = include_str!("../../peers/nginx.conf");

pub(super) fn command(program: &Path, folder: &Path, address: SocketAddr, upstream: SocketAddr) -> Result<Command> {
    // Started by root, its workers would become somebody who cannot write here.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let descriptors = most_descriptors();
    let words = [
        ("USER", user.to_owned()),
        ("DESCRIPTORS", descriptors.to_string()),
        ("CONNECTIONS", (descriptors + descriptors / 8).to_string()),
        ("PORT", address.port().to_string()),
        ("UPSTREAM", upstream.to_string()),
    ];
    fs::write(folder.join("nginx.conf"), filled(CONFIGURATION, &words))?;
    let folder = folder.display().to_string();
    let arguments = ["-p", &folder, "-c", "nginx.conf", "-e", "error.log"].map(str::to_owned).into();
    Ok(Command { name: "nginx", program: program.to_owned(), arguments, address })
}
