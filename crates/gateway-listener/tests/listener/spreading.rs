//! Connections go to the worker that has the fewest.

use std::convert::Infallible;
use std::thread;

use gateway_listener::{Listener, ListenerConfig};
use hyper::Response;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::fixture::Client;

const NAMES: [&str; 3] = ["a-worker", "b-worker", "c-worker"];

/// A runtime in a thread of this name, until the sender is dropped.
fn worker(name: &str) -> (Handle, oneshot::Sender<()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel());
    let work = move || runtime.block_on(async { drop(stopped.await) });
    thread::Builder::new().name(name.to_owned()).spawn(work).unwrap();
    (handle, stop)
}

/// The name of the thread that serves a connection.
async fn name_of(client: &mut Client) -> String {
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = client.read_until("-worker").await;
    answer.split("\r\n\r\n").nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn each_connection_stays_with_the_worker_that_had_the_fewest() {
    let workers = NAMES.map(worker);
    let listener = Listener::bind(&ListenerConfig::new("127.0.0.1:0")).await.unwrap();
    let address = listener.local_addr();
    let listener = listener.in_runtimes(workers.iter().map(|(runtime, _)| runtime.clone()));
    let name = || thread::current().name().unwrap_or_default().to_owned();
    let service = service_fn(move |_| async move { Ok::<_, Infallible>(Response::new(name())) });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(listener.serve(service, async { drop(stopped.await) }));

    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Client(TcpStream::connect(address).await.unwrap());
        let first = name_of(&mut client).await;
        assert_eq!(name_of(&mut client).await, first, "all of a connection is served by one");
        clients.push((first, client));
    }
    let count = |name: &str, clients: &[(String, Client)]| clients.iter().filter(|(it, _)| it == name).count();
    for name in NAMES {
        assert_eq!(count(name, &clients), 2, "{name}");
    }
    drop(stop);
    drop(clients);
    serving.await.unwrap();
}
