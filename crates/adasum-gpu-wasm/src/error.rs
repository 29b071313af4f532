//! How errors cross the border.

use adasum_gpu::Error;
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

/// An error of a plan as a JavaScript error.
pub fn to_js(error: Error) -> JsValue {
    let js = JsError::new(&error.message());
    js.set_code(error.code());
    js.into()
}
