//! Several services behind one listener: the Admin API and metrics under their paths, the gateway everywhere else.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use gateway_admin::AdminService;
use gateway_core::{AnswerBody, Gateway, GatewayService};
use http::{Request, Response};
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
    /// The answer to a request, if it is for what administrators reach; else the request.
    fn answer(&self, request: Request<Incoming>) -> Result<BackAnswer, Request<Incoming>> {
        let path = request.uri().path();
        if Scrape::handles(request.method(), path) {
            let scrape = self.scrape.clone();
            return Ok(Box::pin(async move { Ok(scrape.answer(request.headers()).await) }));
        }
        if AdminService::handles(path) {
            return Ok(Box::pin(self.admin.call(request)));
        }
        Err(request)
    }
}

type BackAnswer = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

impl Service<Request<Incoming>> for Back {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BackAnswer;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        // The Admin API says that there is nothing at other paths.
        self.answer(request).unwrap_or_else(|request| Box::pin(self.admin.call(request)))
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

impl Service<Request<Incoming>> for Front {
    type Response = Response<Either<AnswerBody, Full<Bytes>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answered = match &self.back {
            Some(back) => back.answer(request),
            None => Err(request),
        };
        let request = match answered {
            Ok(answer) => return Box::pin(async move { Ok(answer.await?.map(Either::Right)) }),
            Err(request) => request,
        };
        let path = request.uri().path();
        if Detailed::handles(request.method(), path) {
            let detailed = self.detailed.clone();
            return Box::pin(async move { Ok(detailed.answer(request.headers()).await.map(Either::Right)) });
        }
        let answer = self.gateway.call(request);
        Box::pin(async move { Ok(answer.await?.map(Either::Left)) })
    }
}
