//! A reader of Rust that knows just enough: words and marks, with comments, literals and tests left out.
//!
//! It counts braces rather than parse. rustfmt and the compiler have seen every file, so what looks like a function is
//! one; the samples at the end are the odd shapes that have to be told apart.

/// A file of Rust without comments, the insides of literals, and tests.
pub(crate) struct Source {
    /// Its path, as shown in failures.
    pub(crate) path: String,
    /// Its lines, comments included, tests not.
    pub(crate) lines: usize,
    tokens: Vec<Token>,
}

/// A word or a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    text: String,
    line: usize,
}

/// A function with a body, or a method without one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Where it begins, from 1.
    pub(crate) line: usize,
    /// From `fn` to the closing brace.
    pub(crate) lines: usize,
    /// `self` not counted.
    pub(crate) parameters: usize,
}

/// A trait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trait {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) methods: usize,
}

/// Reads a file.
pub(crate) fn parse(path: String, text: &str) -> Source {
    let all = tokens(&mask(text));
    let mut kept = Vec::new();
    let mut lines = text.lines().count();
    let mut at = 0;
    while at < all.len() {
        if is_at(&all, at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            let end = item_end(&all, at + 7);
            lines -= all[end].line - all[at].line + 1;
            at = end + 1;
        } else {
            kept.push(all[at].clone());
            at += 1;
        }
    }
    Source { path, lines, tokens: kept }
}

impl Source {
    /// The lines on which a piece of code stands, such as `TcpStream::connect` or `.listen(`.
    pub(crate) fn find(&self, code: &str) -> Vec<usize> {
        let wanted: Vec<_> = tokens(&mask(code)).into_iter().map(|token| token.text).collect();
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        (0..self.tokens.len()).filter(|at| is_at(&self.tokens, *at, &wanted)).map(|at| self.tokens[at].line).collect()
    }

    /// All functions, nested ones too.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let starts = (0..self.tokens.len()).filter(|at| self.tokens[*at].text == "fn");
        starts.filter_map(|at| function(&self.tokens, at)).collect()
    }

    /// All traits.
    pub(crate) fn traits(&self) -> Vec<Trait> {
        let starts = (0..self.tokens.len()).filter(|at| self.tokens[*at].text == "trait");
        starts.filter_map(|at| read_trait(&self.tokens, at)).collect()
    }
}

fn is_at(tokens: &[Token], at: usize, wanted: &[&str]) -> bool {
    tokens.len() >= at + wanted.len() && tokens[at..].iter().zip(wanted).all(|(token, text)| token.text == *text)
}

/// The index of the last token of the item at `at`: its `;`, or the brace that closes it.
fn item_end(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" if depth == 1 => return index,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return index,
            _ => {}
        }
    }
    tokens.len() - 1
}

fn function(tokens: &[Token], at: usize) -> Option<Function> {
    let name = tokens.get(at + 1).filter(|token| is_word(&token.text))?;
    let open = at + 2 + generics_len(&tokens[at + 2..]);
    let (parameters, close) = parameters(tokens, open)?;
    let end = item_end(tokens, close + 1);
    let lines = tokens[end].line - tokens[at].line + 1;
    Some(Function { name: name.text.clone(), line: tokens[at].line, lines, parameters })
}

/// The length of `<…>` at the start; 0 if there is none.
fn generics_len(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "<" => depth += 1,
            ">" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if index == 0 { 0 } else { index + 1 };
        }
    }
    0
}

/// How many parameters stand between the parentheses that open at `open`, and where these close.
fn parameters(tokens: &[Token], open: usize) -> Option<(usize, usize)> {
    tokens.get(open).filter(|token| token.text == "(")?;
    let (mut depth, mut count, mut current) = (0_usize, 0, Vec::new());
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" | "<" => depth += 1,
            ")" | "]" | "}" | ">" => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && token.text == ",") {
            count += usize::from(is_parameter(&current));
            current.clear();
        } else if index > open {
            current.push(token.text.as_str());
        }
        if depth == 0 {
            return Some((count, index));
        }
    }
    None
}

/// Whether the tokens between two commas are a parameter, and not a receiver or nothing at all.
fn is_parameter(tokens: &[&str]) -> bool {
    let before_type = tokens.split(|token| *token == ":").next().unwrap_or_default();
    !tokens.is_empty() && before_type.last() != Some(&"self")
}

fn read_trait(tokens: &[Token], at: usize) -> Option<Trait> {
    let name = tokens.get(at + 1).filter(|token| is_word(&token.text))?;
    let (mut depth, mut methods) = (0_usize, 0);
    for token in &tokens[at..=item_end(tokens, at)] {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "fn" if depth == 1 => methods += 1,
            _ => {}
        }
    }
    Some(Trait { name: name.text.clone(), line: tokens[at].line, methods })
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words and marks; a mark is one character, but for `->` and `=>`, whose `>` closes nothing.
fn tokens(masked: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (number, line) in masked.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = match first {
                '-' | '=' if rest[1..].starts_with('>') => 2,
                _ if first.is_alphanumeric() || first == '_' => {
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
                }
                _ => first.len_utf8(),
            };
            tokens.push(Token { text: rest[..len].to_owned(), line: number + 1 });
            rest = rest[len..].trim_start();
        }
    }
    tokens
}

/// The text with comments and the insides of literals blanked; every line stays where it is.
fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = skipped_len(rest, masked.chars().last());
        let (piece, behind) = rest.split_at(if skipped == 0 { first.len_utf8() } else { skipped });
        if skipped == 0 {
            masked.push_str(piece);
        } else {
            masked.extend(piece.chars().map(|c| if c == '\n' { c } else { ' ' }));
        }
        rest = behind;
    }
    masked
}

/// The length of the comment or literal at the start of `rest`; 0 if there is none.
fn skipped_len(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_len(rest);
    }
    let prefixed = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let prefix = if prefixed { 0 } else { rest.find(|c| !"bcr".contains(c)).filter(|len| *len <= 2).unwrap_or(0) };
    let literal = &rest[prefix..];
    if rest[..prefix].contains('r') && literal.starts_with(['"', '#']) {
        return raw_string_len(literal).map_or(0, |len| prefix + len);
    }
    if literal.starts_with('"') {
        return prefix + quoted_len(literal, '"');
    }
    // A lifetime has no quote behind its first character.
    let is_character =
        literal.starts_with("'\\") || (literal.starts_with('\'') && literal.chars().nth(2) == Some('\''));
    if is_character { prefix + quoted_len(literal, '\'') } else { 0 }
}

fn block_comment_len(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(found) = rest[at..].find(['/', '*']) {
        at += found;
        match &rest[at..] {
            open if open.starts_with("/*") => (depth, at) = (depth + 1, at + 2),
            close if close.starts_with("*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of `#"…"#` with any number of `#`; `None` if there is no quote behind them, as in `r#type`.
fn raw_string_len(rest: &str) -> Option<usize> {
    let hashes = rest.find(|c| c != '#').filter(|hashes| rest[*hashes..].starts_with('"'))?;
    let end = format!("\"{}", &rest[..hashes]);
    let body = &rest[hashes + 1..];
    Some(body.find(&end).map_or(rest.len(), |found| hashes + 1 + found + end.len()))
}

fn quoted_len(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    rest.len()
}

fn sample(text: &str) -> Source {
    parse("sample.rs".to_owned(), text)
}

#[test]
fn comments_and_literals_hide_code() {
    let text = "
// fn one() {}
/* fn /* nested */ two() {} */
/// fn three() {}
const A: &str = \"fn four() { \\\" \";
const B: &str = r#\"fn five() { \" \"#;
const C: &[u8] = br\"fn six() {\\\";
const D: [char; 4] = ['{', '\\'', '\"', 'x'];
fn seven<'a>(r#type: &'a str) -> &'a str { r#type }
";
    let source = sample(text);
    let names: Vec<_> = source.functions().into_iter().map(|function| (function.name, function.line)).collect();
    assert_eq!(names, [("seven".to_owned(), 9)]);
    assert!(source.find("nested").is_empty());
    assert_eq!(source.find("type"), [9, 9]);
}

#[test]
fn tests_are_left_out() {
    let text = "
fn kept() {}
#[cfg(test)]
use std::fmt;
#[cfg(test)]
mod elsewhere;
#[cfg(test)]
mod tests {
    fn hidden() { if true { } }
}
fn kept_too() {}
";
    let source = sample(text);
    let names: Vec<_> = source.functions().into_iter().map(|function| function.name).collect();
    assert_eq!(names, ["kept", "kept_too"]);
    assert_eq!(source.lines, 11 - 8);
}

#[test]
fn functions_are_measured() {
    let text = "
trait Shape: Sized {
    fn area(&self, scale: f64) -> f64;
    fn name(self: Box<Self>, map: HashMap<K, Vec<(A, B)>>, f: impl Fn(A, B) -> C,) where Self: Sized {
    }
    const SIDES: usize;
}
pub(crate) async fn free<F: Fn(u8, u8) -> [u8; 4], const N: usize>(mut a: [u8; 4], (b, c): (u8, u8)) -> [u8; 4]
where
    F: Send,
{
    let pointer: fn(u8, u8) = g;
}
fn none() {}
";
    let measured: Vec<_> =
        sample(text).functions().into_iter().map(|it| (it.name, it.line, it.lines, it.parameters)).collect();
    let expected = [("area", 3, 1, 1), ("name", 4, 2, 2), ("free", 8, 6, 2), ("none", 14, 1, 0)];
    assert_eq!(measured, expected.map(|(name, line, lines, parameters)| (name.to_owned(), line, lines, parameters)));
    assert_eq!(sample(text).traits(), [Trait { name: "Shape".to_owned(), line: 2, methods: 2 }]);
}

#[test]
fn code_is_found_however_it_is_laid_out() {
    let source = sample(
        "fn f() {\n    socket\n        .listen (7);\n    tokio::net::TcpStream :: connect(a);\n    my_listen(1);\n}",
    );
    assert_eq!(source.find(".listen("), [3]);
    assert_eq!(source.find("TcpStream::connect"), [4]);
    assert!(source.find("listen(1").is_empty());
}
