//! A guest that comes in many versions: tests write a mode and a label into the built component, in place of those that
//! stand in `MARKS`. Each version tells its label, in both phases.
#![cfg(target_family = "wasm")]
#![no_std]

extern crate alloc;
extern crate bare as _;

mod bindings;

use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::hint::black_box;

use bindings::{
    BodyMode, Changes, ChunkVerdict, Field, Guest, Needs, Phases, Reply, Request, RequestVerdict, Response, ResponseEdit, ResponseVerdict,
    Wants, kv,
};

/// Mode and label, sixteen bytes each with their names.
#[used]
static MARKS: [u8; 32] = *b"@mode:plain     @label:one      ";

/// Rounds of the slow mode: some tens of milliseconds on any machine.
const ROUNDS: u32 = 100_000_000;

struct Version;

impl Guest for Version {
    fn config_schema() -> Option<String> {
        None
    }

    fn configure(config: String) -> Result<Needs, String> {
        if mark(0, "@mode:") == "picky" && config != "{}" {
            return Err("this version takes no configuration".to_string());
        }
        Ok(Needs {
            phases: Phases::REQUEST | Phases::RESPONSE,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            request_body: BodyMode::None,
            response_body: BodyMode::None,
            body_types: Vec::new(),
            wants: Wants::empty(),
        })
    }

    fn on_request(request: Request) -> Result<RequestVerdict, String> {
        let mut edits = vec![tell("x-version")];
        match mark(0, "@mode:").as_str() {
            "trap" if request.id.1 % 20 == 0 => core::arch::wasm32::unreachable(),
            "slow" => (0..ROUNDS).for_each(|round| drop(black_box(round))),
            "deny" => return Ok(RequestVerdict::Respond(Reply { status: 403, headers: Vec::new(), body: b"denied".to_vec() })),
            "count" => edits.push(count()),
            _ => {}
        }
        Ok(RequestVerdict::Next(Changes { request: Vec::new(), response: edits, state: None }))
    }

    fn on_request_body(_: Vec<u8>, _: bool) -> Result<ChunkVerdict, String> {
        Ok(ChunkVerdict::Pass)
    }

    fn on_response(_: Response) -> Result<ResponseVerdict, String> {
        Ok(ResponseVerdict::Next(vec![tell("x-response-version")]))
    }

    fn on_response_body(_: Vec<u8>, _: bool) -> Result<ChunkVerdict, String> {
        Ok(ChunkVerdict::Pass)
    }
}

fn tell(name: &str) -> ResponseEdit {
    set(name, &mark(16, "@label:"))
}

/// An effect that outlives the request.
fn count() -> ResponseEdit {
    set("x-count", &kv::increment("calls", 1, None).unwrap_or_default().to_string())
}

fn set(name: &str, value: &str) -> ResponseEdit {
    ResponseEdit::SetHeader(Field { name: name.to_string(), value: value.as_bytes().to_vec() })
}

/// Read anew each time, since the compiler does not know that it is written.
fn mark(from: usize, name: &str) -> String {
    // SAFETY: a static of ours.
    let marks = unsafe { core::ptr::read_volatile(&raw const MARKS) };
    let mark = &marks[from + name.len()..from + 16];
    String::from_utf8_lossy(mark).trim_end().to_string()
}
