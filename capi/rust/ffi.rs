//! The C functions that the wrapper uses, as capi/anabranch.h and capi/anabranch_decoder.h declare them.
//!
//! The structs are the whole of their C counterparts, because a library reads and writes as far as `struct_size` says.
//! Pointers that are handed on without being looked at stay untyped.
#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};
use std::mem::size_of;

pub enum Cache {}
pub enum DecoderHandle {}

pub const OK: i32 = 0;
pub const BAD_ARGUMENT: i32 = 1;
pub const NO_ROOM: i32 = 8;
pub const BAD_REQUEST: i32 = 12;
pub const BAD_LOGITS: i32 = 14;
pub const CALLBACK_FAILED: i32 = 20;
pub const NOTHING_TO_DO: i32 = 22;
pub const UNKNOWN_TOKEN: i32 = -1;

#[repr(C)]
pub struct anb_cache_options {
    pub struct_size: u32,
    pub n_pages: i32,
    pub page_size: i32,
    pub max_sequences: i32,
    pub max_depth: i32,
    pub max_position: i32,
    pub share_tail: i32,
    pub keep_tokens: i32,
    pub allocator: *const c_void,
}

#[repr(C)]
pub struct anb_plan {
    pub struct_size: u32,
    pub n_rows: i32,
    pub n_outputs: i32,
    pub n_groups: i32,
    pub n_views: i32,
    pub n_ops_before: i32,
    pub n_ops_after_commit: i32,
    pub n_slots: i32,
    pub page_size: i32,
    pub n_pages_short: i32,
    pub n_pages_free: i32,
    pub reserved: i32,
    pub epoch: u64,
    pub tokens: *const i32,
    pub positions: *const i32,
    pub slots: *const i32,
    pub sequences: *const u64,
    pub outputs: *const c_void,
    pub groups: *const c_void,
    pub views: *const c_void,
    pub ops_before: *const c_void,
    pub ops_after_commit: *const c_void,
}

pub type Detokenizer = unsafe extern "C" fn(*const i32, i32, *mut c_char, i32, *mut c_void) -> i32;
pub type StopToken = unsafe extern "C" fn(*const c_char, i32, *mut c_void) -> i32;
pub type TextToTokens = unsafe extern "C" fn(*const c_char, i32, *mut i32, i32, *mut c_void) -> i32;

#[repr(C)]
pub struct anb_text {
    pub struct_size: u32,
    pub reserved: u32,
    pub detokenize: Option<Detokenizer>,
    pub text_to_tokens: Option<TextToTokens>,
    pub user: *mut c_void,
    pub stop_token: Option<StopToken>,
}

#[repr(C)]
pub struct anb_markup {
    pub struct_size: u32,
    pub n_title_separator: i32,
    pub name: *const c_char,
    pub tags: [i32; 6],
    pub title_separator: *const i32,
    pub opening: *const c_char,
    pub outline_end: *const c_char,
    pub separator: *const c_char,
    pub after_text: *const c_char,
    pub go_on: i32,
    pub max_points: i32,
    pub max_title_tokens: i32,
    pub n_vocabulary: i32,
    pub callbacks: *const c_void,
    pub unique_titles: i32,
    pub max_titles: i32,
    pub well_formed: i32,
    pub reserved: i32,
}

#[repr(C)]
pub struct anb_decoder_options {
    pub struct_size: u32,
    pub max_branches: i32,
    pub max_tokens: i32,
    pub max_branch_tokens: i32,
    pub max_depth: i32,
    pub max_rows: i32,
    pub positions: i32,
    pub n_end_of_text: i32,
    pub end_of_text: *const i32,
    pub markup: *const anb_markup,
    pub text: *const anb_text,
    pub draft: i32,
    pub preemptible: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct anb_logit_bias {
    pub token: i32,
    pub bias: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct anb_token_log_probability {
    pub token: i32,
    pub log_probability: f32,
}

#[repr(C)]
pub struct anb_request_options {
    pub struct_size: u32,
    pub temperature: f32,
    pub top_k: i32,
    pub top_p: f32,
    pub repetition_penalty: f32,
    pub max_tokens: i32,
    pub max_branch_tokens: i32,
    pub n_log_probabilities: i32,
    pub seed: u64,
    pub after: u64,
    pub stop: *const *const c_char,
    pub n_stop: i32,
    pub reserved: i32,
    pub max_parallel_branches: i32,
    pub no_repeat_ngram: i32,
    pub prefix: u64,
    pub user_data: u64,
    pub min_p: f32,
    pub frequency_penalty: f32,
    pub presence_penalty: f32,
    pub n_stop_tokens: i32,
    pub stop_tokens: *const i32,
    pub logit_bias: *const anb_logit_bias,
    pub n_logit_bias: i32,
    pub reserved2: i32,
    pub number: u64,
}

#[repr(C)]
pub struct anb_event {
    pub struct_size: u32,
    pub kind: i32,
    pub request: u64,
    pub branch: i32,
    pub token: i32,
    pub role: i32,
    pub forced: i32,
    pub log_probability: f32,
    pub n_top: i32,
    pub top: *const anb_token_log_probability,
    pub text: *const c_char,
    pub n_text: usize,
    pub first_branch: i32,
    pub n_branches: i32,
    pub reason: i32,
    pub reserved: i32,
    pub user_data: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct anb_request_state {
    pub struct_size: u32,
    pub reason: i32,
    pub n_branches: i32,
    pub n_blocks: i32,
    pub n_serial: i32,
    pub n_branch: i32,
    pub n_title: i32,
    pub n_tag: i32,
    pub n_prompt: i32,
    pub n_sampled: i32,
    pub n_forced: i32,
    pub n_forgotten: i32,
    pub n_passes: i32,
    pub n_prefill: i32,
    pub n_serial_passes: i32,
    pub reserved: i32,
    pub user_data: u64,
    pub n_pages_needed: i32,
    pub n_pages_used: i32,
}

#[repr(C)]
pub struct anb_branch_state {
    pub struct_size: u32,
    pub reason: i32,
    pub sequence: u64,
    pub title: *const c_char,
    pub text: *const c_char,
    pub n_title: usize,
    pub n_text: usize,
    pub path: *const c_void,
    pub n_path: i32,
    pub reserved: i32,
    pub tokens: *const i32,
    pub n_tokens: i32,
    pub reserved2: i32,
}

// Sizes as C's sizeof gives them.
const _: () = assert!(size_of::<anb_cache_options>() == 40);
const _: () = assert!(size_of::<anb_plan>() == 128);
const _: () = assert!(size_of::<anb_text>() == 40);
const _: () = assert!(size_of::<anb_request_options>() == 136);
const _: () = assert!(size_of::<anb_markup>() == 120);
const _: () = assert!(size_of::<anb_decoder_options>() == 64);
const _: () = assert!(size_of::<anb_event>() == 88);
const _: () = assert!(size_of::<anb_request_state>() == 80);
const _: () = assert!(size_of::<anb_branch_state>() == 80);

#[link(name = "anabranch")]
extern "C" {
    pub fn anb_status_name(status: i32) -> *const c_char;
    pub fn anb_last_error() -> *const c_char;

    pub fn anb_cache_options_init(options: *mut anb_cache_options, size: usize);
    pub fn anb_plan_init(plan: *mut anb_plan, size: usize);
    pub fn anb_text_init(text: *mut anb_text, size: usize);
    pub fn anb_markup_init(markup: *mut anb_markup, size: usize);
    pub fn anb_decoder_options_init(options: *mut anb_decoder_options, size: usize);
    pub fn anb_request_options_init(options: *mut anb_request_options, size: usize);
    pub fn anb_event_init(event: *mut anb_event, size: usize);
    pub fn anb_request_state_init(state: *mut anb_request_state, size: usize);
    pub fn anb_branch_state_init(state: *mut anb_branch_state, size: usize);

    pub fn anb_cache_create(options: *const anb_cache_options, cache: *mut *mut Cache) -> i32;
    pub fn anb_cache_destroy(cache: *mut Cache);

    pub fn anb_decoder_create(
        cache: *mut Cache,
        options: *const anb_decoder_options,
        decoder: *mut *mut DecoderHandle,
    ) -> i32;
    pub fn anb_decoder_destroy(decoder: *mut DecoderHandle);
    pub fn anb_decoder_submit(
        decoder: *mut DecoderHandle,
        prompt: *const i32,
        n: i32,
        options: *const anb_request_options,
        request: *mut u64,
    ) -> i32;
    pub fn anb_decoder_plan(decoder: *mut DecoderHandle, plan: *mut anb_plan) -> i32;
    pub fn anb_decoder_commit(
        decoder: *mut DecoderHandle,
        logits: *const f32,
        n_outputs: i32,
        n_vocabulary: i32,
    ) -> i32;
    pub fn anb_decoder_abort(decoder: *mut DecoderHandle) -> i32;
    pub fn anb_decoder_next_event(decoder: *mut DecoderHandle, event: *mut anb_event) -> i32;
    pub fn anb_decoder_get_request(decoder: *const DecoderHandle, request: u64, state: *mut anb_request_state) -> i32;
    pub fn anb_decoder_get_branch(
        decoder: *mut DecoderHandle,
        request: u64,
        branch: i32,
        state: *mut anb_branch_state,
    ) -> i32;
}
