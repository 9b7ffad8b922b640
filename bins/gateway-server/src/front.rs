//! Several services behind one listener: the Admin API and metrics under their paths, the gateway everywhere else.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gateway_admin::AdminService;
use gateway_core::{AnswerBody, Gateway, GatewayService};
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::detailed::Detailed;
use crate::scrape::Scrape;

/// What callers and administrators reach at the same address.
#[derive(Clone)]
pub(crate) struct Front {
    gateway: GatewayService,
    detailed: Detailed,
    /// None if administrators have a listener of their own.
    back: Option<Back>,
    home: Home,
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

/// A runtime in which work is done that another one waits for.
#[derive(Clone)]
struct Home(Handle);

impl Home {
    /// Does it there. It is given up with the future that waits for it, behind a step that it may be in the middle of, and its panic is
    /// the panic of who waits.
    fn run<F>(&self, work: F) -> impl Future<Output = F::Output> + use<F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let task = AbortOnDropHandle::new(self.0.spawn(work));
        async {
            match task.await {
                Ok(done) => done,
                Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                // The runtime is shutting down, and the connection with it.
                Err(_) => pending().await,
            }
        }
    }
}

impl Front {
    /// What callers reach. What is no call is done in the present runtime: a list of all keys, or of how each of a thousand
    /// providers has fared, takes longer than the streams of a worker should wait.
    pub(crate) fn new(gateway: &Gateway, detailed: Detailed) -> Self {
        Self { gateway: gateway.service(), detailed, back: None, home: Home(Handle::current()) }
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
            let answer = self.home.run(back.call(request));
            return Answering::Other(Box::pin(async move { Ok(answer.await?.map(Either::Right)) }));
        }
        if Detailed::handles(method, path) {
            let detailed = self.detailed.clone();
            let answer = self.home.run(async move { detailed.answer(request.headers()).await });
            return Answering::Other(Box::pin(async { Ok(answer.await.map(Either::Right)) }));
        }
        Answering::Call(self.gateway.call(request))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::sync::mpsc::{Sender, channel};
    use std::thread;
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// A runtime that others wait for, and one that waits.
    fn runtimes() -> (Runtime, Runtime) {
        let home = Builder::new_multi_thread().worker_threads(1).thread_name("home").build().unwrap();
        (home, Builder::new_current_thread().build().unwrap())
    }

    #[test]
    fn work_is_done_at_home() {
        let (home, here) = runtimes();
        let name = async { thread::current().name().map(str::to_owned) };
        assert_eq!(here.block_on(Home(home.handle().clone()).run(name)).as_deref(), Some("home"));
    }

    #[test]
    fn work_that_nobody_waits_for_is_given_up() {
        struct Told(Sender<()>);

        impl Drop for Told {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }

        let (home, _here) = runtimes();
        let (sender, given_up) = channel();
        let told = Told(sender);
        drop(Home(home.handle().clone()).run(async move {
            let _told = told;
            pending::<()>().await;
        }));
        given_up.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[test]
    #[should_panic(expected = "as it happens")]
    fn a_panic_is_passed_on() {
        let (home, here) = runtimes();
        here.block_on(Home(home.handle().clone()).run(async { panic!("as it happens") }));
    }
}
