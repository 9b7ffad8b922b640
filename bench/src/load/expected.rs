//! What an answer has to be, to the byte.
//!
//! A proxy that changes nothing has to deliver what the upstream said. The gateway names the model as the caller did and adds a
//! member `gateway` to the object of a plain answer or of a stream's first frame: everything around that member is fixed too.

use super::answer::Fault;
use crate::exchange::{self, Ask, Kind};

/// The longest `gateway` member.
const MOST_MEMBER: usize = 2048;

/// The body that an answer has to have.
pub(super) struct Expected {
    /// Up to the place of the member.
    before: Vec<u8>,
    /// How the member begins; nothing where there is none.
    member: Vec<u8>,
    /// From behind the member to the end.
    behind: Vec<u8>,
}

/// How far a body has been compared.
#[derive(Default)]
pub(super) struct Compared {
    /// Bytes of the fixed parts.
    fixed: usize,
    /// The member so far.
    member: Vec<u8>,
    is_member_over: bool,
    /// Braces open in the member, and whether the last byte was in a string or behind a backslash in one.
    depth: usize,
    is_string: bool,
    is_escape: bool,
}

impl Expected {
    pub(super) fn new(ask: &Ask, kind: Kind, is_rewritten: bool) -> Self {
        let upstream_model = kind.upstream_model();
        let model = if is_rewritten { &ask.model } else { &upstream_model };
        let (object, behind) = if kind.is_stream() {
            let mut frames = exchange::frames(kind, model);
            let first = frames.remove(0);
            (first.trim_end().to_owned(), "\n\n".to_owned() + &frames.concat())
        } else {
            (exchange::plain_body(&upstream_model).replacen(&upstream_model, model, 1), String::new())
        };
        let (before, brace) = object.split_at(object.len() - 1);
        let member =
            if is_rewritten { format!(",\"gateway\":{{\"model\":\"{model}\",\"provider\":\"") } else { String::new() };
        Self { before: before.into(), member: member.into(), behind: (brace.to_owned() + &behind).into() }
    }

    /// Compares the next part of a body.
    pub(super) fn compare(&self, compared: &mut Compared, mut data: &[u8]) -> Result<(), Fault> {
        if compared.fixed < self.before.len() {
            data = compared.fixed_part(&self.before, 0, data)?;
        }
        if !self.member.is_empty() && !compared.is_member_over && !data.is_empty() {
            data = compared.member_part(&self.member, data)?;
        }
        if !data.is_empty() {
            data = compared.fixed_part(&self.behind, self.before.len(), data)?;
        }
        if data.is_empty() { Ok(()) } else { Err(Fault::TooLong) }
    }

    /// Whether all of it came.
    pub(super) fn is_whole(&self, compared: &Compared) -> bool {
        compared.fixed == self.before.len() + self.behind.len() && (self.member.is_empty() || compared.is_member_over)
    }
}

impl Compared {
    /// Begins anew, with the memory that there is.
    pub(super) fn clear(&mut self) {
        let mut member = std::mem::take(&mut self.member);
        member.clear();
        *self = Self { member, ..Self::default() };
    }

    /// Compares with a part that begins at `begin` of all that is fixed; what is behind it.
    fn fixed_part<'a>(&mut self, part: &[u8], begin: usize, data: &'a [u8]) -> Result<&'a [u8], Fault> {
        let rest = &part[self.fixed - begin..];
        let here = rest.len().min(data.len());
        if rest[..here] != data[..here] {
            return Err(Fault::other_body(&rest[..here], &data[..here]));
        }
        self.fixed += here;
        Ok(&data[here..])
    }

    /// Reads the member up to the brace that closes it; what is behind it.
    fn member_part<'a>(&mut self, begin: &[u8], data: &'a [u8]) -> Result<&'a [u8], Fault> {
        for (at, byte) in data.iter().enumerate() {
            self.member.push(*byte);
            self.is_escape = match byte {
                b'\\' if self.is_string => !self.is_escape,
                b'"' if !self.is_escape => {
                    self.is_string = !self.is_string;
                    false
                }
                _ => false,
            };
            match byte {
                b'{' if !self.is_string => self.depth += 1,
                b'}' if !self.is_string => self.depth = self.depth.checked_sub(1).ok_or_else(|| self.bad_member())?,
                _ => continue,
            }
            if self.depth == 0 {
                self.is_member_over = true;
                return if self.member.starts_with(begin) { Ok(&data[at + 1..]) } else { Err(self.bad_member()) };
            }
        }
        if self.member.len() > MOST_MEMBER { Err(self.bad_member()) } else { Ok(&[]) }
    }

    fn bad_member(&self) -> Fault {
        Fault::Member(self.member.escape_ascii().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> Ask {
        Ask { model: "bench-burst".to_owned(), key: "k".to_owned() }
    }

    fn compare(expected: &Expected, pieces: &[&[u8]]) -> Result<bool, Fault> {
        let mut compared = Compared::default();
        for piece in pieces {
            expected.compare(&mut compared, piece)?;
        }
        Ok(expected.is_whole(&compared))
    }

    fn rewritten() -> String {
        let member = r#","gateway":{"model":"bench-burst","provider":"a","attempts":[{"x":"}\""}]}}"#;
        let mut frames = exchange::frames(Kind::Burst, "bench-burst");
        frames[0] = frames[0].replace("}\n\n", &format!("{member}\n\n"));
        frames.concat()
    }

    #[test]
    fn an_answer_with_who_served_it_may_be_cut_anywhere() {
        let expected = Expected::new(&ask(), Kind::Burst, true);
        let body = rewritten();
        for cut in 0..body.len() {
            let (before, behind) = body.as_bytes().split_at(cut);
            assert!(compare(&expected, &[before, behind]).unwrap(), "cut at {cut}");
            assert!(!compare(&expected, &[before]).unwrap());
        }
    }

    #[test]
    fn frames_out_of_order_twice_or_missing_are_faults() {
        let expected = Expected::new(&ask(), Kind::Burst, false);
        let frames = exchange::frames(Kind::Burst, "upstream-burst");
        assert!(compare(&expected, &[frames.concat().as_bytes()]).unwrap());
        let changes: [fn(&mut Vec<String>); 4] = [
            |frames| frames.swap(7, 8),
            |frames| frames.insert(7, frames[7].clone()),
            |frames| drop(frames.remove(7)),
            |frames| frames.push(frames[65].clone()),
        ];
        for change in changes {
            let mut frames = frames.clone();
            change(&mut frames);
            assert!(compare(&expected, &[frames.concat().as_bytes()]).is_err());
        }
        assert!(!compare(&expected, &[frames[..65].concat().as_bytes()]).unwrap());
    }

    #[test]
    fn an_answer_that_names_nobody_is_a_fault_where_it_should() {
        let expected = Expected::new(&ask(), Kind::Burst, true);
        let body = exchange::frames(Kind::Burst, "bench-burst").concat();
        assert!(compare(&expected, &[body.as_bytes()]).is_err());
    }
}
