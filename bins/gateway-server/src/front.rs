//! Several services behind one listener: the Admin API under its paths, the gateway everywhere else.

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

/// What callers and administrators reach at the same address.
#[derive(Clone)]
pub(crate) struct Front {
    gateway: GatewayService,
    detailed: Detailed,
    /// None if it has a listener of its own.
    admin: Option<AdminService>,
}

impl Front {
    /// What callers reach.
    pub(crate) fn new(gateway: &Gateway, detailed: Detailed) -> Self {
        Self { gateway: gateway.service(), detailed, admin: None }
    }

    /// And administrators too.
    pub(crate) fn with_admin(self, admin: AdminService) -> Self {
        Self { admin: Some(admin), ..self }
    }
}

impl Service<Request<Incoming>> for Front {
    type Response = Response<Either<AnswerBody, Full<Bytes>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let path = request.uri().path();
        if let Some(admin) = self.admin.as_ref().filter(|_| AdminService::handles(path)) {
            let answer = admin.call(request);
            return Box::pin(async move { Ok(answer.await?.map(Either::Right)) });
        }
        if Detailed::handles(request.method(), path) {
            let detailed = self.detailed.clone();
            return Box::pin(async move { Ok(detailed.answer(request.headers()).await.map(Either::Right)) });
        }
        let answer = self.gateway.call(request);
        Box::pin(async move { Ok(answer.await?.map(Either::Left)) })
    }
}
