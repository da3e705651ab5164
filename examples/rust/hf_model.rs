//! The model of examples/c/hf_model.h: a Hugging Face folder behind a few C functions.

use anabranch::ffi::anb_plan;
use anabranch::{Pass, Text, Token};
use std::ffi::{c_char, c_void, CStr, CString};
use std::rc::Rc;

enum Handle {}

#[link(name = "anabranch_hf_model")]
extern "C" {
    fn hf_open(folder: *const c_char) -> *mut Handle;
    fn hf_close(model: *mut Handle);
    fn hf_error() -> *const c_char;
    fn hf_n_vocabulary(model: *const Handle) -> i32;
    fn hf_max_position(model: *const Handle) -> i32;
    fn hf_end_of_text(model: *const Handle, tokens: *mut *const Token) -> i32;
    fn hf_prompt(model: *const Handle, question: *const c_char, out: *mut Token, capacity: i32) -> i32;
    fn hf_detokenize(tokens: *const Token, n: i32, out: *mut c_char, capacity: i32, model: *mut c_void) -> i32;
    fn hf_text_to_tokens(text: *const c_char, n: i32, out: *mut Token, capacity: i32, model: *mut c_void) -> i32;
    fn hf_forward(plan: *const anb_plan, model: *mut c_void) -> *const f32;
}

fn last_error() -> String {
    unsafe { CStr::from_ptr(hf_error()) }.to_string_lossy().into_owned()
}

/// Asks for `capacity` elements, and once more when there are more.
fn fill<T: Copy + Default>(capacity: usize, ask: impl Fn(*mut T, i32) -> i32) -> Option<Vec<T>> {
    let mut out = vec![T::default(); capacity];
    let mut n = ask(out.as_mut_ptr(), out.len() as i32);
    if n > out.len() as i32 {
        out.resize(n as usize, T::default());
        n = ask(out.as_mut_ptr(), out.len() as i32);
    }
    out.truncate(usize::try_from(n).ok()?);
    Some(out)
}

struct Open(*mut Handle);

impl Drop for Open {
    fn drop(&mut self) {
        unsafe { hf_close(self.0) }
    }
}

/// Runs passes. What it lends of logits ends with the next pass, which is why `forward` wants it whole.
pub struct Model(Rc<Open>);

/// Its tokenizer, as the decoder wants it.
pub struct ModelText(Rc<Open>);

impl Model {
    pub fn open(folder: &str) -> Result<Model, String> {
        let folder = CString::new(folder).map_err(|error| error.to_string())?;
        let handle = unsafe { hf_open(folder.as_ptr()) };
        if handle.is_null() {
            return Err(last_error());
        }
        Ok(Model(Rc::new(Open(handle))))
    }
    pub fn text(&self) -> ModelText {
        ModelText(self.0.clone())
    }
    pub fn n_vocabulary(&self) -> usize {
        unsafe { hf_n_vocabulary((self.0).0) as usize }
    }
    pub fn max_position(&self) -> i32 {
        unsafe { hf_max_position((self.0).0) }
    }
    pub fn end_of_text(&self) -> &[Token] {
        let mut tokens = std::ptr::null();
        match unsafe { hf_end_of_text((self.0).0, &mut tokens) } {
            0 => &[],
            n => unsafe { std::slice::from_raw_parts(tokens, n as usize) },
        }
    }
    pub fn prompt(&self, question: &str) -> Result<Vec<Token>, String> {
        let question = CString::new(question).map_err(|error| error.to_string())?;
        fill(256, |out, capacity| unsafe { hf_prompt((self.0).0, question.as_ptr(), out, capacity) })
            .ok_or_else(last_error)
    }
    /// Logits [n_outputs, n_vocabulary].
    pub fn forward<T: Text>(&mut self, pass: &Pass<T>) -> Result<&[f32], String> {
        let logits = unsafe { hf_forward(pass.plan(), (self.0).0 as *mut c_void) };
        if logits.is_null() {
            return Err(last_error());
        }
        Ok(unsafe { std::slice::from_raw_parts(logits, pass.n_outputs() * self.n_vocabulary()) })
    }
}

impl Text for ModelText {
    fn text_of(&self, tokens: &[Token]) -> Option<Vec<u8>> {
        let model = (self.0).0 as *mut c_void;
        fill(16 * tokens.len() + 16, |out: *mut u8, capacity| unsafe {
            hf_detokenize(tokens.as_ptr(), tokens.len() as i32, out as *mut c_char, capacity, model)
        })
    }
    fn tokens_of(&self, text: &[u8]) -> Option<Vec<Token>> {
        let model = (self.0).0 as *mut c_void;
        fill(text.len() + 4, |out, capacity| unsafe {
            hf_text_to_tokens(text.as_ptr() as *const c_char, text.len() as i32, out, capacity, model)
        })
    }
}
