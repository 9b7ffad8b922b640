#![allow(clippy::unwrap_used)]

use http_body_util::BodyExt;
use proptest::prelude::*;

use super::*;

fn read(body: RequestBody) -> Vec<u8> {
    let mut collected = Vec::new();
    let mut body = body;
    let mut cx = Context::from_waker(std::task::Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut cx) {
        collected.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    collected
}

proptest! {
    #[test]
    fn segments_are_sent_in_order_with_their_length(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..8)) {
        let whole = parts.concat();
        let body = RequestBody::from_segments(parts.into_iter().map(Bytes::from));
        prop_assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
        prop_assert_eq!(body.is_end_stream(), whole.is_empty());
        let copy = body.try_clone().unwrap();
        prop_assert_eq!(&read(body), &whole);
        prop_assert_eq!(&read(copy), &whole);
    }
}

#[tokio::test]
async fn an_abandoned_upload_fails_and_a_finished_one_says_so() {
    let idle = http_body_util::StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>());
    let body = RequestBody::streaming(idle);
    assert!(body.try_clone().is_none());
    let upload = body.upload().unwrap();
    let reading = tokio::spawn(body.collect());
    tokio::task::yield_now().await;
    assert!(upload.ended().is_none());
    upload.abandon();
    assert!(reading.await.unwrap().is_err());
    assert!(upload.take_failure().is_none(), "the source is not at fault");

    let body = RequestBody::streaming(http_body_util::Full::from("x").map_err(|never| match never {}));
    let upload = body.upload().unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "x");
    assert!(upload.ended().is_some());
}
