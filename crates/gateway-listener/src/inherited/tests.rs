#![allow(clippy::unwrap_used)]

use std::net::TcpListener;

use super::{Inherited, InheritedError, Named, is_given_on_purpose};

const ROLES: [&str; 2] = ["callers", "administrators"];

/// Sockets of these names, and their ports.
fn passed(names: &[&str]) -> (Inherited, Vec<u16>) {
    let socket = |name: &&str| {
        let name = is_given_on_purpose(name).then(|| (*name).to_owned());
        Named { name, socket: TcpListener::bind("127.0.0.1:0").unwrap() }
    };
    let sockets: Vec<_> = names.iter().map(socket).collect();
    let ports = sockets.iter().map(|it| it.socket.local_addr().unwrap().port()).collect();
    (Inherited { sockets }, ports)
}

/// Which of the sockets each role gets.
fn assigned(names: &[&str]) -> Result<[Option<usize>; 2], InheritedError> {
    let (inherited, ports) = passed(names);
    let place = |socket: TcpListener| {
        let port = socket.local_addr().unwrap().port();
        ports.iter().position(|it| *it == port).unwrap()
    };
    Ok(inherited.assign(ROLES)?.map(|socket| socket.map(place)))
}

#[test]
fn names_come_first_and_then_the_order() {
    for (names, expected) in [
        (&[][..], [None, None]),
        (&["callers"], [Some(0), None]),
        (&["administrators"], [None, Some(0)]),
        (&["administrators", "callers"], [Some(1), Some(0)]),
        (&[""], [Some(0), None]),
        (&["unknown", "unknown"], [Some(0), Some(1)]),
        (&["gateway.socket", "gateway.socket"], [Some(0), Some(1)]),
        (&["gateway.socket", "callers"], [Some(1), Some(0)]),
        (&["administrators", "gateway.socket"], [Some(1), Some(0)]),
    ] {
        assert_eq!(assigned(names).unwrap(), expected, "{names:?}");
    }
}

#[test]
fn a_socket_that_nothing_would_listen_on_is_an_error() {
    for (names, message) in [
        (
            &["admin"][..],
            "an inherited socket is called `admin`; FileDescriptorName= may be one of: callers, administrators",
        ),
        (&["callers", "callers"], "two inherited sockets are called `callers`; there can be one"),
        (&["", "", ""], "3 sockets were inherited and only 2 can be used"),
        (&["callers", "administrators", ""], "3 sockets were inherited and only 2 can be used"),
    ] {
        assert_eq!(assigned(names).unwrap_err().to_string(), message);
    }
}
