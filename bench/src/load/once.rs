//! One call on a connection of its own, made at once or as soon as somebody listens.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Result, bail};

use super::answer::{Fault, Progress, Reader};
use super::expected::Expected;
use crate::exchange::{Ask, Kind, Size};

/// Makes a plain call and checks the answer.
pub(crate) fn call(address: SocketAddr, ask: &Ask, is_rewritten: bool) -> Result<()> {
    match attempt(address, ask, is_rewritten) {
        Ok(()) => Ok(()),
        Err(fault) => bail!("{fault}"),
    }
}

/// Whether somebody listens and answers as expected; a refused connection is a no, anything else that is wrong is an error.
pub(crate) fn is_answered(address: SocketAddr, ask: &Ask, is_rewritten: bool) -> Result<bool> {
    match attempt(address, ask, is_rewritten) {
        Ok(()) => Ok(true),
        Err(Fault::Connection(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(false),
        Err(fault) => bail!("{fault}"),
    }
}

fn attempt(address: SocketAddr, ask: &Ask, is_rewritten: bool) -> Result<(), Fault> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(&ask.request(Kind::Plain, Size::Small))?;
    let expected = Expected::new(ask, Kind::Plain, is_rewritten);
    let (mut reader, mut room) = (Reader::default(), [0; 4096]);
    loop {
        match stream.read(&mut room)? {
            0 => return Err(Fault::Cut),
            read => {
                if reader.feed(&expected, &room[..read])? == Progress::Over {
                    return Ok(());
                }
            }
        }
    }
}
