#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const BOUNDARY: &str = "b0-unda.ry";
const ENDPOINT: Endpoint = Endpoint::Transcriptions;

fn scanner() -> MultipartScanner {
    MultipartScanner::new(&boundary(&format!("multipart/form-data; boundary={BOUNDARY}")).unwrap())
}

/// A body of parts, each given as what follows `content-disposition: form-data;` and its content.
fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (disposition, content) in parts {
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data;{disposition}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// What comes of a body pushed in these chunks: the body as an upstream would get it, or the error.
fn forward(chunks: &[&[u8]]) -> Result<(Vec<u8>, Call), MultipartError> {
    let mut scanner = scanner();
    let mut sent = Vec::new();
    let mut call = None;
    for chunk in chunks {
        scanner.push(Bytes::copy_from_slice(chunk))?;
        if call.is_some() {
            sent.extend_from_slice(chunk);
        } else if scanner.model.is_some() {
            let request = scanner.take_request(ENDPOINT).unwrap();
            let name = ModelName::from("up/\"x\"");
            let filled = request.template.fill(&name);
            sent = filled.into_bytes().to_vec();
            call = Some(request.call);
            assert!(scanner.take_request(ENDPOINT).is_none());
        }
    }
    scanner.finish()?;
    Ok((sent, call.unwrap()))
}

fn split<'a>(body: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).chain([0, body.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect()
}

/// Content that looks like boundaries, line ends and headers as often as like anything else.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "\r",
            "\n",
            "\r\n",
            "--",
            "-",
            "\r\n--",
            "\r\n--b0",
            "\r\n--b0-unda.r",
            "b0-unda.ry",
            "x"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    let whole = prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    whole.prop_filter("holds the boundary", |content| {
        !content.starts_with(format!("--{BOUNDARY}").as_bytes())
            && !content.windows(BOUNDARY.len() + 3).any(|window| window == format!("\n--{BOUNDARY}").as_bytes())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_chunking_gives_the_same_request(
        file in content(),
        other in content(),
        id in any::<bool>(),
        model_first in any::<bool>(),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let name = if id { " name=\"model_id\"" } else { " name=\"model\"" };
        let mut parts = vec![(" name=\"file\"; filename=\"model\"", &file[..]), (name, b"whisper"), (" name=other", &other[..])];
        if model_first {
            parts.swap(0, 1);
        }
        let mut expected = parts.clone();
        *expected.iter_mut().find(|part| part.0 == name).unwrap() = (" name=\"model\"", b"up/\"x\"");
        let body = body(&parts);
        let (sent, call) = forward(&split(&body, &cuts)).unwrap();
        prop_assert_eq!(sent, self::body(&expected));
        prop_assert_eq!(call.models, [ModelName::from("whisper")]);
    }

    #[test]
    fn any_chunking_gives_the_same_verdict(
        mut bytes in prop_oneof![
            Just(body(&[(" name=model", b"m"), (" name=\"stream\"", b"true"), (" name=x", b"\r\n")])),
            Just(body(&[(" name=file; filename=f", b"\r\n--b0"), (" name=model_id", b"m"), (" name=MODEL", b"")])),
        ],
        damage in prop::collection::vec((any::<Index>(), prop::sample::select(&b"\r\n-bm;\"= \0\xff"[..]), 0..3_u8), 0..3),
        cuts in prop::collection::vec(any::<Index>(), 1..12),
    ) {
        for (place, byte, kind) in damage {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        let single: Vec<_> = bytes.chunks(1).collect();
        let verdict = |chunks: &[&[u8]]| forward(chunks).map(|(sent, call)| (sent, call.models));
        prop_assert_eq!(verdict(&split(&bytes, &cuts)), verdict(&[&bytes]));
        prop_assert_eq!(verdict(&single), verdict(&[&bytes]));
    }
}

#[test]
fn parts_are_judged_as_members_are() {
    let duplicate = |field| MultipartError::DuplicateField { field };
    let file: (&str, &[u8]) = (" name=file; filename=\"a\\\"b\"", b"...");
    let model: (&str, &[u8]) = (" name=\"model\"", b"m");
    for (parts, expected) in [
        (&[file, model, (" name=\"model\"", b"m")][..], duplicate("model")),
        (&[model, file, (" name=model_id", b"n")], duplicate("model_id")),
        (&[model, (" name=Model", b"n")], duplicate("model")),
        (&[model, (" NAME=\"\u{17f}tream\"", b"true")], duplicate("stream")),
        (&[model, (" name=stream", b"true"), (" name=stream", b"true")], duplicate("stream")),
        (&[file], MultipartError::MissingModel),
    ] {
        assert_eq!(forward(&[&body(parts)]).unwrap_err(), expected, "{parts:?}");
    }
    for (parts, field) in [
        (&[(" name=model; filename=x", &b"m"[..])][..], "model"),
        (&[(" name=model; filename*=utf-8''x", b"m")], "model"),
        (&[(" name=model", b"")], "model"),
        (&[(" name=model", b"a\nb")], "model"),
        (&[(" name=model", b"\xff")], "model"),
        (&[(" name=model", &[b'x'; 257])], "model"),
        (&[(" name=model", &[b'x'; 10_000])], "model"),
        (&[(" name=model\r\ncontent-transfer-encoding: base64", b"bQ==")], "model"),
        (&[model, (" name=stream", b"yes")], "stream"),
        (&[model, (" name=gateway", b"{}")], "gateway"),
        (&[model, (" name=models", b"[]")], "models"),
    ] {
        let error = forward(&[&body(parts)]).unwrap_err();
        assert_eq!(error.param(), Some(field), "{error}");
        assert!(matches!(error, MultipartError::InvalidField { .. }), "{error}");
    }
    let longest = [b'x'; 256];
    let parts = [(" name=model\r\nContent-Transfer-Encoding: 8BIT\r\nContent-Type: text/plain", &longest[..])];
    assert_eq!(forward(&[&body(&parts)]).unwrap().1.models[0].as_str().len(), 256);
}

#[test]
fn the_stream_part_sets_the_flag() {
    for (value, expected) in [(&b"true"[..], true), (b"True", true), (b"false", false)] {
        let call = forward(&[&body(&[(" name=stream", value), (" name=model", b"m")])]).unwrap().1;
        assert_eq!(call.stream, expected);
    }
}

#[test]
fn stream_options_decide_nothing_in_a_form() {
    let options = (" name=stream_options", &b"{}"[..]);
    let body = body(&[options, (" name=model", b"m"), (" name=Stream_Options", b"x"), options]);
    assert_eq!(forward(&[&body]).unwrap().1.models, [ModelName::from("m")]);
}

#[test]
fn whatever_parsers_disagree_about_is_refused() {
    let head = "Content-Disposition: form-data; name=model\r\n\r\n";
    for (body, problem) in [
        (String::new(), "before its last boundary"),
        (format!("--{BOUNDARY}\r\n{head}m\r\n"), "before its last boundary"),
        (format!("--{BOUNDARY}\r\n{head}m\r\n--{BOUNDARY}-"), "before its last boundary"),
        (format!("preamble\r\n--{BOUNDARY}\r\n{head}m\r\n--{BOUNDARY}--"), "does not start"),
        ("--other\r\n".to_owned(), "does not start"),
        (format!("--b0\r\n--{BOUNDARY}\r\n{head}m\r\n--{BOUNDARY}--"), "does not start"),
        (format!("--{BOUNDARY}\r\n{head}m\r\n--{BOUNDARY}--\r\nepilogue"), "behind its last"),
        (format!("--{BOUNDARY}\r\n{head}m\r\n--{BOUNDARY}x\r\n"), "whole of its line"),
        (format!("--{BOUNDARY} \r\n{head}m"), "whole of its line"),
        (format!("--{BOUNDARY}\n{head}m"), "whole of its line"),
        (format!("--{BOUNDARY}\r\n{head}m\n--{BOUNDARY}--"), "without a carriage return"),
        (format!("--{BOUNDARY}\r\n{head}--{BOUNDARY}--"), "without a line between"),
        (format!("--{BOUNDARY}\r\n\r\nx"), "no headers"),
        (format!("--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx"), "no content-disposition"),
        (format!("--{BOUNDARY}\r\nA: b\nContent-Disposition: form-data; name=x\r\n\r\nx"), "malformed"),
        (format!("--{BOUNDARY}\r\nA: b\r\n ; name=model\r\n\r\nx"), "malformed"),
        (format!("--{BOUNDARY}\r\nA : b\r\n\r\nx"), "malformed"),
        (format!("--{BOUNDARY}\r\nA: \rb\r\n\r\nx"), "malformed"),
        (format!("--{BOUNDARY}\r\n{}{head}x", head.replace("\r\n\r\n", "\r\n")), "several"),
        (format!("--{BOUNDARY}\r\nContent-Disposition: attachment; name=model\r\n\r\nx"), "not form-data"),
        (format!("--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nx"), "no name"),
        (format!("--{BOUNDARY}\r\nContent-Disposition: form-data; filename=x\r\n\r\nx"), "no name"),
        (format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=x; name=model\r\n\r\nx"), "malformed"),
        (format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name*=utf-8''model\r\n\r\nx"), "malformed"),
        (format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"mod\\el\"\r\n\r\nx"), "malformed"),
        (format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"model\r\n\r\nx"), "malformed"),
        (format!("--{BOUNDARY}\r\nA: {}", "x".repeat(MAX_HEAD)), "8 KiB"),
    ] {
        let error = forward(&[body.as_bytes()]).unwrap_err();
        assert!(matches!(error, MultipartError::Malformed { .. }), "{body:?}: {error}");
        assert!(error.to_string().contains(problem), "{body:?}: {error}");
    }
    let odd = format!("\r\n--{BOUNDARY}\r\n{head}m\r\n--{BOUNDARY}-- \r\n");
    assert!(forward(&[odd.as_bytes()]).is_ok());
}

#[test]
fn a_file_before_the_model_is_kept_in_large_pieces() {
    let file = vec![b'x'; 400_000];
    let parts = [(" name=file; filename=f", &file[..]), (" name=\"model\"", b"m")];
    let whole = Bytes::from(body(&parts));
    let pieces = |step: usize| {
        let mut scanner = scanner();
        for start in (0..whole.len()).step_by(step) {
            scanner.push(whole.slice(start..whole.len().min(start + step))).unwrap();
        }
        let request = scanner.take_request(ENDPOINT).unwrap();
        let pieces: Vec<_> = request.template.fill(&ModelName::from("up")).into_iter().collect();
        assert_eq!(pieces.concat(), body(&[parts[0], (" name=\"model\"", b"up")]));
        pieces
    };
    assert_eq!(pieces(100_000)[1].as_ptr(), whole[100_000..].as_ptr(), "what arrives in large parts is not copied");
    assert!(pieces(1).len() < 40, "what arrives in crumbs is joined");
}

#[test]
fn an_error_lasts() {
    let mut scanner = scanner();
    let error = scanner.push(Bytes::from_static(b"x")).unwrap_err();
    assert_eq!(scanner.push(Bytes::from(body(&[(" name=model", b"m")]))), Err(error));
    assert_eq!(scanner.finish(), Err(error));
}
