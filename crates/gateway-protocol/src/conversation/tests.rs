#![allow(clippy::unwrap_used)]

use gateway_call::Endpoint;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::json::tests::{MemberText, member, object, string, value, whitespace};
use crate::parse_json;

fn conversation(body: &str) -> Conversation {
    parse_json(Endpoint::ChatCompletions, Bytes::copy_from_slice(body.as_bytes())).unwrap().conversation
}

fn session(body: &str) -> Option<String> {
    conversation(body).session().map(|name| String::from_utf8(name.to_vec()).unwrap())
}

/// The pieces of the prefix, which may be cut in the middle of a character.
fn prefix(body: &str) -> Option<[String; 3]> {
    conversation(body).prompt_prefix().map(|pieces| pieces.map(|piece| String::from_utf8_lossy(piece).into_owned()))
}

#[test]
fn the_session_is_the_callers_name_for_it() {
    for (members, expected) in [
        (r#""prompt_cache_key":"a","user":"b""#, Some("a")),
        (r#""user":"b","prompt_cache_key":"a""#, Some("a")),
        (r#""user":"b""#, Some("b")),
        (r#""prompt_cache_key":"","user":"b""#, Some("b")),
        (r#""prompt_cache_key":null,"user":"b""#, Some("b")),
        (r#""prompt_cache_key":7,"user":"b""#, Some("b")),
        (r#""user":"\u0062\"""#, Some(r#"\u0062\""#)),
        (r#""user":"a","user":"b""#, Some("b")),
        (r#""user":"""#, None),
        (r#""user":["b"]"#, None),
        (r#""metadata":{"user":"b"}"#, None),
        (r#""users":"b","User":"c""#, None),
        (r#""messages":[{"role":"user","content":"x"}]"#, None),
    ] {
        assert_eq!(session(&format!(r#"{{"model":"m",{members}}}"#)).as_deref(), expected, "{members}");
    }
}

#[test]
fn a_prompt_begins_with_its_instructions_else_with_its_first_message() {
    let (system, developer) = (r#"{"role":"system","content":"s"}"#, r#"{"content":[], "role" : "developer"}"#);
    let (user, assistant) = (r#"{"role":"user","content":"u"}"#, r#"{"role":"assistant","content":"a"}"#);
    let both = format!("{system} , {developer}");
    for (members, expected) in [
        (format!(r#""messages":[{system},{user}]"#), Some(["", "", system])),
        (format!(r#""messages": [ {system} , {developer} ,{user},{system}]"#), Some(["", "", &both])),
        (format!(r#""messages":[{system}]"#), Some(["", "", system])),
        (format!(r#""messages":[{user},{system},{assistant}]"#), Some(["", "", user])),
        (format!(r#""input":[{developer},{user}]"#), Some(["", "", developer])),
        (format!(r#""input":[{user}],"prompt":"p""#), Some(["", "", user])),
        (format!(r#""messages":[{user}],"input":[{developer}]"#), Some(["", "", user])),
        (format!(r#""messages":[],"input":[{user}]"#), Some(["", "", user])),
        (
            r#""messages":[{"type":"item_reference","id":"x"},7]"#.to_owned(),
            Some(["", "", r#"{"type":"item_reference","id":"x"}"#]),
        ),
        (r#""messages":[{},7]"#.to_owned(), Some(["", "", "{}"])),
        // Instructions beside the messages stand for a system message in front of them.
        (format!(r#""instructions":"i","input":[{user}]"#), Some([r#""i""#, "", ""])),
        (format!(r#""instructions":"i","input":[{developer},{user}]"#), Some([r#""i""#, "", developer])),
        (r#""instructions":"i","input":"text""#.to_owned(), Some([r#""i""#, "", ""])),
        (format!(r#""messages":[{user}],"system":[{{"type":"text"}}]"#), Some(["", r#"[{"type":"text"}]"#, ""])),
        (format!(r#""system":null,"instructions":"","messages":[{user}]"#), Some(["", "", user])),
        // Prompts without messages.
        (r#""prompt":"p","instructions":null"#.to_owned(), Some(["", "", r#""p""#])),
        (r#""input":["a","b"]"#.to_owned(), Some(["", "", r#"["a","b"]"#])),
        (r#""prompt":[1,2]"#.to_owned(), Some(["", "", "[1,2]"])),
        (r#""prompt":{"id":"pmpt_1"}"#.to_owned(), Some(["", "", r#"{"id":"pmpt_1"}"#])),
        (r#""input":{},"messages":null,"prompt":"""#.to_owned(), None),
        (r#""x":{"messages":[{}]}"#.to_owned(), None),
    ] {
        let found = prefix(&format!(r#"{{"model":"m",{members}}}"#));
        assert_eq!(found.as_ref().map(|pieces| pieces.each_ref().map(String::as_str)), expected, "{members}");
    }
}

#[test]
fn a_call_without_a_body_of_its_own_says_nothing() {
    let conversation = Conversation::default();
    assert_eq!((conversation.session(), conversation.prompt_prefix()), (None, None));
}

#[test]
fn long_prompts_count_up_to_a_limit() {
    let long = "x".repeat(10_000);
    // The bracket before the first message counts and is left out.
    let (text, instructions, messages, short) = (1024, 4096, 4095, 31);
    for (members, expected) in [
        (format!(r#""prompt":"{long}""#), text),
        (format!(r#""input":["{long}"]"#), text),
        (format!(r#""input":[{}0]"#, "1,".repeat(5000)), text),
        (format!(r#""instructions":"{long}""#), instructions),
        (format!(r#""messages":[{{"role":"user","content":"{long}"}}]"#), messages),
        (format!(r#""messages":[{{"content":"{long}","role":"system"}}]"#), messages),
        (format!(r#""messages":[{{"role":"system","content":"{long}"}},{{}}]"#), messages),
        (format!(r#""messages":[{{"role":"system","content":"s"}},{{"role":"system","content":"{long}"}}]"#), messages),
        // The system's message is whole, and the user's is none of its run.
        (format!(r#""messages":[{{"role":"system","content":"s"}},{{"role":"user","content":"{long}"}}]"#), short),
        (format!(r#""messages":[{{"role":"system","content":"s"}},{{"content":"{long}","role":"user"}}]"#), short),
    ] {
        let body = format!(r#"{{"model":"m",{members}}}"#);
        let len = conversation(&body).prompt_prefix().map(|pieces| pieces.concat().len());
        assert_eq!(len, Some(expected), "{}", &members[..60]);
    }
}

#[test]
fn nothing_is_copied() {
    let body = Bytes::from(r#"{"model":"m","user":"u","messages":[{"role":"user"}],"instructions":"i"}"#.to_owned());
    let conversation = parse_json(Endpoint::Responses, body.clone()).unwrap().conversation;
    let range = body.as_ptr_range();
    let pieces = conversation.prompt_prefix().unwrap().into_iter().filter(|piece| !piece.is_empty());
    for piece in pieces.chain(conversation.session()) {
        assert!(range.contains(&piece.as_ptr()));
    }
}

/// Names and values that a role may stand beside, long ones too.
fn other_members() -> impl Strategy<Value = Vec<MemberText>> {
    let long = (0..5000_usize).prop_map(|len| format!("\"{}\"", "é".repeat(len)));
    let value = prop_oneof![3 => value(), 1 => long];
    prop::collection::vec(member("\"(content|name|type)\"", value), 0..3)
}

fn message(role: &'static str) -> impl Strategy<Value = String> {
    (other_members(), member(Just("\"role\"".to_owned()), Just(format!("\"{role}\""))), any::<Index>()).prop_map(
        |(mut members, role, place)| {
            members.insert(place.index(members.len() + 1), role);
            object(&members, "")
        },
    )
}

fn body(name: &str, elements: &[String], separator: &str, others: &[MemberText]) -> String {
    let mut members =
        vec![r#""model":"m""#.to_owned(), format!(r#""{name}":[{}]"#, elements.join(&format!("{separator},")))];
    members.extend(others.iter().map(MemberText::core));
    format!("{{{}}}", members.join(","))
}

/// Members that are neither guarded nor ask for anything here.
fn settings() -> impl Strategy<Value = Vec<MemberText>> {
    prop::collection::vec(member("\"(temperature|tools|top_p|user)\"", value()), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_retry_and_the_next_turn_begin_alike(
        instructed in prop::collection::vec(prop_oneof![message("system"), message("developer")], 0..3),
        said in message("user"),
        behind in prop::collection::vec(prop_oneof![message("assistant"), message("user"), message("system")], 0..4),
        name in "(messages|input)",
        separator in whitespace(),
        settings in [settings(), settings()],
    ) {
        let mut elements = instructed;
        elements.push(said);
        let first = body(&name, &elements, &separator, &settings[0]);
        elements.extend(behind);
        let next = body(&name, &elements, &separator, &settings[1]);
        prop_assert!(prefix(&first).is_some());
        prop_assert_eq!(prefix(&first), prefix(&next));
    }

    #[test]
    fn what_is_said_does_not_matter_behind_instructions(
        instructed in message("system").prop_filter("is too long", |message| message.len() < MAX_MESSAGES - 1),
        said in [message("user"), message("user")],
    ) {
        let [one, other] = said.map(|said| prefix(&body("messages", &[instructed.clone(), said], "", &[])));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one, Some([String::new(), String::new(), instructed]));
    }

    #[test]
    fn other_first_messages_are_other_beginnings(said in ["[a-z]{1,9}", "[a-z]{1,9}"], role in "(system|user)") {
        let [one, other] =
            said.clone().map(|said| prefix(&format!(r#"{{"model":"m","messages":[{{"role":"{role}","content":"{said}"}}]}}"#)));
        prop_assert_eq!(one == other, said[0] == said[1]);
    }

    #[test]
    fn a_text_that_grows_begins_alike_from_a_kibibyte_on(text in "[a-zé ]{1024,1100}", more in ".{0,20}", name in "(prompt|input)") {
        let more = serde_json::to_string(&more).unwrap();
        let [short, long] = ["", &more[1..more.len() - 1]].map(|more| prefix(&format!(r#"{{"model":"m","{name}":"{text}{more}"}}"#)));
        prop_assert_eq!(short, long);
    }

    #[test]
    fn whatever_a_request_holds_the_prefix_is_bounded_and_part_of_it(
        mut members in prop::collection::vec(
            member("\"(messages|input|prompt|system|instructions|user|prompt_cache_key)\"", value()), 0..6),
        model in member(Just("\"model\"".to_owned()), Just("\"m\"".to_owned())),
        around in whitespace(),
    ) {
        members.push(model);
        let body = format!("{around}{}", object(&members, ""));
        let conversation = conversation(&body);
        let is_part = |piece: &[u8]| memchr::memmem::find(body.as_bytes(), piece).is_some();
        if let Some(name) = conversation.session() {
            prop_assert!(!name.is_empty() && is_part(name));
        }
        if let Some(pieces) = conversation.prompt_prefix() {
            prop_assert!(pieces.iter().any(|piece| !piece.is_empty()));
            prop_assert!(pieces.iter().all(|piece| piece.len() <= MAX_MESSAGES && is_part(piece)));
        }
    }

    #[test]
    fn a_session_is_the_string_as_it_stands(name in string().prop_filter("is empty", |name| name.len() > 2), key in "(user|prompt_cache_key)") {
        let body = format!(r#"{{"{key}":{name},"model":"m"}}"#);
        prop_assert_eq!(session(&body), Some(name[1..name.len() - 1].to_owned()));
    }
}
