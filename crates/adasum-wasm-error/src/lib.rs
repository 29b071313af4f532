//! The errors that adasum's WebAssembly modules throw.

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

/// A result whose error is a JavaScript error with a stable code.
pub type Result<T> = std::result::Result<T, JsValue>;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = Error)]
    type JsError;

    #[wasm_bindgen(constructor, js_class = "Error")]
    fn new(message: &str) -> JsError;

    #[wasm_bindgen(method, setter, js_class = "Error")]
    fn set_code(this: &JsError, code: &str);
}

/// A JavaScript error with a code.
pub fn js_error(code: &str, message: &str) -> JsValue {
    let js = JsError::new(message);
    js.set_code(code);
    js.into()
}
