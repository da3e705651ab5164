//! libanabranch in Rust's own terms: handles that clean up, results with a status and a text, borrowed passes.
//!
//! A decoder plans passes for any number of requests. A `Pass` borrows it until it is committed; dropping the pass
//! instead gives it up, and the next plan repeats it. Nothing here is `Send`: one thread at a time.

pub mod ffi;

use std::ffi::{c_char, c_void, CStr, CString};
use std::fmt;
use std::marker::PhantomData;
use std::mem::{size_of, MaybeUninit};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;

pub type Token = i32;

/// Why a call failed: its status and text.
#[derive(Debug, Clone)]
pub struct Error {
    pub status: i32,
    pub text: String,
}
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = unsafe { CStr::from_ptr(ffi::anb_status_name(self.status)) };
        write!(f, "{}: {}", name.to_string_lossy(), self.text)
    }
}
impl std::error::Error for Error {}

fn check(status: i32) -> Result<()> {
    if status == ffi::OK {
        return Ok(());
    }
    let text = unsafe { CStr::from_ptr(ffi::anb_last_error()) };
    Err(Error { status, text: text.to_string_lossy().into_owned() })
}

/// A struct with the library's defaults.
fn with_defaults<T>(init: unsafe extern "C" fn(*mut T, usize)) -> T {
    let mut made = MaybeUninit::<T>::zeroed();
    unsafe {
        init(made.as_mut_ptr(), size_of::<T>());
        made.assume_init()
    }
}

/// An array that the library lends, whatever it uses for an empty one.
unsafe fn lent<'a, T>(first: *const T, n: usize) -> &'a [T] {
    if n == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(first, n)
    }
}

unsafe fn text_of(bytes: *const c_char, n: usize) -> String {
    String::from_utf8_lossy(lent(bytes as *const u8, n)).into_owned()
}

/// The books of one K/V cache.
pub struct Cache {
    handle: *mut ffi::Cache,
}

impl Cache {
    /// A cache of `n_pages` pages of 16 slots, which refuses positions from `max_position` on.
    pub fn new(n_pages: i32, max_position: i32) -> Result<Cache> {
        let mut options = with_defaults(ffi::anb_cache_options_init);
        options.n_pages = n_pages;
        options.max_position = max_position;
        let mut handle = ptr::null_mut();
        check(unsafe { ffi::anb_cache_create(&options, &mut handle) })?;
        Ok(Cache { handle })
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        unsafe { ffi::anb_cache_destroy(self.handle) }
    }
}

/// Between tokens and text. None: it failed, and so does the call that asked.
pub trait Text {
    fn text_of(&self, tokens: &[Token]) -> Option<Vec<u8>>;
    fn tokens_of(&self, text: &[u8]) -> Option<Vec<Token>>;
    /// The special token that a stop text is the name of; Some(None): no such name is in it.
    fn stop_token(&self, _text: &[u8]) -> Option<Option<Token>> {
        Some(None)
    }
}

/// Runs a callback's body; a panic, or more than fits an i32, is a failure. Copies what fits and says how much there is.
unsafe fn hand_out<T: Copy>(out: *mut T, capacity: i32, body: impl FnOnce() -> Option<Vec<T>>) -> i32 {
    let made = catch_unwind(AssertUnwindSafe(body)).unwrap_or(None);
    match made.and_then(|all| i32::try_from(all.len()).ok().map(|n| (all, n))) {
        Some((all, n)) => {
            ptr::copy_nonoverlapping(all.as_ptr(), out, n.min(capacity) as usize);
            n
        }
        None => -1,
    }
}

unsafe extern "C" fn detokenize<T: Text>(
    tokens: *const Token,
    n: i32,
    out: *mut c_char,
    capacity: i32,
    user: *mut c_void,
) -> i32 {
    hand_out(out as *mut u8, capacity, || (*(user as *const T)).text_of(lent(tokens, n as usize)))
}

unsafe extern "C" fn text_to_tokens<T: Text>(
    text: *const c_char,
    n: i32,
    out: *mut Token,
    capacity: i32,
    user: *mut c_void,
) -> i32 {
    hand_out(out, capacity, || (*(user as *const T)).tokens_of(lent(text as *const u8, n as usize)))
}

unsafe extern "C" fn stop_token<T: Text>(text: *const c_char, n: i32, user: *mut c_void) -> i32 {
    let found =
        catch_unwind(AssertUnwindSafe(|| (*(user as *const T)).stop_token(lent(text as *const u8, n as usize))));
    match found.unwrap_or(None) {
        Some(token) => token.unwrap_or(ffi::UNKNOWN_TOKEN),
        None => ffi::UNKNOWN_TOKEN - 1,
    }
}

/// How a request samples and where it ends; by default greedy, without penalties, as long as the decoder lets it.
#[derive(Clone, Debug)]
pub struct RequestOptions<'a> {
    /// 0: greedy
    pub temperature: f32,
    /// 0: all
    pub top_k: i32,
    pub top_p: f32,
    pub min_p: f32,
    pub repetition_penalty: f32,
    pub frequency_penalty: f32,
    pub presence_penalty: f32,
    pub seed: u64,
    /// Requests with one seed and different numbers draw different random numbers.
    pub number: u64,
    /// Each token once.
    pub logit_bias: &'a [(Token, f32)],
    pub stop: &'a [&'a str],
    pub stop_tokens: &'a [Token],
    pub max_tokens: Option<i32>,
    /// Report the sampled token's log-probability, and those of so many likeliest tokens.
    pub n_log_probabilities: Option<i32>,
}

impl Default for RequestOptions<'_> {
    fn default() -> Self {
        RequestOptions {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            seed: 0,
            number: 0,
            logit_bias: &[],
            stop: &[],
            stop_tokens: &[],
            max_tokens: None,
            n_log_probabilities: None,
        }
    }
}

/// Settings of a decoder; everything else has the library's default.
pub struct DecoderOptions<'a> {
    /// "serial", "skeleton"
    pub markup: &'a str,
    /// Tokens from here on are no text; lets the skeleton keep its lines whole.
    pub n_vocabulary: i32,
    pub max_branch_tokens: i32,
    pub end_of_text: &'a [Token],
}

/// One prompt that is answered, of the decoder that it was submitted to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request(u64);

/// Something that became known in a pass. Branch 0 is the trunk.
#[derive(Debug)]
pub enum Event {
    Text {
        branch: i32,
        text: String,
        token: Token,
        /// Natural; NaN where it was not asked for, and of a token that was not sampled.
        log_probability: f32,
        /// (token, log-probability), likeliest first.
        top: Vec<(Token, f32)>,
    },
    Fork {
        branch: i32,
        first_branch: i32,
        n_branches: i32,
    },
    BranchEnd {
        branch: i32,
        reason: i32,
    },
    Join {
        branch: i32,
    },
    End {
        reason: i32,
    },
    /// A title or a tag.
    Control {
        branch: i32,
        token: Token,
    },
}

/// The cost of an answer.
pub struct Cost {
    pub n_branches: i32,
    pub n_sampled: i32,
    pub n_passes: i32,
    pub n_serial_passes: i32,
}

/// Plans the passes of its requests and samples their tokens; never runs a model.
pub struct Decoder<'c, T: Text> {
    handle: *mut ffi::DecoderHandle,
    _text: Box<T>, // the callbacks' user: goes after the handle
    _cache: PhantomData<&'c Cache>,
}

impl<'c, T: Text> Decoder<'c, T> {
    pub fn new(cache: &'c Cache, text: T, options: &DecoderOptions) -> Result<Decoder<'c, T>> {
        let name = CString::new(options.markup)
            .map_err(|_| Error { status: ffi::BAD_ARGUMENT, text: "the markup's name holds a NUL".into() })?;
        let text = Box::new(text);
        let mut callbacks = with_defaults(ffi::anb_text_init);
        callbacks.detokenize = Some(detokenize::<T>);
        callbacks.text_to_tokens = Some(text_to_tokens::<T>);
        callbacks.user = &*text as *const T as *mut c_void;
        callbacks.stop_token = Some(stop_token::<T>);
        let mut markup = with_defaults(ffi::anb_markup_init);
        markup.name = name.as_ptr();
        markup.n_vocabulary = options.n_vocabulary;
        let mut all = with_defaults(ffi::anb_decoder_options_init);
        all.max_branch_tokens = options.max_branch_tokens;
        all.end_of_text = options.end_of_text.as_ptr();
        all.n_end_of_text = options.end_of_text.len() as i32;
        all.markup = &markup;
        all.text = &callbacks;
        let mut handle = ptr::null_mut();
        check(unsafe { ffi::anb_decoder_create(cache.handle, &all, &mut handle) })?;
        Ok(Decoder { handle, _text: text, _cache: PhantomData })
    }

    /// A new request; the next plan holds its prompt.
    pub fn submit(&mut self, prompt: &[Token]) -> Result<Request> {
        self.submit_with(prompt, &RequestOptions::default())
    }

    /// The same with options of its own.
    pub fn submit_with(&mut self, prompt: &[Token], options: &RequestOptions) -> Result<Request> {
        let texts = options
            .stop
            .iter()
            .map(|&text| CString::new(text))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|_| Error { status: ffi::BAD_ARGUMENT, text: "a stop text holds a NUL".into() })?;
        let stop: Vec<_> = texts.iter().map(|text| text.as_ptr()).collect();
        let bias: Vec<_> =
            options.logit_bias.iter().map(|&(token, bias)| ffi::anb_logit_bias { token, bias }).collect();
        let mut all = with_defaults(ffi::anb_request_options_init);
        all.temperature = options.temperature;
        all.top_k = options.top_k;
        all.top_p = options.top_p;
        all.min_p = options.min_p;
        all.repetition_penalty = options.repetition_penalty;
        all.frequency_penalty = options.frequency_penalty;
        all.presence_penalty = options.presence_penalty;
        all.seed = options.seed;
        all.number = options.number;
        all.logit_bias = bias.as_ptr();
        all.n_logit_bias = bias.len() as i32;
        all.stop = stop.as_ptr();
        all.n_stop = stop.len() as i32;
        all.stop_tokens = options.stop_tokens.as_ptr();
        all.n_stop_tokens = options.stop_tokens.len() as i32;
        all.max_tokens = options.max_tokens.unwrap_or(all.max_tokens);
        all.n_log_probabilities = options.n_log_probabilities.unwrap_or(all.n_log_probabilities);
        let mut request = 0;
        check(unsafe {
            ffi::anb_decoder_submit(self.handle, prompt.as_ptr(), prompt.len() as i32, &all, &mut request)
        })?;
        Ok(Request(request))
    }

    /// The next pass of all requests; None: nothing is left to do.
    pub fn plan(&mut self) -> Result<Option<Pass<'_, 'c, T>>> {
        let mut plan = with_defaults(ffi::anb_plan_init);
        match unsafe { ffi::anb_decoder_plan(self.handle, &mut plan) } {
            ffi::NOTHING_TO_DO => Ok(None),
            ffi::NO_ROOM => {
                let text = format!("{} pages are missing, {} are free", plan.n_pages_short, plan.n_pages_free);
                Err(Error { status: ffi::NO_ROOM, text })
            }
            status => {
                check(status)?;
                Ok(Some(Pass { decoder: self, plan }))
            }
        }
    }

    /// Events from outside of a commit, such as a request that ended because it can never fit.
    pub fn events(&mut self) -> Result<Vec<Event>> {
        let mut all = Vec::new();
        let mut event = with_defaults(ffi::anb_event_init);
        loop {
            match unsafe { ffi::anb_decoder_next_event(self.handle, &mut event) } {
                ffi::NOTHING_TO_DO => return Ok(all),
                status => check(status)?,
            }
            let branch = event.branch;
            all.push(match (event.kind, event.role) {
                (0, 0) => Event::Text {
                    branch,
                    text: unsafe { text_of(event.text, event.n_text) },
                    token: event.token,
                    log_probability: event.log_probability,
                    top: unsafe { lent(event.top, event.n_top as usize) }
                        .iter()
                        .map(|one| (one.token, one.log_probability))
                        .collect(),
                },
                (0, _) => Event::Control { branch, token: event.token },
                (1, _) => Event::Fork { branch, first_branch: event.first_branch, n_branches: event.n_branches },
                (2, _) => Event::BranchEnd { branch, reason: event.reason },
                (3, _) => Event::Join { branch },
                _ => Event::End { reason: event.reason },
            });
        }
    }

    /// The answer as far as it is there, branches in reading order.
    pub fn text(&mut self, request: Request) -> Result<String> {
        let mut state = with_defaults(ffi::anb_branch_state_init);
        check(unsafe { ffi::anb_decoder_get_branch(self.handle, request.0, 0, &mut state) })?;
        Ok(unsafe { text_of(state.text, state.n_text) })
    }

    /// The cost of the answer so far.
    pub fn cost(&self, request: Request) -> Result<Cost> {
        let mut state = with_defaults(ffi::anb_request_state_init);
        check(unsafe { ffi::anb_decoder_get_request(self.handle, request.0, &mut state) })?;
        Ok(Cost {
            n_branches: state.n_branches,
            n_sampled: state.n_sampled,
            n_passes: state.n_passes,
            n_serial_passes: state.n_serial_passes,
        })
    }
}

impl<T: Text> Drop for Decoder<'_, T> {
    fn drop(&mut self) {
        unsafe { ffi::anb_decoder_destroy(self.handle) }
    }
}

/// One forward pass that waits for its logits.
pub struct Pass<'d, 'c, T: Text> {
    decoder: &'d mut Decoder<'c, T>,
    plan: ffi::anb_plan,
}

impl<T: Text> Pass<'_, '_, T> {
    /// As C sees it; its arrays live as long as the pass.
    pub fn plan(&self) -> &ffi::anb_plan {
        &self.plan
    }
    pub fn n_outputs(&self) -> usize {
        self.plan.n_outputs as usize
    }
    /// Samples, makes the pass final, and says what happened. `logits`: [n_outputs, n_vocabulary]. A failure gives the
    /// pass up.
    pub fn commit(self, logits: &[f32], n_vocabulary: usize) -> Result<Vec<Event>> {
        if logits.len() != self.n_outputs() * n_vocabulary {
            let text = format!("{} logits for {} outputs of {}", logits.len(), self.n_outputs(), n_vocabulary);
            return Err(Error { status: ffi::BAD_LOGITS, text });
        }
        check(unsafe {
            let n_outputs = self.plan.n_outputs;
            ffi::anb_decoder_commit(self.decoder.handle, logits.as_ptr(), n_outputs, n_vocabulary as i32)
        })?;
        self.decoder.events()
    }
}

impl<T: Text> Drop for Pass<'_, '_, T> {
    fn drop(&mut self) {
        unsafe { ffi::anb_decoder_abort(self.decoder.handle) }; // does nothing after a commit
    }
}
