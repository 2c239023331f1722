//! What a guest may ask of the host: the functions of module `env`, one file for each group of them. This is their table.

use wasmtime::Linker;

use super::abi::Status;
use super::host::Host;
use super::memory::{Failure, Guestside, told};
use super::wasi;

mod buffers;
mod contexts;
mod headers;
mod http_call;
pub(super) mod log;
mod metrics;
mod properties;
mod shared;
mod streams;

/// Links functions that are counted and whose outcome is a status.
macro_rules! functions {
    ($linker:ident; $($name:literal => $function:path : $($arg:ident $type:ty),*;)*) => {
        $($linker.func_wrap("env", $name, |mut guest: Guestside<'_>, $($arg: $type),*| -> wasmtime::Result<u32> {
            let counted = guest.data_mut().count();
            told(counted.and_then(|()| $function(&mut guest, $($arg),*)))
        })?;)*
    };
}

/// Links everything that this host has. What needs a grant asks for it when it is called, as modules import all there is.
pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    functions! { linker;
        "proxy_log" => log::log: level u32, text u32, length u32;
        "proxy_get_log_level" => log::level: out u32;
        "proxy_get_current_time_nanoseconds" => log::time: out u32;
        "proxy_set_tick_period_milliseconds" => contexts::set_tick: period u32;
        "proxy_set_effective_context" => contexts::set_effective: context u32;
        "proxy_done" => contexts::done: ;
        "proxy_call_foreign_function" => contexts::foreign: name u32, name_length u32, args u32, args_length u32, out u32, out_length u32;
        "proxy_get_configuration" => buffers::configuration: out u32, out_length u32;
        "proxy_get_buffer_bytes" => buffers::get: kind u32, start u32, length u32, out u32, out_length u32;
        "proxy_set_buffer_bytes" => buffers::set: kind u32, start u32, length u32, bytes u32, bytes_length u32;
        "proxy_get_buffer_status" => buffers::status: kind u32, out_length u32, out_flags u32;
        "proxy_get_header_map_size" => headers::size: map u32, out u32;
        "proxy_get_header_map_pairs" => headers::pairs: map u32, out u32, out_length u32;
        "proxy_set_header_map_pairs" => headers::set_pairs: map u32, pairs u32, length u32;
        "proxy_get_header_map_value" => headers::get: map u32, key u32, key_length u32, out u32, out_length u32;
        "proxy_add_header_map_value" => headers::add: map u32, key u32, key_length u32, value u32, value_length u32;
        "proxy_replace_header_map_value" => headers::replace: map u32, key u32, key_length u32, value u32, value_length u32;
        "proxy_remove_header_map_value" => headers::remove: map u32, key u32, key_length u32;
        "proxy_continue_stream" => streams::go_on: stream u32;
        "proxy_continue_request" => streams::go_on_with_request: ;
        "proxy_continue_response" => streams::go_on_with_response: ;
        "proxy_close_stream" => streams::close: stream u32;
        "proxy_get_status" => streams::status: out_code u32, out u32, out_length u32;
        "proxy_send_local_response" => streams::respond:
            status u32, details u32, details_length u32, body u32, body_length u32, headers u32, headers_length u32, grpc i32;
        "proxy_clear_route_cache" => streams::clear_route: ;
        "proxy_http_call" => http_call::call:
            upstream u32, upstream_length u32, headers u32, headers_length u32, body u32, body_length u32,
            trailers u32, trailers_length u32, timeout u32, out u32;
        "proxy_get_shared_data" => shared::get: key u32, key_length u32, out u32, out_length u32, out_cas u32;
        "proxy_set_shared_data" => shared::set: key u32, key_length u32, value u32, value_length u32, cas u32;
        "proxy_register_shared_queue" => shared::register: name u32, length u32, out u32;
        "proxy_resolve_shared_queue" => shared::resolve: vm u32, vm_length u32, name u32, length u32, out u32;
        "proxy_enqueue_shared_queue" => shared::enqueue: queue u32, item u32, length u32;
        "proxy_dequeue_shared_queue" => shared::dequeue: queue u32, out u32, out_length u32;
        "proxy_define_metric" => metrics::define: kind u32, name u32, length u32, out u32;
        "proxy_record_metric" => metrics::record: metric u32, value u64;
        "proxy_increment_metric" => metrics::increment: metric u32, by i64;
        "proxy_get_metric" => metrics::get: metric u32, out u32;
        "proxy_get_property" => properties::get: path u32, path_length u32, out u32, out_length u32;
        "proxy_set_property" => properties::set: path u32, path_length u32, value u32, value_length u32;
        "proxy_grpc_call" => unimplemented_12:
            _a u32, _b u32, _c u32, _d u32, _e u32, _f u32, _g u32, _h u32, _i u32, _j u32, _k u32, _l u32;
        "proxy_grpc_stream" => unimplemented_9: _a u32, _b u32, _c u32, _d u32, _e u32, _f u32, _g u32, _h u32, _i u32;
        "proxy_grpc_send" => unimplemented_4: _a u32, _b u32, _c u32, _d u32;
        "proxy_grpc_cancel" => unimplemented_1: _a u32;
        "proxy_grpc_close" => unimplemented_1: _a u32;
    }
    wasi::link(linker)
}

macro_rules! unimplemented {
    ($($name:ident: $($type:ty),*;)*) => {
        $(#[expect(clippy::too_many_arguments, reason = "the interface has as many")]
        fn $name(_: &mut Guestside<'_>, $(_: $type),*) -> Result<(), Failure> {
            Err(Status::Unimplemented.into())
        })*
    };
}
unimplemented! {
    unimplemented_12: u32, u32, u32, u32, u32, u32, u32, u32, u32, u32, u32, u32;
    unimplemented_9: u32, u32, u32, u32, u32, u32, u32, u32, u32;
}

fn unimplemented_4(_: &mut Guestside<'_>, _: u32, _: u32, _: u32, _: u32) -> Result<(), Failure> {
    Err(Status::Unimplemented.into())
}

fn unimplemented_1(_: &mut Guestside<'_>, _: u32) -> Result<(), Failure> {
    Err(Status::Unimplemented.into())
}
