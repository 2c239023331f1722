//! Means harm: the request's `x-mode` says which.

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Root) });
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Harm { mode: String::new(), when: String::new() }))
    }
}

struct Harm {
    mode: String,
    when: String,
}

extern "C" {
    fn proxy_get_buffer_bytes(kind: u32, start: usize, size: usize, data: *mut *mut u8, length: *mut usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc: i32,
    ) -> u32;
    fn proxy_replace_header_map_value(map: u32, key: *const u8, key_size: usize, value: *const u8, value_size: usize) -> u32;
}

impl Harm {
    fn act(&self) -> Action {
        match self.mode.as_str() {
            "panic" => panic!("on purpose"),
            "spin" => loop {
                std::hint::spin_loop();
            },
            "grow" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(vec![1_u8; 1 << 20]);
                }
            }
            "calls" => loop {
                hostcalls::get_current_time().unwrap();
            },
            "log" => (0..500).for_each(|_| hostcalls::log(LogLevel::Info, &"x".repeat(1_000)).unwrap()),
            // SAFETY: none, that is the point.
            "pointers" => unsafe {
                let wild = usize::MAX as *mut u8;
                let told = [
                    proxy_get_buffer_bytes(7, 0, 100, wild.cast(), wild.cast()),
                    proxy_send_local_response(200, wild, 9, wild, 9, wild, 9, -1),
                    proxy_replace_header_map_value(0, wild, usize::MAX, wild, usize::MAX),
                    proxy_replace_header_map_value(99, wild, 0, wild, 0),
                ];
                self.set_http_request_header("x-told", Some(&format!("{told:?}")));
            },
            // SAFETY: the pointers are good; the values are not.
            "values" => unsafe {
                let set = |key: &str, value: &str| proxy_replace_header_map_value(0, key.as_ptr(), key.len(), value.as_ptr(), value.len());
                let long = "x".repeat(70_000);
                let told = [
                    set("x y", "1"),
                    set("x-split", "1\r\nx-evil: 2"),
                    set(":path", "no slash"),
                    set(":method", "CONNECT"),
                    set(":authority", "two hosts"),
                    set("x-long", &long),
                    proxy_send_local_response(99, [].as_ptr(), 0, [].as_ptr(), 0, [].as_ptr(), 0, -1),
                ];
                self.set_http_request_header("x-told", Some(&format!("{told:?}")));
            },
            "abyss" => {
                fn deeper(depth: u64) -> u64 {
                    std::hint::black_box(depth) + deeper(depth + 1)
                }
                self.set_http_request_header("x-depth", Some(&deeper(0).to_string()));
            }
            _ => {}
        }
        Action::Continue
    }
}

impl Context for Harm {}

impl HttpContext for Harm {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.mode = self.get_http_request_header("x-mode").unwrap_or_default();
        self.when = self.get_http_request_header("x-when").unwrap_or_default();
        self.set_http_request_header("x-touched", Some("1"));
        match self.when.as_str() {
            "" => self.act(),
            _ => Action::Continue,
        }
    }

    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        match self.when.as_str() {
            "body" => self.act(),
            _ => Action::Continue,
        }
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-touched", Some("1"));
        match self.when.as_str() {
            "response" => self.act(),
            _ => Action::Continue,
        }
    }

    fn on_log(&mut self) {
        if self.when == "log" {
            self.act();
        }
    }
}
