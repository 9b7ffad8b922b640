use std::thread;

use super::*;

fn queue() -> Arc<Queue> {
    Arc::new(Queue::new(Arc::default()))
}

fn lost(queue: &Queue) -> usize {
    queue.lost.load(Ordering::Relaxed)
}

/// What the thread would be given next.
fn taken(queue: &Queue) -> Option<String> {
    queue.take(Vec::new()).map(|lines| String::from_utf8(lines).unwrap())
}

/// Whether a line wakes the thread, and what it is then.
fn wakes(waiting: &mut Waiting, due: Due) -> bool {
    waiting.add(b"line\n", due)
}

#[test]
fn the_thread_is_woken_for_the_first_line_for_one_that_is_due_and_for_plenty_and_for_none_else() {
    let mut waiting = Waiting { is_idle: true, ..Waiting::default() };
    assert!(wakes(&mut waiting, Due::Soon), "nobody else would");
    assert!(!wakes(&mut waiting, Due::Soon), "it will look by itself");
    assert!(!waiting.is_due, "they gather");
    assert!(wakes(&mut waiting, Due::Now) && waiting.is_due);
    assert!(!wakes(&mut waiting, Due::Now) && !wakes(&mut waiting, Due::Soon), "it has been told");

    let mut waiting = Waiting::default();
    let count = (0..PLENTY).filter(|_| wakes(&mut waiting, Due::Soon)).count();
    assert_eq!((count, waiting.is_due), (1, true), "once there are many");
}

#[test]
fn lines_are_taken_together_and_in_order() {
    let queue = queue();
    for (line, due) in [("one\n", Due::Soon), ("two\n", Due::Now), ("three\n", Due::Soon)] {
        queue.append(line.as_bytes(), due);
    }
    assert_eq!(taken(&queue).unwrap(), "one\ntwo\nthree\n");
    queue.append(b"four\n", Due::Soon);
    assert_eq!(taken(&queue).unwrap(), "four\n", "with nobody telling: the time was over");
}

#[test]
fn beyond_the_room_lines_are_lost_whole_and_counted() {
    let queue = queue();
    let line = [&[b'x'; 999][..], b"\n"].concat();
    let fit = ROOM / line.len();
    for _ in 0..fit + 7 {
        queue.append(&line, Due::Soon);
    }
    assert_eq!(lost(&queue), 7);
    // One that is shorter still fits.
    queue.append(b"short\n", Due::Soon);
    assert_eq!(lost(&queue), 7);
    let text = taken(&queue).unwrap();
    assert_eq!((text.lines().count(), text.ends_with("x\nshort\n")), (fit + 1, true));
    queue.append(&line, Due::Soon);
    assert_eq!((taken(&queue).unwrap().len(), lost(&queue)), (line.len(), 7), "there is room again");
}

#[test]
fn what_waits_at_the_end_is_taken_and_what_comes_later_is_lost() {
    let queue = queue();
    queue.append(b"last\n", Due::Soon);
    queue.close();
    queue.append(b"too late\n", Due::Now);
    assert_eq!((taken(&queue).as_deref(), taken(&queue), lost(&queue)), (Some("last\n"), None, 1));
}

#[test]
fn one_who_waits_for_lines_is_told_of_each_and_of_the_end() {
    let queue = queue();
    let reader = thread::spawn({
        let queue = Arc::clone(&queue);
        move || std::iter::from_fn(|| taken(&queue)).collect::<String>()
    });
    // However far the other has come each time: gathering, idle, or not begun.
    let mut expected = String::new();
    for number in 0..1_000 {
        let line = format!("line {number}\n");
        let due = if number % 3 == 0 { Due::Now } else { Due::Soon };
        queue.append(line.as_bytes(), due);
        expected.push_str(&line);
        // Lets the thread get idle, of its own accord, some of the times.
        while number % 250 == 0 && !queue.waiting.lock().is_idle {
            thread::yield_now();
        }
    }
    queue.close();
    assert_eq!(reader.join().unwrap(), expected);
}
