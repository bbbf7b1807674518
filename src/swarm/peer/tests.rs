// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::swarm::Held;

const SEGMENT: SegmentId = SegmentId(7);

fn peer() -> Peer {
    Peer::new(PeerId(*b"-GP0001-abcdefghijkl"))
}

fn request_id(command: &Command) -> u64 {
    match command {
        Command::Request { request_id, .. } => *request_id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_transfer_from_request_to_completion() {
    let mut peer = peer();
    let r = request_id(&peer.request(SEGMENT, 100));
    assert_eq!(peer.payload(10), Ok(None), "before the header nothing counts");
    let header = peer.handle(Command::Data { segment: SEGMENT, request_id: r, size: Some(30) });
    assert_eq!(header, Ok(Notice::Header { segment: SEGMENT, offset: 100, size: Some(30) }));
    assert_eq!(peer.payload(20), Ok(Some((SEGMENT, 100))));
    assert_eq!(peer.payload(10), Ok(Some((SEGMENT, 120))));
    let done = peer.handle(Command::Completed { segment: SEGMENT, request_id: r });
    assert_eq!(done, Ok(Notice::Completed { segment: SEGMENT }));
    assert!(peer.is_free(Instant::now()));
}

#[test]
fn bytes_of_a_cancelled_transfer_are_dropped() {
    let mut peer = peer();
    let r = request_id(&peer.request(SEGMENT, 0));
    peer.handle(Command::Data { segment: SEGMENT, request_id: r, size: Some(30) }).unwrap();
    peer.cancel();
    assert_eq!(peer.payload(30), Ok(None));
    let late = peer.handle(Command::Completed { segment: SEGMENT, request_id: r });
    assert_eq!(late, Ok(Notice::Nothing));
    // The next request is not confused by the tail of the last.
    let next = request_id(&peer.request(SegmentId(8), 0));
    assert_ne!(r, next);
    assert_eq!(peer.payload(30), Ok(None));
}

#[test]
fn too_many_and_too_few_bytes_are_violations() {
    let mut long = peer();
    let r = request_id(&long.request(SEGMENT, 0));
    long.handle(Command::Data { segment: SEGMENT, request_id: r, size: Some(3) }).unwrap();
    assert_eq!(long.payload(4), Err(Violation::TooManyBytes));
    let mut short = peer();
    let r = request_id(&short.request(SEGMENT, 0));
    short.handle(Command::Data { segment: SEGMENT, request_id: r, size: Some(3) }).unwrap();
    let done = short.handle(Command::Completed { segment: SEGMENT, request_id: r });
    assert_eq!(done, Err(Violation::TooFewBytes));
}

#[test]
fn what_was_subscribed_to_comes_as_if_it_had_been_asked_for() {
    let (mut ours, mut theirs) = (peer(), peer());
    let asked = ours.subscribe(SEGMENT);
    assert_eq!(theirs.handle(asked).unwrap(), Notice::Subscribed);
    let header = theirs.push(Some(3)).expect("nothing else is served");
    assert_eq!(ours.handle(header).unwrap(), Notice::Pushed { segment: SEGMENT, size: Some(3) });
    assert_eq!(ours.payload(3).unwrap(), Some((SEGMENT, 0)));
    let request_id = ours.download().expect("it runs").request_id;
    let done = Command::Completed { segment: SEGMENT, request_id };
    assert_eq!(ours.handle(done).unwrap(), Notice::Completed { segment: SEGMENT });
    assert_eq!((ours.subscription, theirs.subscriber), (None, None));
}

#[test]
fn a_subscription_waits_for_what_is_being_served_and_can_be_taken_back() {
    let (mut ours, mut theirs) = (peer(), peer());
    theirs.handle(ours.request(SEGMENT, 0)).unwrap();
    theirs.handle(ours.subscribe(SegmentId(8))).unwrap();
    assert_eq!(theirs.push(Some(3)), None, "something else is served");
    assert_eq!(ours.unsubscribe(SEGMENT), None, "that was asked for");
    theirs.handle(ours.unsubscribe(SegmentId(8)).unwrap()).unwrap();
    assert_eq!((theirs.subscriber, theirs.upload.is_some()), (None, true));
}

#[test]
fn what_nobody_subscribed_to_or_what_comes_too_late_is_ignored() {
    let mut ours = peer();
    let header = |request_id| Command::Data { segment: SEGMENT, request_id, size: Some(9) };
    assert_eq!(ours.handle(header(0)).unwrap(), Notice::Nothing);
    let Command::Subscribe { request_id, .. } = ours.subscribe(SEGMENT) else { panic!() };
    ours.request(SegmentId(8), 0);
    assert_eq!(ours.handle(header(request_id)).unwrap(), Notice::Nothing);
    assert_eq!(ours.payload(9).unwrap(), None, "bytes of what gave way");
    ours.subscribe(SegmentId(9));
    let request_id = ours.subscription.unwrap().request_id;
    let absent = Command::Absent { segment: SegmentId(9), request_id };
    assert_eq!(ours.handle(absent).unwrap(), Notice::Nothing);
    assert_eq!(ours.subscription, None);
}

#[test]
fn bytes_of_a_request_that_was_taken_back_are_no_part_of_what_it_replaced() {
    let (mut ours, mut theirs) = (peer(), peer());
    theirs.handle(ours.subscribe(SegmentId(8))).unwrap();
    let pushed = theirs.push(Some(100)).unwrap();
    // Before we hear of that, we ask for something else and do without it.
    let (asked, taken_back) = (ours.request(SEGMENT, 0), ours.cancel().unwrap());
    assert_eq!(ours.handle(pushed), Ok(Notice::Pushed { segment: SegmentId(8), size: Some(100) }));
    assert_eq!(ours.payload(10), Ok(Some((SegmentId(8), 0))));
    let answer = Command::Data { segment: SEGMENT, request_id: request_id(&asked), size: Some(70) };
    theirs.handle(asked).unwrap();
    assert_eq!(theirs.upload().map(|upload| upload.segment), Some(SEGMENT), "it serves one at a time");
    assert_eq!(ours.handle(answer), Ok(Notice::Absent { segment: SegmentId(8) }));
    assert_eq!(ours.payload(20), Ok(None));
    theirs.handle(taken_back).unwrap();
    assert!(theirs.upload.is_none() && ours.is_free(Instant::now()));
}

#[test]
fn a_new_request_replaces_the_one_being_served() {
    let mut peer = peer();
    for (segment, request_id) in [(SEGMENT, 1), (SegmentId(8), 2)] {
        peer.handle(Command::Request { segment, request_id, offset: 0 }).unwrap();
    }
    assert_eq!(peer.upload().map(|u| u.segment), Some(SegmentId(8)));
    peer.handle(Command::Cancel { segment: SEGMENT, request_id: 1 }).unwrap();
    assert!(peer.upload.is_some(), "a late cancel of the old request does not end the new one");
}

#[test]
fn an_absent_segment_is_not_asked_for_before_the_next_announcement() {
    let mut peer = peer();
    let said = Announcement { loaded: vec![SegmentId(8), SEGMENT], ..Announcement::default() };
    let said = Command::Announcement(said.into());
    peer.handle(said.clone()).unwrap();
    let r = request_id(&peer.request(SEGMENT, 0));
    peer.handle(Command::Absent { segment: SEGMENT, request_id: r }).unwrap();
    peer.note_refusal(Instant::now(), SEGMENT);
    assert_eq!((peer.held(SEGMENT), peer.held(SegmentId(8))), (0, WHOLE));
    assert!(peer.knows(SEGMENT), "it may come from there yet");
    peer.handle(said).unwrap();
    assert_eq!(peer.held(SEGMENT), WHOLE);
}

#[test]
fn what_grows_is_held_in_part() {
    let mut peer = peer();
    let held = vec![Held { segment: SegmentId(8), bytes: 1000 }, Held { segment: SegmentId(9), bytes: 7 }];
    let said = Announcement { loaded: vec![SEGMENT, SegmentId(8)], held, ..Announcement::default() };
    peer.handle(Command::Announcement(said.into())).unwrap();
    assert_eq!((peer.held(SEGMENT), peer.held(SegmentId(8))), (WHOLE, 1000));
    assert_eq!(peer.held(SegmentId(9)), 7, "its size is not known yet");
    assert_eq!(peer.frontier(), Some(SegmentId(9)));
}

#[test]
fn a_transfer_without_a_size_ends_with_the_word_that_it_has() {
    let mut peer = peer();
    let r = request_id(&peer.request(SEGMENT, 100));
    let header = peer.handle(Command::Data { segment: SEGMENT, request_id: r, size: None });
    assert_eq!(header, Ok(Notice::Header { segment: SEGMENT, offset: 100, size: None }));
    assert_eq!(peer.payload(20), Ok(Some((SEGMENT, 100))));
    assert_eq!(peer.payload(10), Ok(Some((SEGMENT, 120))));
    let done = peer.handle(Command::Completed { segment: SEGMENT, request_id: r });
    assert_eq!(done, Ok(Notice::Ended { segment: SEGMENT, total: 130 }));
    assert!(peer.is_free(Instant::now()));
    // Without a header there is nothing to end.
    let r = request_id(&peer.request(SEGMENT, 0));
    let done = peer.handle(Command::Completed { segment: SEGMENT, request_id: r });
    assert_eq!(done, Err(Violation::TooFewBytes));
}
