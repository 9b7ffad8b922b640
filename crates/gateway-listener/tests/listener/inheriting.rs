//! Sockets that were opened by somebody else, who keeps them.

use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use gateway_listener::{BindError, InheritedError, Listener, ListenerConfig, inherited};
use tokio::net::TcpStream;

use crate::fixture::{Client, Server};

/// What it takes to be the process that was started: run alone, in a process of its own, by the tests below.
#[test]
#[ignore = "started by the tests beside it, with sockets"]
fn as_a_child_take_two() {
    let passed = inherited(Some("gateway.socket:callers")).unwrap();
    let [callers, administrators] = passed.assign(["callers", "administrators"]).unwrap();
    let port = |socket: Option<TcpListener>| socket.unwrap().local_addr().unwrap().port();
    println!("callers={} administrators={}.", port(callers), port(administrators));
    assert!(inherited(None).unwrap().is_empty(), "they are taken once");
}

#[test]
#[ignore = "started by the tests beside it, with something that is no socket"]
fn as_a_child_refuse() {
    let error = inherited(None).unwrap_err();
    assert!(matches!(error, InheritedError::NotListening { descriptor: 3, .. }));
    println!("{error}.");
}

#[test]
#[ignore = "started by the tests beside it, with the sockets of another process"]
fn as_a_child_find_none() {
    assert!(inherited(None).unwrap().is_empty());
    println!("none.");
}

/// Runs one of the tests above with these as descriptors 3 and 4; returns what it says.
fn run_child(test: &str, variables: &str, descriptors: [Stdio; 2]) -> String {
    let [third, fourth] = descriptors;
    // A shell, because only that can give a process the descriptors and the variables that go with its number.
    let child = Command::new("sh")
        .args(["-c", &format!(r#"exec 5>&1 3<&0 4<&2 0</dev/null 2>/dev/null 1>&5; {variables} exec "$0" "$@""#)])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("inheriting::{test}"), "--ignored", "--nocapture"])
        .stdin(third)
        .stderr(fourth)
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let mut says = String::new();
    child.stdout.take().unwrap().read_to_string(&mut says).unwrap();
    assert!(child.wait().unwrap().success(), "{says}");
    says
}

fn descriptor(socket: &TcpListener) -> Stdio {
    OwnedFd::from(socket.try_clone().unwrap()).into()
}

#[test]
fn sockets_are_taken_by_name_and_by_order() {
    let [one, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let says = run_child("as_a_child_take_two", "LISTEN_FDS=2 LISTEN_PID=$$", [descriptor(&one), descriptor(&other)]);
    let [one, other] = [one, other].map(|socket| socket.local_addr().unwrap().port());
    assert!(says.contains(&format!("callers={other} administrators={one}.")), "{says}");
}

#[test]
fn what_is_no_listening_socket_is_refused() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    for wrong in [Stdio::null(), OwnedFd::from(connection).into()] {
        let says = run_child("as_a_child_refuse", "LISTEN_FDS=1 LISTEN_PID=$$", [wrong, Stdio::null()]);
        assert!(says.contains("descriptor 3 is no TCP socket that listens"), "{says}");
    }
}

#[test]
fn sockets_that_were_passed_to_another_process_are_left_alone() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    for variables in ["", "LISTEN_FDS=1 LISTEN_PID=1"] {
        let says = run_child("as_a_child_find_none", variables, [descriptor(&socket), Stdio::null()]);
        assert!(says.contains("none."), "{says}");
    }
}

#[tokio::test]
async fn a_socket_goes_on_for_those_who_keep_it() {
    let kept = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = ListenerConfig::new("not looked at");
    // Means nothing here; if it did, the socket would take no connection any more.
    config.reuse_port = true;
    for _ in 0..3 {
        let server = Server::of(Listener::from_socket(kept.try_clone().unwrap(), &config).unwrap());
        assert_eq!(server.address, kept.local_addr().unwrap());
        let mut client = Client(TcpStream::connect(server.address).await.unwrap());
        client.send("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(client.read_to_close().await.ends_with("GET /a "));
        server.stop().await.unwrap();
    }
    // Nobody serves, and still nobody is turned away.
    let mut waiting = Client(TcpStream::connect(kept.local_addr().unwrap()).await.unwrap());
    waiting.send("GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let _next = Server::of(Listener::from_socket(kept, &config).unwrap());
    assert!(waiting.read_to_close().await.ends_with("GET /b "));
}

#[tokio::test]
async fn a_socket_that_does_not_listen_is_refused() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    let connection = TcpListener::from(OwnedFd::from(connection));
    let error = Listener::from_socket(connection, &ListenerConfig::new("")).unwrap_err();
    assert!(matches!(error, BindError::Unusable { .. }), "{error}");
}
