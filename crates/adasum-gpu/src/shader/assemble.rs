//! The assembly of a shader from its pieces.
//!
//! WGSL has neither includes nor loops that are surely unrolled, and a kernel over k inputs needs k loads and k (k + 1)
//! / 2 sums in registers. So lines that begin with `#` are directives of this module:
//!
//! ```text
//! #import name            the piece of that name, once in a shader
//! #for i in 0..K          the lines up to #end, once for each number
//! #if NAME / #else / #end lines for shaders in which NAME is not 0
//! {i}  {8+i}              in any other line: the number
//! ```
//!
//! A bound is a number, a name, or `max(a,b)` of two of them. There are no other directives.

use std::collections::{BTreeMap, BTreeSet};

use super::pieces::piece;

/// What the names in a shader stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Numbers of `#for`, `#if` and `{}`.
    pub numbers: BTreeMap<String, i64>,
    /// Which piece an `#import` of a general name takes.
    pub pieces: BTreeMap<&'static str, &'static str>,
}

/// The text of the shader whose main piece is `name`.
///
/// # Panics
/// If a shader is not written as this module's page says: the tests assemble them all.
pub(super) fn assemble(name: &str, names: &Names) -> String {
    let mut assembly = Assembly { names: names.clone(), imported: BTreeSet::new(), text: String::new() };
    assembly.import(name);
    assembly.text
}

struct Assembly {
    names: Names,
    imported: BTreeSet<String>,
    text: String,
}

impl Assembly {
    fn import(&mut self, name: &str) {
        let name = self.names.pieces.get(name).copied().unwrap_or(name).to_string();
        if self.imported.insert(name.clone()) {
            let lines: Vec<&str> = piece(&name).lines().collect();
            self.lines(&lines);
        }
    }

    fn lines(&mut self, lines: &[&str]) {
        let mut at = 0;
        while at < lines.len() {
            let line = lines[at];
            let Some(directive) = line.strip_prefix('#') else {
                let text = self.filled_in(line);
                self.text.push_str(&text);
                self.text.push('\n');
                at += 1;
                continue;
            };
            at = match directive.split_once(' ') {
                Some(("import", name)) => {
                    self.import(name);
                    at + 1
                }
                Some(("for", header)) => self.repeated(header, lines, at),
                Some(("if", name)) => self.chosen(name, lines, at),
                _ => panic!("#{directive} is no directive"),
            };
        }
    }

    /// The line behind the loop.
    fn repeated(&mut self, header: &str, lines: &[&str], at: usize) -> usize {
        let block = Block::at(lines, at);
        let (name, range) = header.split_once(" in ").unwrap_or_else(|| panic!("#for {header} has no range"));
        let (begin, end) = range.split_once("..").unwrap_or_else(|| panic!("{range} is no range"));
        for number in self.number(begin)..self.number(end) {
            self.names.numbers.insert(name.to_string(), number);
            self.lines(&lines[block.first.clone()]);
        }
        self.names.numbers.remove(name);
        block.next
    }

    /// The line behind the choice.
    fn chosen(&mut self, name: &str, lines: &[&str], at: usize) -> usize {
        let block = Block::at(lines, at);
        let lines_of = if self.number(name) == 0 { block.second } else { block.first };
        self.lines(&lines[lines_of]);
        block.next
    }

    fn number(&self, text: &str) -> i64 {
        if let Some(two) = text.strip_prefix("max(").and_then(|rest| rest.strip_suffix(')')) {
            let (a, b) = two.split_once(',').unwrap_or_else(|| panic!("max({two}) takes two numbers"));
            return self.number(a).max(self.number(b));
        }
        if let Some((a, b)) = text.split_once('+') {
            return self.number(a) + self.number(b);
        }
        let named = self.names.numbers.get(text).copied();
        named.or_else(|| text.parse().ok()).unwrap_or_else(|| panic!("{text} is no number in this shader"))
    }

    /// The line with numbers for what stands in braces; WGSL's own braces never hold a number or a name alone.
    fn filled_in(&self, line: &str) -> String {
        let mut text = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            match after.split_once('}') {
                Some((name, behind)) if is_sum(name) => {
                    text.push_str(&self.number(name).to_string());
                    rest = behind;
                }
                _ => {
                    text.push('{');
                    rest = after;
                }
            }
        }
        text + rest
    }
}

fn is_sum(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '_')
}

/// The lines between a `#for` or `#if` and its `#end`.
struct Block {
    first: std::ops::Range<usize>,
    /// Behind `#else`.
    second: std::ops::Range<usize>,
    next: usize,
}

impl Block {
    fn at(lines: &[&str], begin: usize) -> Self {
        let (mut depth, mut middle) = (0, None);
        for (at, line) in lines.iter().enumerate().skip(begin) {
            match line.split(' ').next() {
                Some("#for" | "#if") => depth += 1,
                Some("#else") if depth == 1 => middle = Some(at),
                Some("#end") => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let middle = middle.unwrap_or(at);
                return Self { first: begin + 1..middle, second: (middle + 1).min(at)..at, next: at + 1 };
            }
        }
        panic!("{} has no #end", lines[begin]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(lines: &str, numbers: &[(&str, i64)]) -> String {
        let numbers = numbers.iter().map(|&(name, number)| (name.to_string(), number)).collect();
        let names = Names { numbers, pieces: BTreeMap::new() };
        let mut assembly = Assembly { names, imported: BTreeSet::new(), text: String::new() };
        assembly.lines(&lines.lines().collect::<Vec<_>>());
        assembly.text
    }

    #[test]
    fn loops_nest_and_depend_on_each_other() {
        let text = "#for i in 0..R\n#for j in max(i,FIRST)..K\nx_{i}_{j}\n#end\n#end";
        assert_eq!(text_of(text, &[("R", 2), ("K", 3), ("FIRST", 0)]), "x_0_0\nx_0_1\nx_0_2\nx_1_1\nx_1_2\n");
        assert_eq!(text_of(text, &[("R", 2), ("K", 3), ("FIRST", 2)]), "x_0_2\nx_1_2\n");
    }

    #[test]
    fn choices_and_sums() {
        let text = "#if A\nyes {8+i}\n#else\nno {i+1}\n#end\nfn f() { return; }";
        assert_eq!(text_of(text, &[("A", 1), ("i", 3)]), "yes 11\nfn f() { return; }\n");
        assert_eq!(text_of(text, &[("A", 0), ("i", 3)]), "no 4\nfn f() { return; }\n");
        assert_eq!(text_of("#if A\n#if B\nboth\n#end\n#end", &[("A", 1), ("B", 0)]), "");
    }

    #[test]
    #[should_panic(expected = "#for i in 0..2 has no #end")]
    fn an_open_block_is_noticed() {
        text_of("#for i in 0..2\nx", &[]);
    }
}
