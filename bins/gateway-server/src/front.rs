//! Two services behind one listener: the Admin API under its paths, the gateway everywhere else.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use gateway_admin::AdminService;
use gateway_core::{AnswerBody, GatewayService};
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::Service;

/// What callers and administrators reach at the same address.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) gateway: GatewayService,
    /// None if it has a listener of its own.
    pub(crate) admin: Option<AdminService>,
}

impl Service<Request<Incoming>> for Front {
    type Response = Response<Either<AnswerBody, Full<Bytes>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if let Some(admin) = self.admin.as_ref().filter(|_| AdminService::handles(request.uri().path())) {
            let answer = admin.call(request);
            return Box::pin(async move { Ok(answer.await?.map(Either::Right)) });
        }
        let answer = self.gateway.call(request);
        Box::pin(async move { Ok(answer.await?.map(Either::Left)) })
    }
}
