//! The gateway inside another hyper server: this process answers `/hello` itself and leaves the rest to the gateway.
//!
//! `cargo run -p embed-hyper -- http://127.0.0.1:18100/v1`, with any OpenAI-compatible API at that address.

use std::convert::Infallible;

use anyhow::Context;
use bytes::Bytes;
use gateway_config::Config;
use gateway_core::{AnswerBody, Gateway, GatewayService};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

type Body = Either<Full<Bytes>, AnswerBody>;

async fn answer(gateway: GatewayService, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/hello" {
        return Ok(Response::new(Either::Left(Full::from("hello from the application\n"))));
    }
    Ok(gateway.call(request).await?.map(Either::Right))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let upstream = std::env::args().nth(1).context("name the API base of an upstream")?;
    let yaml = format!("auth: none\nproviders: [{{ name: upstream, api_base: '{upstream}' }}]");
    let service = Gateway::builder().build(&Config::from_yaml(&yaml)?)?.service();

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let gateway = service.clone();
        tokio::spawn(async move {
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http1().timer(TokioTimer::new());
            let service = service_fn(move |request| answer(gateway.clone(), request));
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("a connection ended: {error}");
            }
        });
    }
}
