//! Custom sections of a component: how what a language's toolchain knows nothing of gets into it. WebAssembly core
//! specification §5.5.3; components have the same.

use wasmparser::{Parser, Payload};

/// The section with the JSON Schema (draft 2020-12) of a plugin's configuration.
pub const CONFIG_SCHEMA: &str = "gatehouse:config-schema";

/// The component with one more section at its end.
pub fn with(component: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    length(&mut body, name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    let mut whole = component.to_vec();
    whole.push(0);
    length(&mut whole, body.len());
    whole.extend_from_slice(&body);
    whole
}

/// What the last section of that name holds, of the component itself and not of what is inside it.
pub fn find<'a>(component: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (mut depth, mut found) = (0_usize, None);
    for payload in Parser::new(0).parse_all(component) {
        match payload.ok()? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == name => found = Some(section.data()),
            _ => {}
        }
    }
    found
}

/// Unsigned LEB128.
fn length(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn what_is_put_in_is_found_again() {
        let long = vec![b'x'; 70_000];
        let one = with(EMPTY, "a", b"first");
        let all = with(&with(&one, "b", &long), "a", b"second");
        assert_eq!(find(&one, "a"), Some(&b"first"[..]));
        assert_eq!(find(&all, "a"), Some(&b"second"[..]), "the last one counts");
        assert_eq!(find(&all, "b"), Some(&long[..]));
        assert_eq!(find(&all, "c"), None);
    }

    #[test]
    fn a_section_of_a_module_inside_is_not_the_components() {
        let module = with(b"\0asm\x01\0\0\0", "a", b"inner");
        let mut component = EMPTY.to_vec();
        component.push(1);
        length(&mut component, module.len());
        component.extend_from_slice(&module);
        assert_eq!(find(&component, "a"), None);
    }
}
