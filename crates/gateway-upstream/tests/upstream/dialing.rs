//! One call opens a connection for all who wait: what they get when it comes, fails, or is given up.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use gateway_upstream::{Upstream, UpstreamErrorKind};
use tokio::io::AsyncReadExt;
use tokio::join;

use crate::http2::{Server, accept, answer, drain, next};
use crate::peer::{Peer, call, send, within_patience};
use crate::tls::TlsPeer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_calls_shares_one_connection() {
    let mut server = Server::start(100).await;
    let upstream = server.upstream.clone();
    let calls = tokio::spawn(async move { join_all((0..50).map(|_| call(&upstream, "a"))).await });
    for (_, to) in server.requests(50).await {
        answer(to);
    }
    for answer in within_patience(calls).await.unwrap() {
        assert_eq!(answer.unwrap(), "ok");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_waiting_call_takes_over_when_the_connecting_one_leaves() {
    let server = TlsPeer::new(&["h2"]).await;
    let upstream = server.upstream();
    let (leaving, staying) = (upstream.clone(), upstream.clone());
    let leaving = tokio::spawn(async move { call(&leaving, "a").await });
    let silent = server.peer.accept().await;
    let staying = tokio::spawn(async move { call(&staying, "b").await });
    tokio::task::yield_now().await;
    assert!(server.peer.is_next().await, "one call connects for both");
    leaving.abort();
    let mut peer = accept(&server, 100).await;
    let (_, to) = next(&mut peer).await;
    answer(to);
    tokio::spawn(drain(peer));
    assert_eq!(within_patience(staying).await.unwrap().unwrap(), "ok");
    drop(silent);
}

/// Were each of them to connect in turn, nobody would answer the second.
#[tokio::test]
async fn a_connection_that_fails_fails_all_who_wait_for_it() {
    let peer = Peer::new("https").await;
    let upstream = Upstream::new(peer.config.clone()).unwrap();
    let calls = join_all((0..100).map(|_| send(&upstream, "a")));
    let serving = async { peer.accept().await.write("this is no handshake").await };
    let (failed, ()) = join!(calls, serving);
    for failed in failed {
        assert_eq!(failed.unwrap_err().kind(), UpstreamErrorKind::Tls);
    }
    assert!(peer.is_next().await, "one call connected for all");

    // Those who come later try again.
    let (failed, ()) = join!(send(&upstream, "b"), async { peer.accept().await.write("nor is this").await });
    assert_eq!(failed.unwrap_err().kind(), UpstreamErrorKind::Tls);
}

#[tokio::test]
async fn a_connection_that_closes_before_its_settings_fails_all_who_wait_for_it() {
    let server = TlsPeer::new(&["h2"]).await;
    let upstream = server.upstream();
    let calls = join_all((0..100).map(|_| send(&upstream, "a")));
    let serving = async {
        let mut stream = server.accept().await.unwrap();
        assert_ne!(stream.read(&mut [0; 24]).await.unwrap(), 0);
    };
    let (failed, ()) = join!(calls, serving);
    for failed in failed {
        assert_eq!(failed.unwrap_err().kind(), UpstreamErrorKind::Reset);
    }
    assert!(server.peer.is_next().await, "one call connected for all");
}
