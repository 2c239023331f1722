//! Uses what the SDK's examples do not: shared data, queues, ticks, metrics, properties, several calls at a time, bodies that
//! are judged and changed, trailers. The request's `x-mode` says what it is about.

use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType, Status};
use proxy_wasm::hostcalls;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Root { queue: 0 }) });
}}

struct Root {
    queue: u32,
}

impl Context for Root {
    fn on_http_call_response(&mut self, _: u32, headers: usize, _: usize, _: usize) {
        self.set_shared_data("called", Some(headers.to_string().as_bytes()), None).unwrap();
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let config = self.get_plugin_configuration().unwrap_or_default();
        let config = String::from_utf8(config).unwrap();
        if config.contains("refuse") {
            hostcalls::log(LogLevel::Warn, "the rule book is empty").unwrap();
            return false;
        }
        if config.contains("tick") {
            self.set_tick_period(Duration::from_millis(20));
            self.queue = self.register_shared_queue("ticks");
        }
        true
    }

    fn on_tick(&mut self) {
        self.enqueue_shared_queue(self.queue, Some(b"tick")).unwrap();
        if self.get_shared_data("call").0.is_some() {
            self.set_shared_data("call", None, None).unwrap();
            self.dispatch_http_call("side", request("/tick"), None, vec![], Duration::from_secs(5)).unwrap();
        }
    }

    fn on_queue_ready(&mut self, queue: u32) {
        let item = self.dequeue_shared_queue(queue).unwrap().unwrap_or_default();
        self.set_shared_data("heard", Some(&item), None).unwrap();
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Probe { id, mode: String::new(), calls: 0, answers: Vec::new() }))
    }
}

struct Probe {
    id: u32,
    mode: String,
    calls: usize,
    answers: Vec<String>,
}

fn request(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "GET"), (":path", path), (":authority", "side.test"), ("x-from", "probe")]
}

impl Probe {
    fn count(&self) -> u32 {
        loop {
            let (value, written) = self.get_shared_data("count");
            let count = value.map_or(0, |value| u32::from_le_bytes(value.try_into().unwrap())) + 1;
            match self.set_shared_data("count", Some(&count.to_le_bytes()), written) {
                Ok(()) => return count,
                Err(Status::CasMismatch) => continue,
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    fn measure(&self) {
        let define = |kind, name| hostcalls::define_metric(kind, name).unwrap();
        hostcalls::increment_metric(define(MetricType::Counter, "probe.requests"), 2).unwrap();
        let gauge = define(MetricType::Gauge, "probe.level");
        hostcalls::record_metric(gauge, 7).unwrap();
        hostcalls::increment_metric(gauge, -3).unwrap();
        hostcalls::record_metric(define(MetricType::Histogram, "probe.sizes"), 5).unwrap();
        let level = hostcalls::get_metric(gauge).unwrap();
        self.set_http_request_header("x-level", Some(&level.to_string()));
    }

    fn properties(&self) -> String {
        let paths: [&[&str]; 14] = [
            &["request", "path"],
            &["request", "url_path"],
            &["request", "query"],
            &["request", "host"],
            &["request", "method"],
            &["request", "scheme"],
            &["request", "protocol"],
            &["request", "headers", "x-mode"],
            &["source", "address"],
            &["plugin_name"],
            &["plugin_root_id"],
            &["route_name"],
            &["cluster_name"],
            &["set", "before"],
        ];
        let mut text = String::new();
        self.set_property(vec!["set", "before"], Some(b"yes"));
        for path in paths {
            let value = self.get_property(path.to_vec()).map(|value| String::from_utf8_lossy(&value).into_owned());
            text.push_str(&format!("{}={}\n", path.join("."), value.as_deref().unwrap_or("-")));
        }
        text
    }

    fn reply(&self, status: u32, body: &str) -> Action {
        self.send_http_response(status, vec![("x-probe", "replied")], Some(body.as_bytes()));
        Action::Pause
    }
}

impl Context for Probe {
    fn on_http_call_response(&mut self, _: u32, headers: usize, body: usize, _: usize) {
        let status = self.get_http_call_response_header(":status").unwrap_or_else(|| "none".into());
        let body = self.get_http_call_response_body(0, body).unwrap_or_default();
        self.answers.push(format!("{status} {headers} {}", String::from_utf8_lossy(&body)));
        if self.answers.len() < self.calls {
            return;
        }
        self.answers.sort();
        let answers = self.answers.join("; ");
        match self.mode.as_str() {
            // The head has gone on.
            "call-in-body" => self.set_http_request_body(0, usize::MAX, answers.as_bytes()),
            "call-and-answer" => return drop(self.reply(200, &answers)),
            _ => self.set_http_request_header("x-answers", Some(&answers)),
        }
        self.resume_http_request();
    }
}

impl HttpContext for Probe {
    fn on_http_request_headers(&mut self, _: usize, ended: bool) -> Action {
        self.mode = self.get_http_request_header("x-mode").unwrap_or_default();
        self.set_http_request_header("x-context", Some(&format!("{} {ended}", self.id)));
        match self.mode.as_str() {
            "count" => self.set_http_request_header("x-count", Some(&self.count().to_string())),
            "measure" => self.measure(),
            "properties" => return self.reply(200, &self.properties()),
            "shared" => {
                let key = self.get_http_request_header("x-key").unwrap_or_default();
                let value = self.get_shared_data(&key).0.unwrap_or_default();
                return self.reply(200, &String::from_utf8_lossy(&value));
            }
            "fill" => {
                // The SDK panics where there is no room.
                self.set_shared_data("large", Some(&vec![0; 2 << 20]), None).unwrap();
            }
            "call-on-tick" => self.set_shared_data("call", Some(b"1"), None).unwrap(),
            "rewrite" => {
                self.set_http_request_header(":path", Some("/rewritten?by=probe"));
                self.set_http_request_header(":method", Some("PUT"));
                self.set_http_request_header(":authority", Some("rewritten.test"));
                self.add_http_request_header("x-twice", "1");
                self.add_http_request_header("x-twice", "2");
                self.set_http_request_header("x-gone", None);
                self.set_http_request_header("transfer-encoding", Some("chunked"));
            }
            "replace-all" => self.set_http_request_headers(vec![(":path", "/all"), ("x-only", "1")]),
            "parallel" | "call-and-answer" => {
                for path in ["/one", "/two"] {
                    self.dispatch_http_call("side", request(path), Some(b"asked"), vec![], Duration::from_secs(5)).unwrap();
                }
                self.calls = 2;
                return Action::Pause;
            }
            "denied" => {
                let denied = self.dispatch_http_call("origin", request("/"), None, vec![], Duration::from_secs(5));
                return self.reply(200, &format!("{denied:?}"));
            }
            "slow" => {
                self.dispatch_http_call("side", request("/slow"), None, vec![], Duration::from_millis(50)).unwrap();
                self.calls = 1;
                return Action::Pause;
            }
            "grpc" => {
                let answer = self.dispatch_grpc_call("side", "a.B", "C", vec![], None, Duration::from_secs(1));
                return self.reply(200, &format!("{answer:?}"));
            }
            "pause" => return Action::Pause,
            _ => {}
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, ended: bool) -> Action {
        match self.mode.as_str() {
            "judge" | "call-in-body" | "hold" if !ended => Action::Pause,
            "judge" => {
                let body = self.get_http_request_body(0, size).unwrap_or_default();
                match String::from_utf8_lossy(&body).contains("forbidden") {
                    true => self.reply(403, "not that"),
                    false => Action::Continue,
                }
            }
            "call-in-body" => {
                self.dispatch_http_call("side", request("/body"), None, vec![], Duration::from_secs(5)).unwrap();
                self.calls = 1;
                Action::Pause
            }
            "longer" => {
                self.set_http_request_body(size, 0, b" and more");
                Action::Continue
            }
            "each" => {
                let piece = self.get_http_request_body(0, size).unwrap_or_default();
                self.set_http_request_body(0, size, format!("[{}]", String::from_utf8_lossy(&piece)).as_bytes());
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let checksum = self.get_http_request_trailer("x-sum").unwrap_or_default();
        self.add_http_request_trailer("x-seen", &checksum);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, ended: bool) -> Action {
        let status = self.get_http_response_header(":status").unwrap_or_default();
        self.set_http_response_header("x-probed", Some(&format!("{status} {ended} {}", self.id)));
        match self.mode.as_str() {
            "teapot" => self.set_http_response_header(":status", Some("418")),
            "replace-response" => return self.reply(451, "not for you"),
            _ => {}
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, ended: bool) -> Action {
        match self.mode.as_str() {
            "late" => self.reply(500, "too late"),
            "count-response" if !ended => Action::Pause,
            "count-response" => {
                hostcalls::log(LogLevel::Info, &format!("a response of {size} bytes")).unwrap();
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        let sum = self.get_http_response_trailer("x-sum").unwrap_or_default();
        self.set_http_response_trailer("x-sum", Some(&format!("{sum}, seen")));
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.mode == "logged" {
            let path = self.get_http_request_header(":path").unwrap_or_default();
            let status = self.get_http_response_header(":status").unwrap_or_default();
            let code = self.get_property(vec!["response", "code"]).map(|code| i64::from_le_bytes(code.try_into().unwrap()));
            hostcalls::log(LogLevel::Info, &format!("over: {path} {status} {code:?}")).unwrap();
        }
    }
}
