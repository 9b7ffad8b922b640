//! A refusal in the middle of a large upload arrives. Closing a socket with unread bytes would reset it, and the caller
//! would see a broken connection where it should see why.

use bytes::Bytes;
use gateway_testing::{Client, client};
use gateway_tests::stage::{CALLER_KEY, CHAT, Stage, authorized};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

const UPLOAD: usize = 20 << 20;
const CHUNK: usize = 64 << 10;

/// Each upload with its head, and how it is refused.
fn uploads() -> [(&'static str, Vec<u8>, &'static str, &'static str); 4] {
    let length = format!("content-length: {UPLOAD}");
    let body = vec![b'x'; UPLOAD];
    let chunks = chunk().repeat(UPLOAD / CHUNK).into_bytes();
    [
        ("no key, length", [head("sk-wrong", &length), body.clone()].concat(), "401", "invalid_api_key"),
        (
            "no key, chunks",
            [head("sk-wrong", "transfer-encoding: chunked"), chunks.clone()].concat(),
            "401",
            "invalid_api_key",
        ),
        ("too large, length", [head(CALLER_KEY, &length), body].concat(), "413", "request_too_large"),
        (
            "too large, chunks",
            [head(CALLER_KEY, "transfer-encoding: chunked"), chunks].concat(),
            "413",
            "request_too_large",
        ),
    ]
}

/// A chunk with its framing.
fn chunk() -> String {
    format!("{CHUNK:x}\r\n{}\r\n", "x".repeat(CHUNK))
}

fn head(key: &str, framing: &str) -> Vec<u8> {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         {framing}\r\n\r\n"
    )
    .into_bytes()
}

/// Sends everything before it reads anything, as many clients do.
async fn upload(stage: &Stage, upload: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(stage.gateway.address()).await?;
    stream.write_all(upload).await?;
    let mut answer = Vec::new();
    // The chunked body has no end yet, so it is the gateway that closes.
    timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("not closed")?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_send_everything_first_see_the_refusal() {
    let stage = Stage::with("server: { max_body: 1MiB }\n").await;
    for (row, bytes, status, code) in uploads() {
        let answer = upload(&stage, &bytes).await.unwrap_or_else(|error| panic!("{row}: {error}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{row}: {answer}");
        assert!(answer.contains(code), "{row}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{row}: {answer}");
    }
    stage.assert_nothing_was_sent("refused");
    stage.assert_alive("refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_read_while_they_send_see_it_too() {
    let stage = Stage::with("server: { max_body: 1MiB }\n").await;
    let body = Bytes::from(vec![b'x'; UPLOAD]);
    for (request, status) in
        [(client::request("POST", CHAT, body.clone()), 401), (authorized("POST", CHAT, body.clone()), 413)]
    {
        let answer = Client::connect(stage.gateway.address()).await.send(request).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.json()["error"]["code"].is_string());
    }
}

/// The gateway reads on for a while so that the refusal arrives, and not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_end_is_cut() {
    let stage = Stage::with("server: { max_body: 1MiB }\n").await;
    let mut stream = TcpStream::connect(stage.gateway.address()).await.unwrap();
    stream.write_all(&head(CALLER_KEY, "transfer-encoding: chunked")).await.unwrap();
    let chunk = chunk();
    let endless = async { while stream.write_all(chunk.as_bytes()).await.is_ok() {} };
    timeout(Duration::from_secs(15), endless).await.expect("the gateway reads for ever");
}
