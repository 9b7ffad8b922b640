//! `POST /v1/embeddings`: unit vectors that depend on the text and nothing else.

use http::Response;
use serde::Serialize;

use crate::Behaviour;
use crate::answer::{hash, json_body};
use crate::body::AnswerBody;
use crate::failure::Failure;
use crate::request::{EmbeddingInput, EmbeddingRequest};
use crate::service::json_answer;
use crate::text::count_tokens;

/// As many as `text-embedding-3-small` has.
const DEFAULT_DIMENSIONS: usize = 1536;

/// More than any known model has, and small enough for many inputs.
const MOST_DIMENSIONS: usize = 8192;

/// OpenAI's limit on the inputs of one request.
const MOST_INPUTS: usize = 2048;

#[derive(Serialize)]
struct EmbeddingList<'a> {
    object: &'static str,
    data: Vec<Embedding>,
    model: &'a str,
    usage: EmbeddingUsage,
}

#[derive(Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    #[serde(rename = "embedding")]
    vector: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Numbers(Vec<f32>),
    /// Little-endian 32 bit floats in base64.
    Text(String),
}

#[derive(Serialize)]
struct EmbeddingUsage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// One input: what decides its vector, and its tokens.
struct Input {
    seed: u64,
    tokens: usize,
}

/// Answers a request whose model is `name`.
pub(crate) fn answer(
    request: &EmbeddingRequest<'_>,
    name: &str,
    behaviour: &Behaviour,
) -> Result<Response<AnswerBody>, Failure> {
    let dimensions = request.dimensions.unwrap_or(DEFAULT_DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err(Failure::bad_request(
            format!("dimensions must be from 1 to {MOST_DIMENSIONS}"),
            Some("dimensions"),
        ));
    }
    let is_base64 = match request.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            return Err(Failure::bad_request("encoding_format must be float or base64", Some("encoding_format")));
        }
    };
    let inputs = inputs(request.input.as_ref());
    if !(1..=MOST_INPUTS).contains(&inputs.len()) {
        return Err(Failure::bad_request(format!("input must be 1 to {MOST_INPUTS} texts"), Some("input")));
    }
    let tokens = inputs.iter().map(|input| input.tokens).sum();
    let embed = |(index, input): (usize, Input)| {
        let numbers = unit_vector(input.seed, dimensions);
        let vector = if is_base64 { Vector::Text(encode_floats(&numbers)) } else { Vector::Numbers(numbers) };
        Embedding { object: "embedding", index, vector }
    };
    let list = EmbeddingList {
        object: "list",
        data: inputs.into_iter().enumerate().map(embed).collect(),
        model: behaviour.shown_as.as_deref().unwrap_or(name),
        usage: EmbeddingUsage { prompt_tokens: tokens, total_tokens: tokens },
    };
    Ok(json_answer(json_body(&list), behaviour.fault))
}

fn inputs(input: Option<&EmbeddingInput>) -> Vec<Input> {
    let of_text = |text: &String| Input { seed: hash(text.as_bytes()), tokens: count_tokens(text) };
    let of_tokens = |tokens: &Vec<u32>| {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        Input { seed: hash(&bytes), tokens: tokens.len() }
    };
    match input {
        None => Vec::new(),
        Some(EmbeddingInput::Text(text)) => vec![of_text(text)],
        Some(EmbeddingInput::Texts(texts)) => texts.iter().map(of_text).collect(),
        Some(EmbeddingInput::Tokens(tokens)) => vec![of_tokens(tokens)],
        Some(EmbeddingInput::TokenLists(lists)) => lists.iter().map(of_tokens).collect(),
    }
}

fn unit_vector(seed: u64, dimensions: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut numbers: Vec<f32> = (0..dimensions).map(|_| random.f32() - 0.5).collect();
    let length = numbers.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    for number in &mut numbers {
        *number /= length;
    }
    numbers
}

fn encode_floats(numbers: &[f32]) -> String {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    encode_base64(&bytes)
}

/// RFC 4648 section 4, with padding.
fn encode_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let padded = [group[0], group.get(1).copied().unwrap_or(0), group.get(2).copied().unwrap_or(0)];
        let bits = padded.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        for position in 0..4 {
            let symbol = char::from(ALPHABET[bits >> (18 - 6 * position) & 0x3f]);
            text.push(if position <= group.len() { symbol } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_examples_of_its_rfc() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(encode_base64(plain.as_bytes()), encoded);
        }
        assert_eq!(encode_base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn vectors_have_length_one_and_differ_by_text() {
        for dimensions in [1, 3, 1536] {
            let vector = unit_vector(hash(b"text"), dimensions);
            let length: f32 = vector.iter().map(|number| number * number).sum();
            assert!((length - 1.0).abs() < 1e-3, "{length}");
            assert_eq!(vector, unit_vector(hash(b"text"), dimensions));
        }
        assert_ne!(unit_vector(hash(b"text"), 8), unit_vector(hash(b"other"), 8));
    }
}
