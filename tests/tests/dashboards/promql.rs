//! As much of the query language as it takes to see which series and labels an expression names. Whether it is right besides is
//! `promtool`'s to say.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

/// What an expression names.
#[derive(Debug, Default)]
pub(crate) struct Expression {
    pub(crate) series: Vec<Series>,
    /// The labels of `by`: those that are left of what is aggregated.
    pub(crate) by: BTreeSet<String>,
    /// The labels of `on`, `ignoring`, `without` and the like.
    pub(crate) matching: BTreeSet<String>,
}

/// One selector.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) matchers: Vec<Matcher>,
}

/// One condition of a selector.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) operator: String,
    pub(crate) value: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A name, or a keyword.
    Name(String),
    /// What stands in quotes.
    Text(String),
    /// One sign; numbers and durations are signs that do not matter.
    Sign(char),
}

impl Expression {
    pub(crate) fn parse(text: &str) -> Self {
        let tokens = tokens(text);
        let mut expression = Self::default();
        let mut rest = tokens.as_slice();
        while let Some((token, behind)) = rest.split_first() {
            rest = behind;
            match token {
                // A variable of the dashboard.
                Token::Sign('$') => rest = behind.get(1..).unwrap_or_default(),
                Token::Name(name) => rest = expression.take(name, behind),
                Token::Text(_) | Token::Sign(_) => {}
            }
        }
        expression
    }

    /// Takes note of a name and of what belongs to it, and gives what is behind that.
    fn take<'a>(&mut self, name: &str, behind: &'a [Token]) -> &'a [Token] {
        let is_selector = behind.first() == Some(&Token::Sign('{'));
        let end = |sign| behind.iter().position(|token| *token == Token::Sign(sign)).expect("a closing sign");
        match name {
            "by" => self.by.extend(names(&behind[..end(')')])),
            "on" | "ignoring" | "without" | "group_left" | "group_right" => {
                self.matching.extend(names(&behind[..end(')')]));
            }
            _ if is_selector => {
                self.series.push(Series { name: name.to_owned(), matchers: matchers(&behind[1..end('}')]) });
                return &behind[end('}')..];
            }
            _ if name.starts_with("llm_proxy_") || name.contains(':') => {
                self.series.push(Series { name: name.to_owned(), matchers: Vec::new() });
                return behind;
            }
            _ => return behind,
        }
        &behind[end(')')..]
    }
}

/// The names among some tokens.
fn names(tokens: &[Token]) -> impl Iterator<Item = String> {
    tokens.iter().filter_map(|token| match token {
        Token::Name(name) => Some(name.clone()),
        _ => None,
    })
}

fn matchers(tokens: &[Token]) -> Vec<Matcher> {
    let conditions = tokens.split(|token| *token == Token::Sign(','));
    let conditions = conditions.filter(|condition| !condition.is_empty());
    conditions
        .map(|condition| match condition {
            [Token::Name(label), operator @ .., Token::Text(value)] => {
                let sign = |token: &Token| if let Token::Sign(sign) = token { *sign } else { '?' };
                let operator = operator.iter().map(sign).collect();
                Matcher { label: label.clone(), operator, value: value.clone() }
            }
            other => panic!("no condition: {other:?}"),
        })
        .collect()
}

fn tokens(text: &str) -> Vec<Token> {
    let mut signs = text.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(&sign) = signs.peek() {
        if sign.is_ascii_alphabetic() || matches!(sign, '_' | ':') {
            tokens.push(Token::Name(word(&mut signs)));
        } else if sign.is_ascii_digit() {
            word(&mut signs);
            tokens.push(Token::Sign('0'));
        } else if sign == '"' {
            signs.next();
            tokens.push(Token::Text(signs.by_ref().take_while(|sign| *sign != '"').collect()));
        } else {
            signs.next();
            tokens.extend((!sign.is_whitespace()).then_some(Token::Sign(sign)));
        }
    }
    tokens
}

fn word(signs: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(sign) = signs.next_if(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '_' | ':')) {
        word.push(sign);
    }
    word
}

#[test]
fn an_expression_is_taken_apart() {
    let text = r#"sum by (le, job) (rate(llm_proxy_a_bucket{x="1", y=~"$m"}[$__rate_interval])) / on (job) up{job="g"}
        > 2 * job:b:rate5m and ignoring (z) llm_proxy_c"#;
    let found = Expression::parse(text);
    let series: Vec<_> = found.series.iter().map(|series| series.name.as_str()).collect();
    assert_eq!(series, ["llm_proxy_a_bucket", "up", "job:b:rate5m", "llm_proxy_c"]);
    let conditions = found.series[0].matchers.iter().map(|it| format!("{}{}{}", it.label, it.operator, it.value));
    assert_eq!(conditions.collect::<Vec<_>>(), ["x=1", "y=~$m"]);
    assert_eq!(found.by.iter().collect::<Vec<_>>(), ["job", "le"]);
    assert_eq!(found.matching.iter().collect::<Vec<_>>(), ["job", "z"]);
}
