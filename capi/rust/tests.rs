//! The wrapper keeps its promises, asked without a model: a vocabulary of letters, logits made up.

use anabranch::{ffi, Cache, Decoder, DecoderOptions, Event, RequestOptions, Text, Token};

const N_VOCABULARY: usize = 26;

/// Token t is the t-th letter; tokens 24 and 25 stand for a failure and a panic.
struct Letters;

impl Text for Letters {
    fn text_of(&self, tokens: &[Token]) -> Option<Vec<u8>> {
        if tokens.contains(&25) {
            panic!("no such letter");
        }
        tokens.iter().map(|&t| if t == 24 { None } else { Some(b'a' + t as u8) }).collect()
    }
    fn tokens_of(&self, text: &[u8]) -> Option<Vec<Token>> {
        Some(text.iter().map(|&c| Token::from(c % 24)).collect())
    }
    fn stop_token(&self, text: &[u8]) -> Option<Option<Token>> {
        match text {
            b"<x>" => Some(Some(23)),
            b"panic" => panic!("no such name"),
            _ => Some(None),
        }
    }
}

fn options(markup: &str) -> DecoderOptions<'_> {
    DecoderOptions { markup, n_vocabulary: 0, max_branch_tokens: 8, end_of_text: &[0] }
}

/// Logits whose likeliest token is `token`.
fn likeliest(token: usize) -> Vec<f32> {
    (0..N_VOCABULARY).map(|t| if t == token { 1.0 } else { 0.0 }).collect()
}

fn texts(events: &[Event]) -> String {
    events.iter().map(|event| if let Event::Text { text, .. } = event { text.as_str() } else { "" }).collect()
}

#[test]
fn a_refused_call_tells_its_status_and_the_bad_value() {
    let error = Cache::new(-4, 100).err().expect("a cache without pages");
    assert_eq!(error.status, ffi::BAD_ARGUMENT);
    assert!(error.text.contains("-4"), "{}", error);
    assert!(error.to_string().starts_with("bad_argument: "), "{}", error);
}

#[test]
fn an_unknown_markup_is_refused_by_name() {
    let cache = Cache::new(4, 100).unwrap();
    let error = Decoder::new(&cache, Letters, &options("pasta")).err().expect("a decoder of pasta");
    assert!(error.text.contains("'pasta'"), "{}", error);
}

#[test]
fn a_pass_that_is_dropped_is_planned_again() {
    let cache = Cache::new(4, 100).unwrap();
    let mut decoder = Decoder::new(&cache, Letters, &options("serial")).unwrap();
    let request = decoder.submit(&[1, 2, 3]).unwrap();
    let rows = |decoder: &mut Decoder<Letters>| decoder.plan().unwrap().map(|pass| pass.plan().n_rows);
    assert_eq!(rows(&mut decoder), Some(3));
    assert_eq!(rows(&mut decoder), Some(3));
    let events = decoder.plan().unwrap().unwrap().commit(&likeliest(7), N_VOCABULARY).unwrap();
    assert_eq!(texts(&events), "h");
    let events = decoder.plan().unwrap().unwrap().commit(&likeliest(0), N_VOCABULARY).unwrap();
    assert!(matches!(events.last(), Some(Event::End { .. })), "{:?}", events);
    assert!(decoder.plan().unwrap().is_none());
    assert_eq!(decoder.text(request).unwrap(), "h");
    let cost = decoder.cost(request).unwrap();
    assert_eq!((cost.n_passes, cost.n_sampled), (2, 2));
}

#[test]
fn a_commit_that_fails_gives_the_pass_up_and_no_more() {
    let cache = Cache::new(4, 100).unwrap();
    let mut decoder = Decoder::new(&cache, Letters, &options("serial")).unwrap();
    decoder.submit(&[1]).unwrap();
    let commit = |decoder: &mut Decoder<Letters>, logits: &[f32]| {
        decoder.plan().unwrap().expect("a pass").commit(logits, N_VOCABULARY).map(|events| texts(&events))
    };
    assert_eq!(commit(&mut decoder, &[0.0; 3]).unwrap_err().status, ffi::BAD_LOGITS);
    assert_eq!(commit(&mut decoder, &[f32::NAN; N_VOCABULARY]).unwrap_err().status, ffi::BAD_LOGITS);
    assert_eq!(commit(&mut decoder, &likeliest(5)).unwrap(), "f");
}

#[test]
fn a_callback_that_fails_or_panics_fails_the_call() {
    let cache = Cache::new(4, 100).unwrap();
    let mut decoder = Decoder::new(&cache, Letters, &options("serial")).unwrap();
    decoder.submit(&[1]).unwrap();
    for token in [24, 25] {
        let pass = decoder.plan().unwrap().expect("a pass");
        let error = pass.commit(&likeliest(token), N_VOCABULARY).unwrap_err();
        assert_eq!(error.status, ffi::CALLBACK_FAILED, "{}", error);
    }
    let pass = decoder.plan().unwrap().expect("a pass");
    assert_eq!(texts(&pass.commit(&likeliest(3), N_VOCABULARY).unwrap()), "d");
}

#[test]
fn too_few_pages_is_an_error_that_tells_how_many() {
    let cache = Cache::new(2, 100).unwrap();
    let mut decoder = Decoder::new(&cache, Letters, &options("serial")).unwrap();
    let first = decoder.submit(&[1; 16]).unwrap();
    decoder.plan().unwrap().unwrap().commit(&likeliest(3), N_VOCABULARY).unwrap();
    let second = decoder.submit(&[1; 20]).unwrap();
    let error = decoder.plan().err().expect("room for both");
    assert_eq!(error.status, ffi::NO_ROOM);
    assert!(error.text.contains("pages are missing"), "{}", error);
    assert_eq!(decoder.text(first).unwrap(), "d");
    assert_eq!(decoder.text(second).unwrap(), "");
}

/// The text and the events of a request whose model likes the tokens of `likes` in turn.
fn written(options: &RequestOptions, likes: &[usize]) -> (String, Vec<Event>) {
    let cache = Cache::new(8, 100).unwrap();
    let mut decoder = Decoder::new(&cache, Letters, &self::options("serial")).unwrap();
    let request = decoder.submit_with(&[1], options).unwrap();
    let mut all = Vec::new();
    for &token in likes {
        let Some(pass) = decoder.plan().unwrap() else { break };
        all.extend(pass.commit(&likeliest(token), N_VOCABULARY).unwrap());
    }
    (decoder.text(request).unwrap(), all)
}

#[test]
fn options_of_a_request_reach_the_library() {
    let plain = RequestOptions::default();
    assert_eq!(written(&plain, &[3, 3, 4]).0, "dde");
    assert_eq!(written(&RequestOptions { max_tokens: Some(2), ..plain.clone() }, &[3, 3, 4]).0, "dd");
    let bias = [(7, 5.0), (0, f32::NEG_INFINITY)];
    let penalty = RequestOptions { presence_penalty: 2.0, logit_bias: &bias[1..], ..plain.clone() };
    assert_eq!(written(&penalty, &[3, 3, 4]).0, "dbe");
    assert_eq!(written(&RequestOptions { logit_bias: &bias, ..plain.clone() }, &[3, 0]).0, "hh");
    assert_eq!(written(&RequestOptions { stop: &["<x>"], ..plain.clone() }, &[3, 23, 4]).0, "d");
    assert_eq!(written(&RequestOptions { stop_tokens: &[4], ..plain.clone() }, &[3, 4, 5]).0, "d");
    let (_, events) = written(&RequestOptions { n_log_probabilities: Some(2), ..plain }, &[3]);
    let Event::Text { token, log_probability, top, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!((*token, top[0].0, top[1].0), (3, 3, 0));
    assert!((log_probability.exp() - 1f32.exp() / (1f32.exp() + 25.0)).abs() < 1e-6 && top[0].1 == *log_probability);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let cache = Cache::new(8, 100).unwrap();
    let mut decoder = Decoder::new(&cache, Letters, &options("serial")).unwrap();
    let plain = RequestOptions::default();
    let mut status = |options: &RequestOptions| decoder.submit_with(&[1], options).err().map(|error| error.status);
    assert_eq!(status(&RequestOptions { min_p: 1.5, ..plain.clone() }), Some(ffi::BAD_REQUEST));
    assert_eq!(status(&RequestOptions { logit_bias: &[(1, f32::NAN)], ..plain.clone() }), Some(ffi::BAD_REQUEST));
    assert_eq!(status(&RequestOptions { stop: &["a\0b"], ..plain.clone() }), Some(ffi::BAD_ARGUMENT));
    assert_eq!(status(&RequestOptions { stop: &["panic"], ..plain.clone() }), Some(ffi::CALLBACK_FAILED));
    assert_eq!(status(&plain), None);
}
