//! Sockets that were opened before the process was: socket activation by systemd (`sd_listen_fds(3)`).
//!
//! Whoever started the process keeps them open, so that they take connections while it is restarted; nothing that
//! belongs to the socket rather than to our descriptor of it may be changed.

#[cfg(test)]
mod tests;

use std::array;
use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use socket2::SockRef;
use thiserror::Error;

/// The first inherited descriptor (`SD_LISTEN_FDS_START`).
const FIRST_DESCRIPTOR: usize = 3;

/// What was inherited cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InheritedError {
    /// A descriptor is something else.
    #[error(
        "the inherited descriptor {descriptor} is no TCP socket that listens; see ListenStream= in systemd.socket(5)"
    )]
    NotListening {
        /// Its number.
        descriptor: usize,
        /// What the system said, unless it is a TCP socket that does not listen.
        source: Option<io::Error>,
    },
    /// A socket has a name that nothing listens by.
    #[error("an inherited socket is called `{name}`; FileDescriptorName= may be one of: {expected}")]
    UnknownName {
        /// Its name.
        name: String,
        /// The names there are, separated by commas.
        expected: String,
    },
    /// Two sockets have the same name.
    #[error("two inherited sockets are called `{name}`; there can be one")]
    SameName {
        /// Their name.
        name: String,
    },
    /// More sockets than places to listen at.
    #[error("{given} sockets were inherited and only {usable} can be used")]
    TooMany {
        /// So many were inherited.
        given: usize,
        /// So many are used.
        usable: usize,
    },
}

/// A socket that listens already, for [`Listener::from_socket`](crate::Listener::from_socket).
pub type InheritedSocket = TcpListener;

/// The listening sockets that the process was started with.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    /// What it was given on purpose; systemd gives every socket some name.
    name: Option<String>,
    socket: TcpListener,
}

/// Takes the sockets that systemd, or a program like it, has passed to this process: `LISTEN_FDS` of them, if
/// `LISTEN_PID` is this process. None if there are no such variables. `names` is the value of `LISTEN_FDNAMES`.
///
/// Takes both variables out of the environment, so that a second call and a child process find none. Changing the
/// environment is not safe beside threads that read it: call this first thing in `main`.
pub fn inherited(names: Option<&str>) -> Result<Inherited, InheritedError> {
    let mut passed = ListenFd::from_env();
    let mut names = names.unwrap_or_default().split(':');
    let sockets = (0..passed.len()).map(|index| {
        let name = names.next().filter(|name| is_given_on_purpose(name)).map(str::to_owned);
        Ok(Named { name, socket: take(&mut passed, index)? })
    });
    Ok(Inherited { sockets: sockets.collect::<Result<_, _>>()? })
}

/// Without `FileDescriptorName=` a socket is called after its unit, and what has no name at all is `unknown`.
fn is_given_on_purpose(name: &str) -> bool {
    !name.is_empty() && name != "unknown" && !name.ends_with(".socket")
}

fn take(passed: &mut ListenFd, index: usize) -> Result<TcpListener, InheritedError> {
    let refused = |source| InheritedError::NotListening { descriptor: FIRST_DESCRIPTOR + index, source };
    // Each index is asked for once, so there is a socket or an error.
    let socket = passed.take_tcp_listener(index).map_err(|error| refused(Some(error)))?.ok_or_else(|| refused(None))?;
    if is_listening(&socket).map_err(|error| refused(Some(error)))? { Ok(socket) } else { Err(refused(None)) }
}

/// Whether connections can be accepted from the socket; it could be one of a connection, or merely bound.
pub(crate) fn is_listening(socket: &TcpListener) -> io::Result<bool> {
    SockRef::from(socket).is_listener()
}

impl Inherited {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Hands the sockets over to those who listen: to each the one of its name, and what has no name of its own in
    /// order to those who have none yet. All are used, or it is an error.
    pub fn assign<const N: usize>(self, roles: [&str; N]) -> Result<[Option<InheritedSocket>; N], InheritedError> {
        let given = self.sockets.len();
        let mut places = array::from_fn(|_| None);
        let mut nameless = Vec::new();
        for Named { name, socket } in self.sockets {
            let Some(name) = name else {
                nameless.push(socket);
                continue;
            };
            let Some(place) = roles.iter().position(|role| *role == name) else {
                return Err(InheritedError::UnknownName { name, expected: roles.join(", ") });
            };
            if places[place].replace(socket).is_some() {
                return Err(InheritedError::SameName { name });
            }
        }
        let mut free = places.iter_mut().filter(|place| place.is_none());
        for socket in nameless {
            *free.next().ok_or(InheritedError::TooMany { given, usable: N })? = Some(socket);
        }
        Ok(places)
    }
}
