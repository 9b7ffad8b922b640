//! The laws of the decoder: chunk borders mean nothing, and a plain reading of the standard finds the same events.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use gateway_sse::{Data, EventTooLarge, Frame, MAX_EVENT, SseDecoder};
use proptest::prelude::*;
use proptest::sample::Index;

/// All frames of a stream pushed in these chunks, what is left at its end included.
fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max_event: usize) -> Result<Vec<Frame>, EventTooLarge> {
    let mut decoder = SseDecoder::new(max_event);
    let mut frames = Vec::new();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
    }
    frames.extend(decoder.finish());
    Ok(frames)
}

fn split<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

/// Streams made of what matters to a decoder, in any order, and of bytes that mean nothing.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "\r\r"]).prop_map(|end| end.as_bytes().to_vec()),
        4 => prop::sample::select(vec![
            "data: a", "data:", "data", "data:  b", "event: x", "event", ": comment", ":", "id: 7", "retry: 1", "datas: c", "\u{feff}", "é模😀",
        ]).prop_map(|line| line.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    (any::<bool>(), prop::collection::vec(piece, 0..24)).prop_map(|(mark, pieces)| {
        let mark: &[u8] = if mark { b"\xEF\xBB\xBF" } else { b"" };
        [mark, &pieces.concat()].concat()
    })
}

/// The lines of a stream as the standard cuts them, each with its line end; the last may have none.
fn lines(stream: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut rest = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut lines = Vec::new();
    while !rest.is_empty() {
        let length = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let end = if rest[length..].starts_with(b"\r\n") { 2 } else { 1.min(rest.len() - length) };
        lines.push((&rest[..length], &rest[length..length + end]));
        rest = &rest[length + end..];
    }
    lines
}

/// Frames by definition: runs of lines between blank ones, without the last line end.
fn reference_frames(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut frames: Vec<Vec<u8>> = vec![Vec::new()];
    let mut pending: &[u8] = b"";
    for (line, end) in lines(stream) {
        let frame = frames.last_mut().unwrap();
        if !line.is_empty() {
            frame.extend_from_slice(pending);
            frame.extend_from_slice(line);
            pending = end;
        } else if !frame.is_empty() {
            frames.push(Vec::new());
            pending = b"";
        }
    }
    frames.retain(|frame| !frame.is_empty());
    frames
}

/// WHATWG HTML, section 9.2.6, word by word: the type and data of each event that would be dispatched.
fn reference_events(stream: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut events = Vec::new();
    let (mut event, mut data) = (Vec::new(), Vec::new());
    for (line, _) in lines(stream) {
        if line.is_empty() {
            if data.pop().is_some() {
                events.push((event.clone(), data.clone()));
            }
            event.clear();
            data.clear();
            continue;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let field = parts.next().unwrap();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => event = value.to_vec(),
            b"data" => {
                data.extend_from_slice(value);
                data.push(b'\n');
            }
            _ => {}
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_split_gives_the_frames_of_the_definition(
        stream in streams(),
        cuts in prop::collection::vec(any::<Index>(), 0..10),
    ) {
        let bytes = |frames: Vec<Frame>| frames.iter().map(|frame| frame.bytes().to_vec()).collect::<Vec<_>>();
        let expected = reference_frames(&stream);
        prop_assert_eq!(bytes(decode([&stream[..]], MAX_EVENT).unwrap()), expected.clone());
        prop_assert_eq!(bytes(decode(split(&stream, &cuts), MAX_EVENT).unwrap()), expected.clone());
        prop_assert_eq!(bytes(decode(stream.chunks(1), MAX_EVENT).unwrap()), expected);
    }

    #[test]
    fn events_are_those_of_the_standard(stream in streams()) {
        // The standard discards an event that the end of the stream cuts off; the decoder leaves that to its user.
        let stream = [&stream[..], b"\n\n"].concat();
        let mut events = Vec::new();
        for frame in decode([&stream[..]], MAX_EVENT).unwrap() {
            let data = frame.data();
            if let Some(data) = data.bytes(&frame) {
                events.push((frame.event().unwrap_or_default().to_vec(), data.to_vec()));
            }
        }
        prop_assert_eq!(events, reference_events(&stream));
    }

    #[test]
    fn the_limit_holds_at_the_same_event_for_any_split(
        stream in streams(),
        cuts in prop::collection::vec(any::<Index>(), 0..10),
        max_event in 1..24_usize,
    ) {
        let fits = reference_frames(&stream).iter().all(|frame| frame.len() <= max_event);
        prop_assert_eq!(decode([&stream[..]], max_event).is_ok(), fits);
        prop_assert_eq!(decode(split(&stream, &cuts), max_event).is_ok(), fits);
        prop_assert_eq!(decode(stream.chunks(1), max_event).is_ok(), fits);
    }

    #[test]
    fn chunks_pushed_together_are_read_as_one_by_one(stream in streams(), cuts in prop::collection::vec(any::<Index>(), 0..10)) {
        let mut decoder = SseDecoder::new(MAX_EVENT);
        for chunk in split(&stream, &cuts) {
            decoder.push(Bytes::copy_from_slice(chunk));
        }
        prop_assert!(decoder.buffered() <= stream.len() && decoder.buffered() + 3 >= stream.len());
        let frames: Vec<_> = std::iter::from_fn(|| decoder.finish()).collect();
        prop_assert_eq!(frames, decode([&stream[..]], MAX_EVENT).unwrap());
        prop_assert_eq!(decoder.buffered(), 0);
    }
}

#[test]
fn whole_events_are_slices_of_their_chunk() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\r\n\r\n: c\n\nda");
    let mut decoder = SseDecoder::new(MAX_EVENT);
    decoder.push(chunk.clone());
    for (offset, text) in [(0, "data: a"), (9, "data: b"), (20, ": c")] {
        let frame = decoder.next_frame().unwrap().unwrap();
        assert_eq!(frame.bytes(), text);
        assert_eq!(frame.bytes().as_ptr(), chunk[offset..].as_ptr());
    }
    assert_eq!(decoder.next_frame(), Ok(None));
    assert_eq!(decoder.buffered(), 2);
}

#[test]
fn a_carriage_return_at_a_chunks_end_ends_the_event_at_once() {
    let mut decoder = SseDecoder::new(MAX_EVENT);
    decoder.push(Bytes::from_static(b"data: a\r\n\r"));
    assert_eq!(decoder.next_frame().unwrap().unwrap().bytes(), "data: a");
    decoder.push(Bytes::from_static(b"\ndata: b\n\n"));
    assert_eq!(decoder.next_frame().unwrap().unwrap().bytes(), "data: b");
}

#[test]
fn a_large_event_byte_by_byte_takes_linear_time() {
    let mut event = vec![b'x'; 1024 * 1024];
    event[..6].copy_from_slice(b"data: ");
    event.extend_from_slice(b"\n\n");
    // Were the event scanned anew for each byte, this would be half a trillion steps.
    let frames = decode(event.chunks(1), MAX_EVENT).unwrap();
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].data(), Data::Line(6..1024 * 1024));
}

#[test]
fn an_event_beyond_the_limit_ends_the_stream() {
    let mut decoder = SseDecoder::new(8);
    decoder.push(Bytes::from_static(b"data: a\n\ndata: bcd"));
    assert_eq!(decoder.next_frame().unwrap().unwrap().bytes(), "data: a");
    let error = decoder.next_frame().unwrap_err();
    assert_eq!(error.max_event, 8);
    decoder.push(Bytes::from_static(b"\n\ndata: a\n\n"));
    assert_eq!(decoder.next_frame(), Err(error));
    assert_eq!((decoder.finish(), decoder.buffered()), (None, 0));
}

#[test]
fn fields_are_found_with_their_places() {
    let frames = decode([&b"data: a\r\nevent:  x\rdata\n: c\nevent:y\ndata:b:c\n\n"[..]], MAX_EVENT).unwrap();
    let frame = &frames[0];
    assert_eq!(frame.event(), Some(&b"y"[..]));
    assert_eq!(frame.data(), Data::Lines(Bytes::from_static(b"a\n\nb:c")));
    for field in frame.fields() {
        assert_eq!(&frame.bytes()[field.value_range()], field.value);
        assert!(frame.bytes()[field.line.clone()].starts_with(field.name));
    }
    let names: Vec<_> = frame.fields().map(|field| (field.name, field.value)).collect();
    let expected: [(&[u8], &[u8]); 6] =
        [(b"data", b"a"), (b"event", b" x"), (b"data", b""), (b"", b"c"), (b"event", b"y"), (b"data", b"b:c")];
    assert_eq!(names, expected);
}
