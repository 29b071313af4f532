//! f32 in fewer bytes. The input consists of consecutive parts, and each part is cut into blocks from its own start.

use super::layout::{count_of, parse_parts};
use super::view::{Exclusive, View, ViewMut};
use crate::blocks::BLOCK_ELEMENTS;
use crate::dtype::Format;
use crate::engine::Engine;
use crate::error::{Result, argument_error};
use crate::half::{Bf16, F16};
use crate::kernel::table::{Coding, Table};
use crate::kernel::{Code, Int8};

const SMALLEST_BLOCK: usize = 16;

impl Engine {
    /// Writes the codes of `input` (f32). If `residual` has elements, it is added to the input first, and the error
    /// that the codes leave is written back to it. `element_counts` cuts the input into consecutive parts, and each
    /// part is cut into blocks.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the arguments do not fit together.
    pub fn quantize(
        self,
        format: f64,
        block_element_count: f64,
        input: View<'_>,
        element_counts: View<'_>,
        residual: ViewMut<'_>,
        codes: ViewMut<'_>,
    ) -> Result<()> {
        let blocks = Blocks::parse(format, block_element_count, element_counts)?;
        let elements = input.elements::<f32>("input", blocks.element_count)?;
        let has_residual = residual.byte_length() > 0;
        let residuals = residual.elements::<f32>("residual", if has_residual { blocks.element_count } else { 0 })?;
        let bytes = codes.elements::<u8>("codes", blocks.byte_length()?)?;
        Exclusive::reading(&[input]).writing("residual", residual)?.writing("codes", codes)?;
        let quantize = blocks.format.coding(self.table).quantize;
        blocks.for_each(|block| {
            // SAFETY: the engine's instruction set is available, and the block lies in the checked lengths.
            unsafe {
                let residual = has_residual.then(|| residuals.add(block.element));
                quantize(elements.add(block.element), residual, block.element_count, bytes.add(block.byte));
            }
        });
        Ok(())
    }

    /// Writes the f32 elements that codes stand for.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the arguments do not fit together.
    pub fn dequantize(
        self,
        format: f64,
        block_element_count: f64,
        codes: View<'_>,
        element_counts: View<'_>,
        out: ViewMut<'_>,
    ) -> Result<()> {
        let blocks = Blocks::parse(format, block_element_count, element_counts)?;
        let bytes = codes.elements::<u8>("codes", blocks.byte_length()?)?;
        let elements = out.elements::<f32>("out", blocks.element_count)?;
        Exclusive::reading(&[codes]).writing("out", out)?;
        let dequantize = blocks.format.coding(self.table).dequantize;
        blocks.for_each(|block| {
            // SAFETY: the engine's instruction set is available, and the block lies in the checked lengths.
            unsafe { dequantize(bytes.add(block.byte), block.element_count, elements.add(block.element)) };
        });
        Ok(())
    }
}

impl Format {
    fn coding(self, table: &Table) -> &Coding {
        match self {
            Format::F16 => &table.codings.f16,
            Format::Bf16 => &table.codings.bf16,
            Format::Int8 => &table.codings.int8,
        }
    }

    /// Bytes of a block's scale, and of each code.
    fn widths(self) -> (usize, usize) {
        match self {
            Format::F16 => (F16::SCALE_BYTES, F16::CODE_BYTES),
            Format::Bf16 => (Bf16::SCALE_BYTES, Bf16::CODE_BYTES),
            Format::Int8 => (Int8::SCALE_BYTES, Int8::CODE_BYTES),
        }
    }
}

/// The offsets of a block's elements and codes.
struct Block {
    element: usize,
    element_count: usize,
    byte: usize,
}

struct Blocks {
    format: Format,
    block_element_count: usize,
    /// Offset and element count of each part.
    parts: Vec<(usize, usize)>,
    element_count: usize,
}

impl Blocks {
    fn parse(format: f64, block_element_count: f64, element_counts: View<'_>) -> Result<Self> {
        let format = Format::from_code(format)?;
        let block_element_count = parse_block(block_element_count)?;
        let (parts, element_count) = parse_parts("elementCounts", &element_counts.doubles("elementCounts")?)?;
        Ok(Self { format, block_element_count, parts, element_count })
    }

    fn byte_length(&self) -> Result<usize> {
        let (scale, code) = self.format.widths();
        let bytes_of = |&(_, count): &(usize, usize)| {
            count as u128 * code as u128 + (count.div_ceil(self.block_element_count) * scale) as u128
        };
        let bytes = self.parts.iter().map(bytes_of).sum::<u128>();
        usize::try_from(bytes).map_err(|_| {
            argument_error!("the codes would have {bytes} bytes, which exceeds the address space. Check the counts.")
        })
    }

    fn for_each(&self, mut work: impl FnMut(Block)) {
        let (scale, code) = self.format.widths();
        let mut byte = 0;
        for &(offset, count) in &self.parts {
            for first in (0..count).step_by(self.block_element_count) {
                let element_count = self.block_element_count.min(count - first);
                work(Block { element: offset + first, element_count, byte });
                byte += scale + code * element_count;
            }
        }
    }
}

fn parse_block(value: f64) -> Result<usize> {
    let count = count_of("blockElementCount", value)?;
    let fits = |count: &usize| (SMALLEST_BLOCK..=BLOCK_ELEMENTS).contains(count) && count.is_power_of_two();
    usize::try_from(count).ok().filter(fits).ok_or_else(|| {
        argument_error!(
            "blockElementCount is {count}; it must be a power of two from {SMALLEST_BLOCK} to {BLOCK_ELEMENTS}. Choose one of these."
        )
    })
}
