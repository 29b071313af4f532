//! Numbers of any dtype as their bytes.

use adasum_core::dtype::Dtype;
use adasum_core::half::{Bf16, F16};

/// What a bench needs of a dtype besides its name.
pub trait Numbers: Copy {
    /// The code under which the entry points know it.
    fn code(self) -> f64;
    fn byte_length(self) -> usize;
    fn write(self, x: f64, bytes: &mut [u8]);
    fn read(self, bytes: &[u8]) -> f64;
}

impl Numbers for Dtype {
    fn code(self) -> f64 {
        Dtype::ALL.iter().take_while(|&&dtype| dtype != self).count() as f64
    }

    fn byte_length(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F64 => 8,
            Dtype::F16 | Dtype::Bf16 => 2,
        }
    }

    fn write(self, x: f64, bytes: &mut [u8]) {
        match self {
            Dtype::F32 => bytes.copy_from_slice(&(x as f32).to_ne_bytes()),
            Dtype::F64 => bytes.copy_from_slice(&x.to_ne_bytes()),
            Dtype::F16 => bytes.copy_from_slice(&F16::from_f64(x).0.to_ne_bytes()),
            Dtype::Bf16 => bytes.copy_from_slice(&Bf16::from_f64(x).0.to_ne_bytes()),
        }
    }

    #[inline(always)]
    fn read(self, bytes: &[u8]) -> f64 {
        match self {
            Dtype::F32 => f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into(),
            Dtype::F64 => {
                let mut word = [0; 8];
                word.copy_from_slice(bytes);
                f64::from_ne_bytes(word)
            }
            Dtype::F16 => F16(u16::from_ne_bytes([bytes[0], bytes[1]])).to_f64(),
            Dtype::Bf16 => Bf16(u16::from_ne_bytes([bytes[0], bytes[1]])).to_f64(),
        }
    }
}

/// Numbers in memory that is aligned for all of them.
pub struct Vector {
    words: Vec<u64>,
    pub dtype: Dtype,
    pub element_count: usize,
}

impl Vector {
    pub fn new(dtype: Dtype, element_count: usize, value: impl Fn(usize) -> f64) -> Self {
        let mut vector =
            Self { words: vec![0; (element_count * dtype.byte_length()).div_ceil(8)], dtype, element_count };
        let width = dtype.byte_length();
        for (i, bytes) in vector.bytes_mut().chunks_exact_mut(width).enumerate() {
            dtype.write(value(i), bytes);
        }
        vector
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the words have at least so many bytes, and any bytes are valid.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.byte_length()) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let byte_length = self.byte_length();
        // SAFETY: as above, and the words are borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), byte_length) }
    }

    pub fn get(&self, i: usize) -> f64 {
        let width = self.dtype.byte_length();
        self.dtype.read(&self.bytes()[i * width..][..width])
    }

    fn byte_length(&self) -> usize {
        self.element_count * self.dtype.byte_length()
    }
}
