//! One gateway and many rows: every row has a model and upstreams of its own, so that what happens in one says nothing
//! about the health of another's targets, and all of them can run at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use gateway_testing::{FakeUpstream, GatewayProcess, Script};
use gateway_tests::deaf::DeafAddress;
use gateway_tests::stage::{CALLER_KEY, CHAT, authorized, with_header};
use gateway_tests::stream::{DONE, event, finish, role, text, without_gateway};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// Where else a call may go when its first target fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topology {
    /// Nowhere.
    Alone,
    /// To another target of the same model.
    SecondTarget,
    /// To a fallback model's target.
    FallbackModel,
}

/// One of a row's two upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    First,
    Second,
}

/// An attempt as it should stand in the trail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried {
    pub(crate) side: Side,
    pub(crate) outcome: &'static str,
    pub(crate) status: Option<u16>,
}

/// A model and its upstreams.
#[derive(Debug)]
pub(crate) struct Row {
    /// The model's name, and the beginning of every other name and the key of the row.
    pub(crate) id: String,
    pub(crate) topology: Topology,
    pub(crate) streamed: bool,
    pub(crate) first: FakeUpstream,
    pub(crate) second: FakeUpstream,
    /// Stands in for the first upstream in a row where that cannot be reached.
    stand_in: Option<StandIn>,
    /// The first upstream's own timeouts, in YAML.
    timeouts: &'static str,
    /// What else the call says, as members of its body that are for the gateway alone.
    member: &'static str,
}

/// An address at which no request arrives.
#[derive(Debug)]
enum StandIn {
    Deaf(DeafAddress),
    Crowded(CrowdedAddress),
}

impl StandIn {
    fn api_base(&self) -> String {
        match self {
            Self::Deaf(deaf) => deaf.api_base(),
            Self::Crowded(crowded) => format!("http://{}/v1", crowded.address),
        }
    }
}

/// An address at which so many connections wait to be accepted that the system takes no more: the next one hangs.
#[derive(Debug)]
struct CrowdedAddress {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl CrowdedAddress {
    async fn hold() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let listener = socket.listen(1).expect("a listener");
        let address = listener.local_addr().expect("a bound socket");
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            waiting.push(stream.expect("a connection"));
        }
        Self { address, _listener: listener, _waiting: waiting }
    }
}

impl Row {
    /// A row whose second upstream is healthy, and whose first has nothing to say yet.
    pub(crate) async fn new(number: usize, topology: Topology, streamed: bool) -> Self {
        let row = Self::silent(number, topology, streamed).await;
        row.second.push(healthy(streamed));
        row
    }

    /// A row whose upstreams have nothing to say yet.
    pub(crate) async fn silent(number: usize, topology: Topology, streamed: bool) -> Self {
        let second = FakeUpstream::start([]).await.expect("a free port");
        let first = FakeUpstream::start([]).await.expect("a free port");
        let (id, stand_in) = (format!("r{number:03}"), None);
        Self { id, topology, streamed, first, second, stand_in, timeouts: "{}", member: "" }
    }

    /// Connections to the first upstream are refused.
    pub(crate) fn unreachable(mut self) -> Self {
        self.stand_in = Some(StandIn::Deaf(DeafAddress::hold()));
        self
    }

    /// Connections to the first upstream do not come about.
    pub(crate) async fn crowded(mut self) -> Self {
        self.stand_in = Some(StandIn::Crowded(CrowdedAddress::hold().await));
        self
    }

    /// The call has something to say to the gateway, such as `"gateway":{…},`.
    pub(crate) fn member(mut self, member: &'static str) -> Self {
        self.member = member;
        self
    }

    /// The first upstream has timeouts of its own.
    pub(crate) fn timeouts(mut self, timeouts: &'static str) -> Self {
        self.timeouts = timeouts;
        self
    }

    fn providers(&self) -> String {
        let (id, timeouts) = (&self.id, self.timeouts);
        let first = self.stand_in.as_ref().map_or_else(|| self.first.api_base(), StandIn::api_base);
        let second = self.second.api_base();
        let own = |name: &str| format!("model_mapping: [ {id}-{name}-model ], api_key: sk-{id}-{name}");
        format!(
            "  - {{ name: {id}-first, api_base: \"{first}\", {}, timeouts: {timeouts} }}\n  \
             - {{ name: {id}-second, api_base: \"{second}\", {} }}\n",
            own("first"),
            own("second")
        )
    }

    fn models(&self) -> String {
        let id = &self.id;
        let first = format!("{{ provider: {id}-first, model: {id}-first-model, priority: 1 }}");
        let second = format!("{{ provider: {id}-second, model: {id}-second-model, priority: 2 }}");
        match self.topology {
            Topology::Alone => format!("  {id}: {{ balance: priority, targets: [ {first} ] }}\n"),
            Topology::SecondTarget => format!("  {id}: {{ balance: priority, targets: [ {first}, {second} ] }}\n"),
            Topology::FallbackModel => format!(
                "  {id}: {{ balance: priority, targets: [ {first} ], fallback_models: [ {id}-fallback ] }}\n  \
                 {id}-fallback: {{ balance: priority, targets: [ {second} ] }}\n"
            ),
        }
    }

    /// The row's call, whose request id is the row's.
    pub(crate) fn request(&self) -> Request<Full<Bytes>> {
        with_header(authorized("POST", CHAT, self.body(self.member)), "x-request-id", &self.id)
    }

    /// The same as bytes.
    pub(crate) fn wire_request(&self) -> String {
        let body = self.body(self.member);
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {CALLER_KEY}\r\nx-request-id: {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.id,
            body.len()
        )
    }

    fn body(&self, member: &str) -> String {
        format!(r#"{{"model":"{}",{member}"stream":{},"messages":[]}}"#, self.id, self.streamed)
    }

    pub(crate) fn provider(&self, side: Side) -> String {
        match side {
            Side::First => format!("{}-first", self.id),
            Side::Second => format!("{}-second", self.id),
        }
    }

    /// The public name of the model that a side serves.
    pub(crate) fn model(&self, side: Side) -> String {
        match (side, self.topology) {
            (Side::Second, Topology::FallbackModel) => format!("{}-fallback", self.id),
            _ => self.id.clone(),
        }
    }

    /// The trail as the caller gets it.
    pub(crate) fn trail(&self, tried: &[Tried]) -> Vec<String> {
        let tell = |it: &Tried| format!("{}/{}:{}", self.provider(it.side), self.model(it.side), what_came(it));
        tried.iter().map(tell).collect()
    }

    /// The trail as the access log has it.
    pub(crate) fn logged(&self, tried: &[Tried]) -> String {
        let tell = |it: &Tried| {
            let provider = self.provider(it.side);
            format!("{provider}/{provider}-model:{}", what_came(it))
        };
        tried.iter().map(tell).collect::<Vec<_>>().join(",")
    }

    /// Panics unless each upstream got its share of the attempts, under its own name for the model and with its own key.
    pub(crate) fn assert_received(&self, what: &str, tried: &[Tried]) {
        for (side, upstream) in [(Side::First, &self.first), (Side::Second, &self.second)] {
            let requests = upstream.requests();
            let expected = tried.iter().filter(|it| it.side == side && !self.is_out_of_reach(side)).count();
            assert_eq!(requests.len(), expected, "{what}: requests at {side:?}");
            let provider = self.provider(side);
            let asking = r#""stream_options":{"include_usage":true},"stream":true"#;
            let body = self.body("").replacen(&self.id, &format!("{provider}-model"), 1);
            let body = body.replace(r#""stream":true"#, asking);
            for request in requests {
                assert_eq!(request.header("authorization"), Some(&*format!("Bearer sk-{provider}")), "{what}");
                assert_eq!((request.target(), &*request.body), (CHAT, body.as_bytes()), "{what}");
            }
        }
    }

    fn is_out_of_reach(&self, side: Side) -> bool {
        side == Side::First && self.stand_in.is_some()
    }

    /// Panics unless a body is the whole of the healthy answer, as a side of the row gives it.
    pub(crate) fn assert_whole(&self, what: &str, side: Side, body: &str) {
        let shown = self.model(side);
        if self.streamed {
            let (begin, rest) = body.split_once("\n\n").unwrap_or_else(|| panic!("{what}: {body}"));
            let events = [without_gateway(&format!("{begin}\n\n")), rest.to_owned()].concat();
            let expected = healthy_events().map(|payload| event(&payload).replace("gpt-4o", &shown));
            assert_eq!(events, expected.collect::<String>() + DONE, "{what}");
            return;
        }
        let mut body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{what}: {error} in {body}"));
        let gateway = body.as_object_mut().and_then(|members| members.remove("gateway"));
        let gateway = gateway.unwrap_or_else(|| panic!("{what}: no gateway member"));
        let provider = self.provider(side);
        assert_eq!(
            (&gateway["model"], &gateway["provider"], &gateway["upstream_model"], &gateway["request_id"]),
            (&json!(shown), &json!(provider), &json!(format!("{provider}-model")), &json!(self.id)),
            "{what}"
        );
        let mut expected: Value = serde_json::from_str(HEALTHY).expect("JSON");
        expected["model"] = json!(shown);
        assert_eq!(body, expected, "{what}");
    }
}

fn what_came(tried: &Tried) -> String {
    let status = tried.status.map(|status| format!(":{status}")).unwrap_or_default();
    format!("{}{status}", tried.outcome)
}

const HEALTHY: &str = r#"{"id":"c-1","model":"gpt-4o-2024","choices":[{"message":{"content":"hello"}}]}"#;

/// What an upstream that is well answers.
pub(crate) fn healthy(streamed: bool) -> Script {
    if streamed {
        let script = healthy_events().fold(Script::event_stream(), |script, payload| script.event(&payload));
        return script.event("[DONE]").end_chunks();
    }
    Script::json(200, HEALTHY)
}

fn healthy_events() -> impl Iterator<Item = String> {
    [role(), text("hello"), finish()].into_iter()
}

/// A gateway that serves all rows, with further sections.
pub(crate) fn gateway<'r>(rows: impl Iterator<Item = &'r Row> + Clone, sections: &str) -> GatewayProcess {
    let providers: String = rows.clone().map(Row::providers).collect();
    let models: String = rows.map(Row::models).collect();
    let keys = format!("master_keys: [ {{ name: team, key: {CALLER_KEY} }} ]\n");
    GatewayProcess::start_with(
        &format!("providers:\n{providers}models:\n{models}{keys}{sections}"),
        &[("RUST_LOG", "info")],
    )
}
