//! Paths to answers. Errors come out in OpenAI's shape, whoever caused them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::Service;
use serde::Deserialize;
use tokio::time::sleep;

use crate::behaviour::{Behaviour, Fault, FaultKind, Point};
use crate::body::AnswerBody;
use crate::failure::Failure;
use crate::request::{ChatRequest, CompletionRequest, EmbeddingRequest};
use crate::stream::FrameScript;
use crate::{SimulatorConfig, SimulatorError, chat, completion, embedding, models};

/// The largest request body that is read; larger ones are answered 413.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// The simulated API, cheap to clone.
#[derive(Clone)]
pub(crate) struct SimulatorService(Arc<Api>);

struct Api {
    key: Option<String>,
    models: BTreeMap<String, Behaviour>,
}

#[derive(Clone, Copy)]
enum Endpoint {
    Chat,
    Completions,
    Embeddings,
}

/// An answer, and what its model's behaviour does to the time before it.
struct Prepared {
    behaviour: Behaviour,
    response: Response<AnswerBody>,
}

impl SimulatorService {
    pub(crate) fn new(config: SimulatorConfig) -> Result<Self, SimulatorError> {
        let read = |(model, settings): (String, String)| match settings.parse() {
            Ok(behaviour) => Ok((model, behaviour)),
            Err(source) => Err(SimulatorError::Behaviour { model, source }),
        };
        let models = config.models.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Api { key: config.key, models })))
    }
}

/// The key is a secret of whoever runs the simulator, and models can be many.
impl fmt::Debug for SimulatorService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorService").finish_non_exhaustive()
    }
}

impl Service<Request<Incoming>> for SimulatorService {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let api = Arc::clone(&self.0);
        Box::pin(async move { Ok(api.answer(request).await.unwrap_or_else(Failure::into_response)) })
    }
}

impl Api {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<AnswerBody>, Failure> {
        self.check_key(request.headers())?;
        let path = request.uri().path();
        let endpoint = match path {
            "/v1/chat/completions" => Endpoint::Chat,
            "/v1/completions" => Endpoint::Completions,
            "/v1/embeddings" => Endpoint::Embeddings,
            _ => return self.describe_models(request.method(), path),
        };
        if request.method() != Method::POST {
            return Err(wrong_method(request.method(), path));
        }
        let body = read_body(request.into_body()).await?;
        let prepared = self.prepare(endpoint, &body)?;
        drop(body);
        prepared.release().await
    }

    fn check_key(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let Some(key) = &self.key else { return Ok(()) };
        let presented = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if presented.and_then(|value| value.strip_prefix("Bearer ")) == Some(key) {
            return Ok(());
        }
        let message = "Incorrect API key provided. This simulator was started with a key of its own.";
        Err(Failure { code: Some("invalid_api_key".into()), ..Failure::new(StatusCode::UNAUTHORIZED, message) })
    }

    fn describe_models(&self, method: &Method, path: &str) -> Result<Response<AnswerBody>, Failure> {
        let body = match path.strip_prefix("/v1/models") {
            Some("" | "/") => models::list(self.models.keys().map(String::as_str)),
            Some(name) if name.len() > 1 && name.starts_with('/') => models::describe(&name[1..]),
            _ => {
                let message = format!("Invalid URL ({method} {path})");
                return Err(Failure::new(StatusCode::NOT_FOUND, message));
            }
        };
        if method != Method::GET {
            return Err(wrong_method(method, path));
        }
        Ok(json_answer(body, None))
    }

    fn prepare(&self, endpoint: Endpoint, body: &[u8]) -> Result<Prepared, Failure> {
        match endpoint {
            Endpoint::Chat => {
                let request: ChatRequest<'_> = parse(body)?;
                let (name, behaviour) = self.behaviour(request.model.as_ref())?;
                let response = chat::answer(&request, name, &behaviour)?;
                Ok(Prepared { behaviour, response })
            }
            Endpoint::Completions => {
                let request: CompletionRequest<'_> = parse(body)?;
                let (name, behaviour) = self.behaviour(request.model.as_ref())?;
                let response = completion::answer(&request, name, &behaviour);
                Ok(Prepared { behaviour, response })
            }
            Endpoint::Embeddings => {
                let request: EmbeddingRequest<'_> = parse(body)?;
                let (name, behaviour) = self.behaviour(request.model.as_ref())?;
                let response = embedding::answer(&request, name, &behaviour)?;
                Ok(Prepared { behaviour, response })
            }
        }
    }

    /// The model asked for and its behaviour: what is configured for the name without its settings, then the name.
    fn behaviour<'a>(&self, model: Option<&'a Cow<'_, str>>) -> Result<(&'a str, Behaviour), Failure> {
        let name = model
            .filter(|name| !name.is_empty())
            .ok_or_else(|| Failure::bad_request("you must provide a model parameter", Some("model")))?;
        let plain = name.split_once('?').map_or(&**name, |(plain, _)| plain);
        let mut behaviour = self.models.get(plain).cloned().unwrap_or_default();
        behaviour.apply_name(name).map_err(|error| Failure::bad_request(error.to_string(), Some("model")))?;
        Ok((name, behaviour))
    }
}

impl Prepared {
    /// The answer, after the model's latency; an error in its place if the model fails, nothing at all if it stalls.
    async fn release(self) -> Result<Response<AnswerBody>, Failure> {
        let Self { behaviour, response } = self;
        if !behaviour.latency.is_zero() {
            sleep(behaviour.latency).await;
        }
        if let Some(status) = behaviour.failure(fastrand::f64()) {
            return Err(Failure::simulated(status, behaviour));
        }
        if behaviour.fault == Some(Fault { point: Point::BeforeHead, kind: FaultKind::Stall }) {
            std::future::pending::<()>().await;
        }
        Ok(response)
    }
}

/// A plain answer.
pub(crate) fn json_answer(body: Bytes, fault: Option<Fault>) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::plain(body, fault));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A streamed answer.
pub(crate) fn event_stream(script: FrameScript, behaviour: &Behaviour) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::stream(script, behaviour.frame, behaviour.fault));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn read_body(body: Incoming) -> Result<Bytes, Failure> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {MAX_BODY} bytes")))
        }
        Err(error) => Err(Failure::bad_request(format!("the body could not be read: {error}"), None)),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::bad_request(format!("We could not parse the JSON body of your request: {error}"), None)
    })
}

fn wrong_method(method: &Method, path: &str) -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("Not allowed to {method} on {path}"))
}
