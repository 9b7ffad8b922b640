//! How large a call is in memory, apart from what it reads.
//!
//! The future of every call is allocated, and what it is made of moves to its place in it, so its size is time as well: at 12 KB it
//! took a seventh of the instructions of a plain call. It grows where a function that awaits takes something large by value, which is
//! then kept twice, and where something that few calls need is awaited without a box.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use gateway_config::Config;
use gateway_core::Gateway;
use http::Request;
use http_body_util::Full;
use hyper::service::Service;

/// The most that the future of a call may take, in bytes. Nearly half of it is the exchange with the upstream.
const CALL: usize = 5 * 1024 + 512;

/// The most that the body of an answer may, which every layer of a connection moves.
const ANSWER: usize = 64;

#[tokio::test]
async fn a_call_is_small() {
    let yaml = "{ auth: none, providers: [{ name: main, api_base: 'http://127.0.0.1:1' }] }";
    let service = Gateway::builder().build(&Config::from_yaml(yaml).unwrap()).unwrap().service();
    let request = Request::post("/v1/chat/completions").header("host", "gateway");
    let call = service.call(request.body(Full::from(Bytes::new())).unwrap());
    assert!(size_of_val(&*call) <= CALL, "{}", size_of_val(&*call));
    let answer = call.await.unwrap();
    assert!(size_of_val(answer.body()) <= ANSWER, "{}", size_of_val(answer.body()));
}
