//! Several services behind one listener: the Admin API and metrics under their paths, the gateway everywhere else.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gateway_admin::AdminService;
use gateway_core::{AnswerBody, Gateway, GatewayService};
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::Service;

use crate::detailed::Detailed;
use crate::scrape::Scrape;

/// What callers and administrators reach at the same address.
#[derive(Clone)]
pub(crate) struct Front {
    gateway: GatewayService,
    detailed: Detailed,
    /// None if administrators have a listener of their own.
    back: Option<Back>,
}

/// What administrators reach: the Admin API, and metrics.
#[derive(Clone)]
pub(crate) struct Back {
    pub(crate) admin: AdminService,
    pub(crate) scrape: Scrape,
}

impl Back {
    fn handles(method: &Method, path: &str) -> bool {
        Scrape::handles(method, path) || AdminService::handles(path)
    }
}

impl Service<Request<Incoming>> for Back {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if Scrape::handles(request.method(), request.uri().path()) {
            let scrape = self.scrape.clone();
            return Box::pin(async move { Ok(scrape.answer(request.headers()).await) });
        }
        // It says that there is nothing at other paths.
        Box::pin(self.admin.call(request))
    }
}

impl Front {
    /// What callers reach.
    pub(crate) fn new(gateway: &Gateway, detailed: Detailed) -> Self {
        Self { gateway: gateway.service(), detailed, back: None }
    }

    /// And administrators too.
    pub(crate) fn with_back(self, back: Back) -> Self {
        Self { back: Some(back), ..self }
    }
}

type Reply = Result<Response<Either<AnswerBody, Full<Bytes>>>, Infallible>;

/// An answer to come. A call's is not boxed again: it is what nearly all requests are.
pub(crate) enum Answering {
    Call(<GatewayService as Service<Request<Incoming>>>::Future),
    Other(Pin<Box<dyn Future<Output = Reply> + Send>>),
}

impl Future for Answering {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        match self.get_mut() {
            Self::Call(call) => call.as_mut().poll(cx).map_ok(|answer| answer.map(Either::Left)),
            Self::Other(other) => other.as_mut().poll(cx),
        }
    }
}

impl Service<Request<Incoming>> for Front {
    type Response = Response<Either<AnswerBody, Full<Bytes>>>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let (method, path) = (request.method(), request.uri().path());
        if let Some(back) = self.back.as_ref().filter(|_| Back::handles(method, path)) {
            let answer = back.call(request);
            return Answering::Other(Box::pin(async move { Ok(answer.await?.map(Either::Right)) }));
        }
        if Detailed::handles(method, path) {
            let detailed = self.detailed.clone();
            let answer = async move { Ok(detailed.answer(request.headers()).await.map(Either::Right)) };
            return Answering::Other(Box::pin(answer));
        }
        Answering::Call(self.gateway.call(request))
    }
}
