//! The hyper service: what a request is for, and the life of a call from top to bottom.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use gateway_call::{Endpoint, RequestId};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;

use crate::accept::{Destination, accept, allowed_methods, check_head, destination};
use crate::admit::admit;
use crate::answer::{Answer, relay};
use crate::attempt::{Passage, admit_passthrough, attempt, attempt_passthrough};
use crate::authenticate::{Caller, authenticate};
use crate::clock::{self, turn};
use crate::cors::CorsRules;
use crate::discard::discard;
use crate::encode::{PassedThrough, encode};
use crate::gate::{Entered, enter};
use crate::gateway::Gateway;
use crate::headers::name;
use crate::ingest::{BoundedBody, ingest, refuse_declared_excess};
use crate::plan::{Aim, plan};
use crate::rejection::Rejection;
use crate::relay::AnswerBody;
use crate::reserve::{refuse_hopeless, reserve, reserve_request};
use crate::settle::{Heading, Settlement};
use crate::snapshot::{BodyLimits, Snapshot};
use crate::trace::continue_trace;
use crate::{health, models, passthrough};

/// A request body that the gateway can read: hyper's own, or any other over [`Bytes`].
pub trait RequestSource:
    Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static
{
}

impl<B> RequestSource for B
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
}

/// The gateway as a hyper service; cheap to clone, one serves any number of connections.
#[derive(Debug, Clone)]
pub struct GatewayService {
    gateway: Gateway,
}

impl<B: RequestSource> hyper::service::Service<Request<B>> for GatewayService {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let gateway = self.gateway.clone();
        // What an `async fn` takes by value is kept twice in its future, so the head is lent to all that follows.
        let (mut head, body) = request.into_parts();
        Box::pin(async move {
            let mut call = pin!(serve(&gateway, &mut head, body));
            Ok(poll_fn(|cx| turn(|| call.as_mut().poll(cx))).await)
        })
    }
}

impl GatewayService {
    pub(crate) fn new(gateway: Gateway) -> Self {
        Self { gateway }
    }
}

async fn serve<B: RequestSource>(gateway: &Gateway, head: &mut Parts, body: B) -> Response<AnswerBody> {
    let started = clock::now();
    let snapshot = gateway.shared.snapshot.load_full();
    let request_id = request_id(&head.headers);
    let trace = gateway.shared.sampling.as_ref().map(|samples| continue_trace(&mut head.headers, &**samples));
    let account = |path| {
        let heading = Heading::new(&head.method, path);
        let mut account = Settlement::open(Arc::clone(&gateway.shared.observer), request_id.clone(), heading, started);
        if let Some(trace) = trace {
            account.trace(trace);
        }
        account
    };
    let head = &*head;
    let is_preflight = CorsRules::is_preflight(head) && check_head(head).is_ok();
    let mut response = if let Some(cors) = snapshot.cors.as_ref().filter(|_| is_preflight) {
        preflight(cors, head)
    } else {
        answer(gateway, &snapshot, Arrival { head, body }, account).await
    };
    if head.method == Method::HEAD {
        leave_out_body(&mut response);
    }
    let headers = response.headers_mut();
    headers.insert(name::REQUEST_ID, request_id.header_value());
    if gateway.is_draining() {
        // The connection closes behind this answer, and the caller should not try it again. HTTP/2 says so by itself.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(cors) = &snapshot.cors {
        cors.allow(head.headers.get(header::ORIGIN), headers);
    }
    response
}

/// The answer to `HEAD` is that to `GET` without its body (RFC 9110, section 9.3.2).
fn leave_out_body(response: &mut Response<AnswerBody>) {
    let length = response.body().size_hint().exact();
    response.body_mut().leave_out();
    if let Some(length) = length.filter(|length| *length > 0) {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// A request that has just arrived.
struct Arrival<'a, B> {
    head: &'a Parts,
    body: B,
}

async fn answer<B: RequestSource>(
    gateway: &Gateway,
    snapshot: &Snapshot,
    arrival: Arrival<'_, B>,
    account: impl FnOnce(&'static str) -> Box<Settlement>,
) -> Response<AnswerBody> {
    let head = arrival.head;
    let accepted = accept(head, &gateway.shared.instance, snapshot.passthrough.is_some());
    if let Some((status, text)) = accepted.as_ref().ok().and_then(|it| health::answer(*it, gateway, snapshot)) {
        return Answer::json(status, text).into_response(None);
    }
    let path = accepted.as_ref().map_or("unknown", |destination| destination.path());
    let mut settlement = account(path);
    let answer = match accepted {
        Ok(Destination::Call(endpoint)) => call(gateway, snapshot, endpoint, arrival, &mut settlement).await,
        // Boxed, as is all that most calls do without, so that the future of a call has no room for it.
        Ok(Destination::OtherV1) => Box::pin(pass_through(gateway, snapshot, arrival, &mut settlement)).await,
        Ok(destination) => Box::pin(list_models(snapshot, destination, head, &mut settlement)).await,
        Err(rejection) => Err(Box::pin(refuse_unread(rejection, arrival, &mut settlement)).await),
    };
    answer.unwrap_or_else(|rejection| Answer::rejection(&rejection, &mut settlement)).into_response(Some(settlement))
}

/// The life of a call: down through the steps, and back up with an answer or a rejection.
async fn call<B: RequestSource>(
    gateway: &Gateway,
    snapshot: &Snapshot,
    endpoint: Endpoint,
    arrival: Arrival<'_, B>,
    settlement: &mut Settlement,
) -> Result<Answer, Rejection> {
    let (caller, entered) =
        match let_in(gateway, snapshot, arrival.head, arrival.body.size_hint().upper(), settlement).await {
            Ok(let_in) => let_in,
            Err(rejection) => return Err(Box::pin(refuse_unread(rejection, arrival, settlement)).await),
        };
    let Arrival { head, body } = arrival;
    let ingested = ingest(endpoint, head, body, entered, settlement).await?;
    let permit = admit(&caller, &ingested.asked.call, snapshot.prefix.as_deref())?;
    let plan = plan(&permit, &ingested.asked, snapshot, settlement)?;
    reserve(&caller, &ingested.asked, &plan, gateway.shared.counters(), settlement).await?;
    let outgoing = encode(endpoint, ingested.payload, head, &gateway.shared.via);
    let committed = attempt(&plan, &ingested.asked, &outgoing, settlement).await?;
    Ok(relay(committed))
}

/// The steps that need no body, but to know how large it may be at most.
async fn let_in(
    gateway: &Gateway,
    snapshot: &Snapshot,
    head: &Parts,
    size: Option<u64>,
    settlement: &mut Settlement,
) -> Result<(Caller, Entered), Rejection> {
    let caller = authenticate(snapshot.keys.as_ref(), &head.headers, settlement).await?;
    let hopeful = refuse_hopeless(&caller, size, &gateway.shared.limits, settlement)?;
    let entered = enter(hopeful, gateway, snapshot, settlement).await?;
    Ok((caller, entered))
}

/// Refuses a call whose body nobody has read.
async fn refuse_unread<B: RequestSource>(
    rejection: Rejection,
    Arrival { head, body }: Arrival<'_, B>,
    settlement: &mut Settlement,
) -> Rejection {
    if !settlement.wait_for(discard(head, body)).await {
        settlement.end_connection();
    }
    rejection
}

/// The shorter life of a request that the gateway passes on without understanding it.
async fn pass_through<B: RequestSource>(
    gateway: &Gateway,
    snapshot: &Snapshot,
    arrival: Arrival<'_, B>,
    settlement: &mut Settlement,
) -> Result<Answer, Rejection> {
    let size = arrival.body.size_hint().upper();
    let let_through = let_through(gateway, snapshot, arrival.head, size, settlement).await;
    let LetThrough { url, limits, passage } = match let_through {
        Ok(let_through) => let_through,
        Err(rejection) => return Err(refuse_unread(rejection, arrival, settlement).await),
    };
    let Arrival { head, body } = arrival;
    let passed = PassedThrough { url, body: BoundedBody::new(body, limits), caller: head, via: &gateway.shared.via };
    let request = |aim: &Aim<'_>, credential| passed.request(aim, credential);
    let committed = attempt_passthrough(passage, request, settlement).await?;
    let length = passthrough::length_without_body(&head.method, committed.status, &committed.headers);
    let mut answer = relay(committed);
    answer.headers.extend(length.map(|length| (header::CONTENT_LENGTH, length)));
    Ok(answer)
}

/// Leave to pass a request on, and where to.
struct LetThrough<'a> {
    url: Uri,
    limits: BodyLimits,
    passage: Passage<'a>,
}

/// The steps of that which need no body: all of them.
async fn let_through<'a>(
    gateway: &Gateway,
    snapshot: &'a Snapshot,
    head: &Parts,
    size: Option<u64>,
    settlement: &mut Settlement,
) -> Result<LetThrough<'a>, Rejection> {
    let caller = authenticate(snapshot.keys.as_ref(), &head.headers, settlement).await?;
    // What passes through is neither authorised by model nor counted by tokens.
    if !caller.allows_all() || caller.limited_key().is_some_and(|key| key.limits.counts_tokens()) {
        return Err(Rejection::PassthroughNotAllowed);
    }
    let provider =
        snapshot.passthrough.and_then(|index| snapshot.providers.get(index)).ok_or(Rejection::PathNotFound)?;
    let health = provider.passthrough.as_ref().ok_or(Rejection::PathNotFound)?;
    let url = provider.passthrough_url(passthrough::target(&head.uri)?).ok_or(Rejection::PathNotFound)?;
    refuse_declared_excess(&head.headers, snapshot.body_limits.size)?;
    let hopeful = refuse_hopeless(&caller, size, &gateway.shared.limits, settlement)?;
    let Entered { limits, .. } = enter(hopeful, gateway, snapshot, settlement).await?;
    reserve_request(&caller, &gateway.shared.limits, settlement).await?;
    let passage = admit_passthrough(provider, health, &caller, settlement).await?;
    Ok(LetThrough { url, limits, passage })
}

async fn list_models(
    snapshot: &Snapshot,
    destination: Destination<'_>,
    head: &Parts,
    settlement: &mut Settlement,
) -> Result<Answer, Rejection> {
    let caller = authenticate(snapshot.keys.as_ref(), &head.headers, settlement).await?;
    let body = match destination {
        Destination::Model(id) => models::one(id, &caller, snapshot)?,
        _ => models::list(&caller, snapshot),
    };
    Ok(Answer::json(StatusCode::OK, body))
}

fn preflight(cors: &CorsRules, head: &Parts) -> Response<AnswerBody> {
    let mut answer = Answer::empty(StatusCode::NO_CONTENT);
    let methods = destination(head.uri.path()).map_or("GET, HEAD", allowed_methods);
    cors.answer_preflight(&head.headers, methods, &mut answer.headers);
    answer.into_response(None)
}

/// The caller's identifier, or a new one.
fn request_id(headers: &HeaderMap) -> RequestId {
    let own = headers.get(name::REQUEST_ID).and_then(RequestId::from_header);
    own.unwrap_or_else(|| RequestId::from_random(fastrand::u128(..)))
}
