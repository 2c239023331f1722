//! Components that are valid and out of proportion, written byte by byte: they cost a compiler or a loader far more
//! than they cost whoever sends them.

/// `(i32) -> i32`, as the only type of a module.
const TYPES: [u8; 6] = [1, 0x60, 1, 0x7f, 1, 0x7f];
/// `local.get 0  i32.const 7  i32.mul  local.set 0`.
const WORK: [u8; 7] = [0x20, 0, 0x41, 7, 0x6c, 0x21, 0];

/// A component of one module with so many functions, each of about so many bytes.
#[must_use]
pub fn functions(count: usize, bytes: usize) -> Vec<u8> {
    [&b"\0asm\x0d\0\x01\0"[..], &module_of_functions(count, bytes)].concat()
}

/// The same module as a section of a component.
#[must_use]
pub fn module_of_functions(count: usize, bytes: usize) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(WORK.iter().cycle().take(bytes / WORK.len() * WORK.len()));
    body.extend([0x20, 0, 0x0b]);
    let declared: Vec<u8> = number(count).into_iter().chain(vec![0; count]).collect();
    let mut code = number(count);
    for _ in 0..count {
        code.extend(number(body.len()));
        code.extend(&body);
    }
    module(&[section(1, &TYPES), section(3, &declared), section(10, &code)].concat())
}

/// A component of one module whose memory starts with so many pages of 64 KiB.
#[must_use]
pub fn memory(pages: usize) -> Vec<u8> {
    let memory: Vec<u8> = [1, 0].into_iter().chain(number(pages)).collect();
    component(&section(5, &memory))
}

/// A component whose one section says that it is longer than any file.
#[must_use]
pub fn huge_section() -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0\x01".to_vec();
    bytes.extend(number(u32::MAX as usize));
    bytes
}

/// A component that has nothing but a module of these sections.
fn component(sections: &[u8]) -> Vec<u8> {
    [&b"\0asm\x0d\0\x01\0"[..], &module(sections)].concat()
}

/// A module of these sections, as a section of a component.
fn module(sections: &[u8]) -> Vec<u8> {
    section(1, &[b"\0asm\x01\0\0\0", sections].concat())
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], number(content.len()), content.to_vec()].concat()
}

/// LEB128.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
